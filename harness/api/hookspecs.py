"""The hooks a plugin may implement. pluggy project and entry-point group: ``trm_bench``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from ..report.table import Report
    from .runners import RunnerSpec
    from .specs import EvaluatorSpec, ModelSpec, ReporterSpec, StudySpec, TaskSpec

PROJECT = "trm_bench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def trm_bench_register_tasks() -> Iterable[TaskSpec]:  # type: ignore[empty-body]
    """Give the tasks of this plugin.

    Example:
        >>> import numpy as np
        >>> from trm_bench import NoAugmentation, PuzzleSet, Scale, Source, TaskData, TaskInfo, TaskSpec
        >>> from trm_bench import hookimpl
        >>> def build(request):
        ...     tokens = np.random.default_rng(request.seed).integers(1, 4, (30, 4)).astype(np.uint8)
        ...     tokens = np.unique(tokens, axis=0)
        ...     ids = [f"echo-{row}" for row in range(len(tokens))]
        ...     puzzles = PuzzleSet.single_identity(tokens, tokens, ids)
        ...     info = TaskInfo("echo", request.scale, height=2, width=2, vocab_size=4)
        ...     splits = puzzles.take(slice(0, 9)), puzzles.take(slice(9, 12)), puzzles.take(slice(12, 15))
        ...     return TaskData(info, *splits, Source("generated", f"generated, seed {request.seed}"))
        >>> @hookimpl
        ... def trm_bench_register_tasks():
        ...     mini = Scale("mini", "2×2 grids", steps=20, batch_size=4, augmentations=1)
        ...     return [
        ...         TaskSpec(
        ...             name="echo", summary="repeat the question", version=1, scales={"mini": mini},
        ...             build=build, augmentation=lambda request: NoAugmentation(),
        ...             evaluators=("exact",), primary="exact",
        ...         )
        ...     ]
    """


@hookspec
def trm_bench_register_models() -> Iterable[ModelSpec]:  # type: ignore[empty-body]
    """Give the models of this plugin.

    Example:
        >>> from pydantic import BaseModel
        >>> from trm_bench import ModelSpec, hookimpl
        >>> class Config(BaseModel):
        ...     hidden: int = 16
        >>> def build(config, task):
        ...     import torch
        ...     from trm_bench import Output, Reasoner
        ...     class PerCell(Reasoner):
        ...         def __init__(self):
        ...             super().__init__()
        ...             self.embed = torch.nn.Embedding(task.vocab_size, config.hidden)
        ...             self.head = torch.nn.Linear(config.hidden, task.vocab_size)
        ...         def forward(self, state, inputs, puzzle_ids):
        ...             return state, Output(self.head(self.embed(inputs)))
        ...     return PerCell()
        >>> @hookimpl
        ... def trm_bench_register_models():
        ...     return [ModelSpec("per-cell", "each cell for itself", config=Config, build=build)]
    """


@hookspec
def trm_bench_register_evaluators() -> Iterable[EvaluatorSpec]:  # type: ignore[empty-body]
    """Give the evaluators of this plugin.

    Example:
        >>> from trm_bench import EvaluatorSpec, Sample, hookimpl
        >>> def first_cell(task, puzzles, predictions):
        ...     right = predictions.tokens[:, 0] == puzzles.targets[:, 0]
        ...     return [
        ...         Sample(item, cluster, float(score))
        ...         for item, cluster, score in zip(puzzles.ids, puzzles.clusters, right, strict=True)
        ...     ]
        >>> @hookimpl
        ... def trm_bench_register_evaluators():
        ...     return [EvaluatorSpec("first-cell", "is the first cell right", evaluate=first_cell)]
    """


@hookspec
def trm_bench_register_reporters() -> Iterable[ReporterSpec]:  # type: ignore[empty-body]
    """Give the reporters of this plugin.

    Example:
        >>> from trm_bench import ReporterSpec, hookimpl
        >>> def render(report):
        ...     return " | ".join(table.title for table in report.tables)
        >>> @hookimpl
        ... def trm_bench_register_reporters():
        ...     return [ReporterSpec("titles", "only the titles", render=render)]
    """


@hookspec
def trm_bench_register_studies() -> Iterable[StudySpec]:  # type: ignore[empty-body]
    """Give the studies of this plugin, each declared in a YAML file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from trm_bench import StudySpec, hookimpl
        >>> file = Path(tempfile.mkdtemp()) / "loop.yaml"
        >>> declared = '''
        ... name: loop
        ... asks: does the outer loop help on mazes?
        ... task: maze-hard
        ... models: [transformer, transformer-looped]
        ... contrasts:
        ...   - {asks: "Does the outer loop help?", a: transformer-looped, b: transformer}
        ... '''
        >>> _ = file.write_text(declared)
        >>> @hookimpl
        ... def trm_bench_register_studies():
        ...     return [StudySpec("loop", "does the outer loop help on mazes?", file)]
    """


@hookspec
def trm_bench_register_runners() -> Iterable[RunnerSpec]:  # type: ignore[empty-body]
    """Give the runners of this plugin: batch systems and the like that ``--on`` can name.

    Example:
        >>> from pathlib import Path
        >>> from pydantic import BaseModel
        >>> from trm_bench import RunnerSpec, hookimpl
        >>> class Settings(BaseModel):
        ...     pass
        >>> def submit(work, settings, folder):
        ...     return [f"{one.name}: {one()}" for one in work]  # here and now, one after another
        >>> @hookimpl
        ... def trm_bench_register_runners():
        ...     return [
        ...         RunnerSpec(
        ...             "here",
        ...             "in this process, one after another",
        ...             config=Settings,
        ...             submit=submit,
        ...             states=lambda jobs, folder: {},
        ...             cancel=lambda jobs, folder: None,
        ...             logs=lambda job, folder: [],
        ...             device=lambda settings: "cpu",
        ...         )
        ...     ]
    """


@hookspec
def trm_bench_register_commands(cli: click.Group) -> None:
    """Add commands to `trm-bench`.

    Example:
        >>> import click
        >>> from trm_bench import hookimpl
        >>> @hookimpl
        ... def trm_bench_register_commands(cli):
        ...     @cli.command("hello")
        ...     def hello():
        ...         click.echo("hello")
    """


@hookspec
def trm_bench_grid_started(grid: Mapping[str, Any]) -> None:
    """Called when a grid of runs starts; ``grid`` is the content of its `grid.json`.

    Example:
        >>> from trm_bench import hookimpl
        >>> @hookimpl
        ... def trm_bench_grid_started(grid):
        ...     print("started", grid["task"])
    """


@hookspec
def trm_bench_metrics_logged(run: str, metrics: Mapping[str, float]) -> None:
    """Called with each line of a run's `metrics.jsonl`, while it trains.

    Example:
        >>> from trm_bench import hookimpl
        >>> @hookimpl
        ... def trm_bench_metrics_logged(run, metrics):
        ...     print(run, metrics["step"])
    """


@hookspec
def trm_bench_grid_finished(grid: Mapping[str, Any], runs: Mapping[str, str]) -> None:
    """Called when a grid has ended; ``runs`` maps each run to its status.

    Example:
        >>> from trm_bench import hookimpl
        >>> @hookimpl
        ... def trm_bench_grid_finished(grid, runs):
        ...     print(sum(status == "done" for status in runs.values()), "runs done")
    """


@hookspec
def trm_bench_report_ready(report: Report) -> None:
    """Be given the report before it is rendered.

    Example:
        >>> from trm_bench import hookimpl
        >>> @hookimpl
        ... def trm_bench_report_ready(report):
        ...     print(len(report.tables), "tables")
    """

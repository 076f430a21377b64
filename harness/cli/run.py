"""``trm-bench run``: the main job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..api.budget import Match
from ..api.errors import UsageError
from ..host.host import Host, host
from ..running.runner import announce, cores, execute, grid_as_json, show_grid
from . import complete
from .options import (
    all_settings,
    data_options,
    device_option,
    parse_seeds,
    read_config,
    required,
    usual_scale,
)
from .printing import print_report
from .terminal import echo_json

if TYPE_CHECKING:
    from ..planning.grid import RunRequest

DEFAULT_SEEDS = "0-4"


@dataclass(frozen=True)
class Options:
    """The options of `run` as they were given."""

    models: str | None
    study: str | None
    task: str | None
    scale: str | None
    source: str | None
    data: Path | None
    settings: tuple[str, ...]
    seeds: str | None
    augmentations: int | None
    match: str | None
    limit: int | None
    evaluators: str
    device: str
    jobs: int | None
    output: Path | None
    force: bool
    dry_run: bool
    as_json: bool


@click.command("run")
@click.option(
    "--models",
    shell_complete=complete.models,
    help="Names by comma; options in brackets, e.g. trm[cycles=2].",
)
@click.option(
    "--study",
    shell_complete=complete.study,
    help="Run a study instead: its name (see `list studies`) or a YAML file.",
)
@data_options
@click.option("--seeds", help="Training seeds: 0-4, 0,1,2 or 3; by default 0-4, or the study's.")
@click.option("--augmentations", type=click.IntRange(min=1), help="Variants per puzzle, itself included.")
@click.option(
    "--match",
    type=click.Choice([match.value for match in Match]),
    help="What is made equal between models; by default steps.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test items; not citable.")
@click.option(
    "--evaluators",
    default="",
    shell_complete=complete.evaluators,
    help="Further evaluators, beside the task's own.",
)
@device_option
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Cells side by side; by default one per core on a CPU."
)
@click.option("--output", type=click.Path(path_type=Path), help="By default results/TASK-SCALE.")
@click.option("--force", is_flag=True, help="Run finished cells again.")
@click.option("--dry-run", is_flag=True, help="Show the cells and what they cost; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report, or the dry run, as JSON.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    callback=read_config,
    is_eager=True,
    expose_value=False,
    help="YAML file with any of these options.",
)
def command(**given: Any) -> int:
    """Train and evaluate models on a task, or run a study, and print the table.

    Finished cells in the output folder are reused. Examples:

        trm-bench run --models trm,hrm,transformer --task maze-hard

        trm-bench run --study where-the-gain-is --seeds 0-2
    """
    options = Options(**given)
    if options.study is not None:
        from .run_study import run_study

        return run_study(host(), options)
    return _run_models(host(), options)


def _run_models(plugins: Host, options: Options) -> int:
    from ..planning.grid import plan
    from ..running.progress import console, counted

    request = _request(options)
    out = console()
    for problem in plugins.problems():
        out.print(f"plugin left out: {problem}", markup=False, soft_wrap=True)
    with counted(out) as progress:
        study = plan(plugins, request, progress)
    folder = options.output or Path("results") / f"{study.task.spec.name}-{request.scale}"
    announce(out, study, folder)
    workers = options.jobs or (cores() if request.device == "cpu" else 1)
    if options.dry_run:
        if options.as_json:
            echo_json({"study": None, "grids": [{"grid": None, **grid_as_json(study, folder, workers)}]})
        else:
            show_grid(study, folder, workers)
        return 0
    done = execute(out, plugins, study, folder, workers, options.force)
    print_report(plugins, [folder], options.as_json, not done, out)
    return 0 if done else 1


def _request(options: Options) -> RunRequest:
    """The command line read, as far as that goes without a task."""
    from ..planning.grid import RunRequest
    from ..planning.models import split_models
    from ..training.device import resolve_device

    names = split_models(required(options.models, "--models"))
    if not names:
        raise UsageError(f"--models {options.models!r} names no model; see trm-bench list models")
    task = required(options.task, "--task")
    seeds = parse_seeds(options.seeds or DEFAULT_SEEDS)
    kind = resolve_device(options.device).type
    return RunRequest(
        models=tuple(names),
        task=task,
        scale=options.scale or usual_scale(host(), task, kind),
        seeds=seeds,
        source=options.source,
        data=options.data,
        augmentations=options.augmentations,
        match=Match(options.match or Match.STEPS),
        limit=options.limit,
        evaluators=tuple(name.strip() for name in options.evaluators.split(",") if name.strip()),
        device=kind,
        settings=all_settings(options.settings),
    )

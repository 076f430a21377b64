"""The smaller verbs of the command line as functions: prepare, solve, score, export, dry run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import torch

from ..api.errors import NothingToReport, UsageError
from ..api.specs import Puzzle, SubmissionScore
from ..api.text import plural
from ..data.prepare import Prepared
from ..host.host import host
from ..inference.one_puzzle import Solved, judged, puzzle_row, trace
from ..planning.evaluation_mode import DEEPEST
from ..planning.find_weights import config_of, find_weights, model_part
from ..planning.grid import Grid, context_of
from ..planning.open_weights import OpenedWeights, open_weights
from ..planning.request import Request
from ..running.machine import product_rate
from ..running.progress import counted
from ..running.runner import Execution, grid_costs
from ..training.gpus import choose_device, torch_device
from ..weights.files import export_weights, read_weights
from .api import Call
from .grids import announce, console_of
from .options import CommonOptions, PathLike, path_of, paths_of, refuse_options, settings_of


def prepare(task: str, **options: Unpack[CommonOptions]) -> Prepared:
    """Make or read a task's puzzles ahead of a run; a later run finds them in the cache.

    Args:
        task: name of the task.
        **options: see `CommonOptions`; ``limit``, ``evaluators``, ``jobs``, ``gpus``, ``output`` and ``on``
            mean nothing here.

    Raises:
        UsageError: an unknown name or setting (the nearest is suggested), or an option that means nothing.
        DataError: a data file is missing or wrong; names it.
    """
    refuse_options("prepare", options, "limit", "evaluators", "jobs", "gpus", "output", "on")
    request = _data_request(options, task, choose_device(options.get("device")).kind)
    with counted(console_of(options)) as progress:
        return context_of(host(), request, task, options.get("scale"), progress).prepared


def _data_request(options: CommonOptions, task: str | None, device: str) -> Request:
    return Request(
        task=task,
        scale=options.get("scale"),
        source=options.get("source"),
        data=path_of(options.get("data")),
        train=paths_of(options.get("train")),
        test=paths_of(options.get("test")),
        device=device,
        settings=settings_of(options, CommonOptions),
    )


def open_model(
    weights: PathLike,
    *,
    model: str | None = None,
    weights_key: str | None = None,
    task: str | None = None,
    **options: Unpack[CommonOptions],
) -> OpenedWeights:
    """A model with the weights of a file or of a run, ready to predict.

    Args:
        weights: a file, or the folder of a run.
        model: name of the model of external weights; a run knows its own.
        weights_key: which weights of a file that holds several; by default the averaged ones.
        task: name of the task of external weights.
        **options: see `CommonOptions`; ``limit``, ``evaluators``, ``jobs``, ``output`` and ``on`` mean
            nothing here.

    Raises:
        UsageError: what is unknown about the weights and must be given, or does not fit.
        NothingToReport: the run has not finished.
        UnavailableError: there is no such file.
        DataError: the weights are not those of the model.
    """
    refuse_options("open_model", options, "limit", "evaluators", "jobs", "output", "on")
    placement = choose_device(options.get("device"), options.get("gpus"))
    gpu = placement.single("one model")
    request = Request(
        **{
            **vars(_data_request(options, task, placement.kind)),
            "models": () if model is None else (model,),
            "weights": (Path(weights),),
            "weights_key": weights_key,
        }
    )
    with counted(console_of(options)) as progress:
        return open_weights(host(), request, progress, gpu)


def parse_puzzles(opened: OpenedWeights, text: str) -> Sequence[Puzzle]:
    """The puzzles that a text holds, in the form of the model's task.

    Args:
        opened: from `open_model`.
        text: what `trm-bench solve` takes; see docs/solve.md.

    Raises:
        UsageError: the task reads no text, or the text is no puzzle; says what is wrong.
    """
    spec = opened.task.spec
    if spec.parse is None:
        able = [part.spec.name for part in host().tasks.parts if part.spec.parse is not None]
        raise UsageError(f"task {spec.name!r} reads no puzzles from text; {', '.join(able)} do")
    if not text.strip():
        raise UsageError("the puzzle is empty")
    return spec.parse(text, opened.prepared.info)


def solve(
    opened: OpenedWeights, puzzle: Puzzle, *, identity: str | None = None, steps: int | None = None
) -> Solved:
    """Predict one puzzle step by step, and compare with the solution and the rules.

    Args:
        opened: from `open_model`.
        puzzle: from `parse_puzzles`.
        identity: whose row of the puzzle embedding to use; by default the puzzle's own, or the blank one.
        steps: supervision steps; by default as trained.

    Raises:
        UsageError: an identity is named for a task without identities, or ``steps`` is out of range.
    """
    spec, prepared = opened.task.spec, opened.prepared
    if steps is not None and not 1 <= steps <= DEEPEST:
        raise UsageError(f"--steps {steps}: write a number of supervision steps from 1 to {DEEPEST:,}")
    if prepared.rows is None and identity is not None:
        raise UsageError(f"--identity {identity}: puzzles of {spec.name!r} have no identities; leave it out")
    row = puzzle_row(prepared, identity or puzzle.identity)
    found = trace(opened.reasoner, puzzle, row.number, opened.inference, steps)
    return judged(spec, prepared.info, puzzle, row, found)


def score(file: PathLike, task: str, settings: Mapping[str, str] | None = None) -> SubmissionScore:
    """Score a submission file in the form of the task's competition.

    Args:
        file: e.g. ``submission.json``.
        task: name of the task.
        settings: options of the task, such as ``{"revision": "f3283f7"}``.

    Raises:
        UsageError: the task scores no files.
        DataError: anything in the file is missing or malformed; names all of it.
    """
    spec = host().tasks.get(task).spec
    if spec.score_submission is None:
        able = [part.spec.name for part in host().tasks.parts if part.spec.score_submission is not None]
        raise UsageError(f"task {spec.name!r} scores no files; {', '.join(able)} do")
    return spec.score_submission(Path(file), dict(settings or {}))


def export(
    run: PathLike, output: PathLike, *, compiled: bool = False, force: bool = False
) -> tuple[str, Path, Path]:
    """Write the weights of a run in the names of the reference implementation.

    Returns the model's name, the file of weights and the configuration next to it.

    Args:
        run: folder of a finished run.
        output: file to write, ``.safetensors`` or ``.pt``.
        compiled: whether to put ``_orig_mod.`` before every name, as a compiled model's checkpoint has it.
        force: whether files that are there may be overwritten; those of a run never are.

    Raises:
        NothingToReport: the run has not finished, or has no weights.
        UsageError: the folder is not that of one finished run, the model has no reference, or something would
            be overwritten: a file of a run, or without ``force`` any other.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UsageError(f"export {folder}: name the folder of a run")
    found = find_weights([folder])
    if len(found) != 1:
        raise UsageError(f"export {folder}: {len(found)} runs with weights in it; name the folder of one")
    origin = found[0].origin
    if origin is None:
        raise NothingToReport(f"export {folder}: the run is not finished")
    part = model_part(host(), origin.identity)
    config = config_of(part, origin.identity, found[0].file)
    target = Path(output)
    weights = read_weights(found[0].file)
    side = export_weights(weights, part.spec, config, target, compiled=compiled, force=force)
    return origin.description.model, target, side


def dry_run(call: Call) -> list[dict[str, Any]]:
    """The runs of a planned call and their expected costs, grid by grid; each is announced as in a run."""
    costs = []
    for name, (grid, folder) in call.grids.items():
        if call.study is not None:
            call.execution.tell(f"study {call.study.definition.name}, grid {name}")
        announce(call.execution, grid, folder)
        modes = [] if call.study is None else [mode.label for mode in call.study.modes]
        if modes:
            call.execution.tell(f"then evaluated in {plural(len(modes), 'further mode')}, not counted below")
        costs.append({"grid": name, "evaluations": modes, **_grid_costs(grid, folder, call.execution)})
    if line := call.power.describe():
        call.execution.tell(line)
    return costs


def _grid_costs(grid: Grid, folder: Path, execution: Execution) -> dict[str, Any]:
    rows, broken = grid_costs(grid, folder, execution.force)
    total = sum(row["training_flops"] * row["to_run"] for row in rows)
    identity = grid.runs[0].identity
    places, queue, speed = execution.places, execution.queue, None
    if queue is None or queue.device is None:  # other machines are not measured
        torch.set_num_threads(identity.threads)
        device = torch_device(identity.device, places[0])
        speed = product_rate(device, identity.training["precision"]) * len(places)
    assert grid.budget is not None  # of training
    return {
        "task": grid.task.name,
        "scale": grid.context.scale,
        "device": grid.context.request.device,
        "folder": str(folder),
        "seeds": list(grid.context.request.seeds),
        "budget": grid.budget.model_dump(mode="json"),
        "puzzles": grid.context.puzzles,
        "notes": list(dict.fromkeys(note for model in grid.models for note in model.notes)),
        "not_citable_because": grid.all_reasons(),
        "models": rows,
        "failed": {name: str(error) for name, error in broken.items()},
        "flops_to_do": total,
        "workers": len(places),
        "flops_per_second": speed,
        "seconds_at_least": None if speed is None else total / speed,
    }

"""``trm-bench run --study``: every grid of a study, then its evaluations, then its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.errors import UsageError, nearest
from ..host.host import Host
from ..planning.evaluation_mode import EvaluationMode
from ..planning.study import (
    FILE,
    Declared,
    Grid,
    StudyDefinition,
    evaluated_folder,
    grid_folder,
    questions,
    read_definition,
)
from ..running.runner import (
    announce,
    command_line,
    cores,
    execute,
    execute_evaluation,
    grid_as_json,
    show_grid,
)
from .options import all_settings, parse_seeds
from .printing import print_report
from .terminal import echo_json

if TYPE_CHECKING:
    from rich.console import Console

    from ..api.specs import TaskSpec
    from ..planning.grid import RunRequest, Study
    from .run import Options


def run_study(plugins: Host, options: Options) -> int:
    """Run what is missing of a study and print its tables and answers.

    Raises:
        UsageError: an option that the study itself decides, or a folder that holds another study.
    """
    from ..data.prepare import scale_of
    from ..planning.evaluation import check_ways
    from ..planning.grid import plan
    from ..planning.models import parse_variant
    from ..running.progress import console, counted
    from ..training.device import resolve_device

    study = _definition(plugins, options)
    device = resolve_device(options.device).type
    scale = options.scale or ("paper" if device == "cuda" else "mini")
    spec = plugins.tasks.get(study.task).spec
    size = scale_of(spec, scale)
    folder = options.output or Path("results") / f"{study.name}-{scale}"
    workers = options.jobs or (cores() if device == "cpu" else 1)
    out, done = console(), True
    for problem in plugins.problems():
        out.print(f"plugin left out: {problem}", markup=False, soft_wrap=True)
    hows = [EvaluationMode.parse(text) for text in study.evaluations]
    grids: dict[str, Study] = {}
    for name, grid in study.grids.items():  # all of them before any is run, so that none is run in vain
        _check_shares(study, name, grid, spec)
        with counted(out) as progress:
            grids[name] = plan(plugins, _request(study, grid, size.steps, options, scale, device), progress)
        fewest = min(cell.identity.budget.augmentations for cell in grids[name].cells if cell.identity.budget)
        check_ways(study.task, size, grids[name].prepared, fewest, hows)
    costs: list[dict[str, Any]] = []
    for name, planned in grids.items():
        out.print(f"study {study.name}, grid {name}", markup=False, soft_wrap=True)
        announce(out, planned, grid_folder(folder, name))
        if options.dry_run and options.as_json:
            costs.append({"grid": name, **grid_as_json(planned, grid_folder(folder, name), workers)})
        elif options.dry_run:
            show_grid(planned, grid_folder(folder, name), workers)
        if options.dry_run:
            continue
        stands_for = {str(parse_variant(text)): kept for text, kept in planned.stands_for.items()}
        _claim(folder, Declared(study=study, scale=scale, stands_for={name: stands_for}))
        done &= execute(out, plugins, planned, grid_folder(folder, name), workers, options.force)
        if hows:
            trained, again = grid_folder(folder, name), evaluated_folder(folder, name)
            cells = [trained / cell.name for cell in planned.cells]
            done &= _evaluate(out, plugins, hows, cells, again, options, workers)
    if options.dry_run:
        if options.as_json:
            echo_json({"study": study.name, "grids": costs})
        return 0
    print_report(plugins, [folder], options.as_json, not done, out)
    return 0 if done else 1


def _has_weights(cell: Path) -> bool:
    from ..store.folders import WEIGHTS, Cell

    return Cell(cell).is_done() and (cell / WEIGHTS).is_file()


def _check_shares(study: StudyDefinition, name: str, grid: Grid, spec: TaskSpec) -> None:
    for scale in grid.share:
        if scale not in spec.scales:
            raise UsageError(
                f"study {study.name}: grids.{name}.share: task {spec.name!r} has no scale {scale!r}; "
                f"{nearest(scale, spec.scales)}"
            )


def _definition(plugins: Host, options: Options) -> StudyDefinition:
    """The study of that name or file.

    Raises:
        UsageError: it is neither, or an option says what the study says itself.
    """
    decided = {"--models": options.models, "--task": options.task, "--match": options.match}
    for option, value in {**decided, "--augmentations": options.augmentations}.items():
        if value is not None:
            raise UsageError(f"{option} goes without --study: the study {options.study} says it itself")
    assert options.study is not None
    path = Path(options.study)
    if path.suffix in (".yaml", ".yml"):
        return read_definition(path)
    return read_definition(plugins.studies.get(options.study).spec.file)


def _request(
    study: StudyDefinition, grid: Grid, steps: int, options: Options, scale: str, device: str
) -> RunRequest:
    from ..planning.grid import RunRequest

    declared = dict(grid.settings)
    if scale in grid.share:  # draws and FLOPs follow from the steps, see `study.plan`
        declared["steps"] = str(max(1, round(grid.share[scale] * steps)))
    return RunRequest(
        models=tuple(study.models),
        task=study.task,
        scale=scale,
        seeds=parse_seeds(options.seeds or study.seeds),
        source=options.source,
        data=options.data,
        augmentations=grid.augmentations,
        match=grid.match,
        limit=options.limit,
        evaluators=tuple(name.strip() for name in options.evaluators.split(",") if name.strip()),
        device=device,
        settings={**declared, **all_settings(options.settings)},
        declared=declared,
    )


def _claim(folder: Path, declared: Declared) -> None:
    """Write the definition into the study's folder, or check that it is the same study's.

    Raises:
        UsageError: the folder holds another study.
    """
    from ..planning.study import declared_in
    from ..store.folders import write_atomically

    present = declared_in(folder)
    if present is not None and (
        questions(present.study) != questions(declared.study) or present.scale != declared.scale
    ):
        raise UsageError(
            f"--output {folder} holds study {present.study.name} at scale {present.scale}, or another "
            "version of this one; choose another folder"
        )
    if present is not None:
        both = {**present.stands_for, **declared.stands_for}
        declared = declared.model_copy(update={"stands_for": both})
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FILE, declared.model_dump_json(indent=1).encode() + b"\n")


def _evaluate(
    out: Console,
    plugins: Host,
    hows: Sequence[EvaluationMode],
    cells: Sequence[Path],
    folder: Path,
    options: Options,
    workers: int,
) -> bool:
    """Evaluate trained weights in every further way that the study asks for."""
    from ..planning.evaluation import EvaluationRequest, plan_evaluation
    from ..training.device import resolve_device

    weights = tuple(cell for cell in cells if _has_weights(cell))
    if not weights:
        out.print("nothing to evaluate: no cell with weights is finished", soft_wrap=True)
        return False
    request = EvaluationRequest(
        weights=weights,
        hows=tuple(hows),
        source=options.source,
        data=options.data,
        limit=options.limit,
        device=resolve_device(options.device).type,
        declared=True,
    )
    planned = plan_evaluation(plugins, request, folder, command_line())
    return execute_evaluation(out, plugins, planned, workers, options.force)

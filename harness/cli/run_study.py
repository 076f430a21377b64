"""``trm-bench run --study``: every grid of a study, then its evaluations, then its answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..definition import (
    FILE,
    Declared,
    Grid,
    StudyDefinition,
    evaluated_folder,
    grid_folder,
    questions,
    read_definition,
)
from ..errors import UsageError
from ..host import Host
from .execute import announce, command_line, cores, execute, execute_evaluation, print_report, show_grid
from .options import all_settings, parse_seeds

if TYPE_CHECKING:
    from rich.console import Console

    from ..study import RunRequest
    from .run import Options


def run_study(plugins: Host, options: Options) -> int:
    """Run what is missing of a study and print its tables and answers.

    Raises:
        UsageError: an option that the study itself decides, or a folder that holds another study.
    """
    from ..data import scale_of
    from ..device import resolve_device
    from ..progress import console, counted
    from ..study import plan
    from ..variants import parse_variant

    study = _definition(plugins, options)
    device = resolve_device(options.device).type
    scale = options.scale or ("paper" if device == "cuda" else "mini")
    size = scale_of(plugins.tasks.get(study.task).spec, scale)
    folder = options.output or Path("results") / f"{study.name}-{scale}"
    workers = options.jobs or (cores() if device == "cpu" else 1)
    out, done = console(), True
    for problem in plugins.problems():
        out.print(f"plugin left out: {problem}", markup=False, soft_wrap=True)
    for name, grid in study.grids.items():
        request = _request(study, grid, size.steps, options, scale, device)
        with counted(out) as progress:
            planned = plan(plugins, request, progress)
        out.print(f"study {study.name}, grid {name}", markup=False)
        announce(out, planned, grid_folder(folder, name))
        if options.dry_run:
            show_grid(planned, grid_folder(folder, name), workers)
            continue
        stands_for = {str(parse_variant(text)): kept for text, kept in planned.stands_for.items()}
        _claim(folder, Declared(study=study, scale=scale, stands_for=stands_for))
        done &= execute(out, plugins, planned, grid_folder(folder, name), workers, options.force)
        if study.evaluations:
            trained, again = grid_folder(folder, name), evaluated_folder(folder, name)
            done &= _evaluate(out, plugins, study.evaluations, trained, again, options, workers)
    if options.dry_run:
        return 0
    print_report(plugins, [folder], options.as_json, not done, out)
    return 0 if done else 1


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
    from ..study import RunRequest

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
    from ..definition import declared_in
    from ..store import write_atomically

    present = declared_in(folder)
    if present is not None and (
        questions(present.study) != questions(declared.study) or present.scale != declared.scale
    ):
        raise UsageError(
            f"--output {folder} holds study {present.study.name} at scale {present.scale}, or another "
            "version of this one; choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FILE, declared.model_dump_json(indent=1).encode() + b"\n")


def _evaluate(
    out: Console, plugins: Host, hows: list[str], trained: Path, folder: Path, options: Options, workers: int
) -> bool:
    """Evaluate trained weights in every further way that the study asks for."""
    from ..device import resolve_device
    from ..errors import NothingToReport
    from ..evaluation import EvaluationRequest, How, plan_evaluation

    request = EvaluationRequest(
        weights=(trained,),
        hows=tuple(How.parse(text) for text in hows),
        data=options.data,
        limit=options.limit,
        device=resolve_device(options.device).type,
    )
    try:
        planned = plan_evaluation(plugins, request, folder, command_line())
    except NothingToReport as error:
        out.print(f"not evaluated: {error}", markup=False, soft_wrap=True)
        return False
    return execute_evaluation(out, plugins, planned, workers)

"""Carry requests out: grids of models, evaluations, studies. What `trm_bench.run` and `evaluate` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ..api.errors import NothingToReport, TrmBenchError, UnavailableError, UsageError
from ..data.prepare import scale_of, usual_scale
from ..host.host import Host
from ..planning.evaluation_grid import check_modes
from ..planning.evaluation_mode import EvaluationMode
from ..planning.grid import Grid, context_of
from ..planning.models import parse_variant
from ..planning.planner import plan
from ..planning.request import Request, Value
from ..planning.settings import parse_seeds, read_settings
from ..planning.study import (
    Declared,
    GridDefinition,
    StudyDefinition,
    declared_in,
    evaluated_folder,
    grid_folder,
    placed,
    questions,
    read_definition,
    write_declared,
)
from ..planning.study_checks import check_evaluations, check_scales, twins
from ..report.read import Reading, read_folders
from ..running.progress import console, counted
from ..running.runner import Execution, Finish, announcement, begin
from ..store.folders import WEIGHTS, RunFolder
from ..store.records import Status
from ..training.device import resolve_device
from .results import Results


def plan_quietly(execution: Execution, request: Request) -> Grid:
    """Plan a request, showing how puzzles are made."""
    with counted(execution.out) as progress:
        return plan(execution.host, request, progress, fetch=not execution.dry)


def announce(execution: Execution, grid: Grid, folder: Path) -> None:
    """Tell what will be run, on which puzzles, and why it may not be cited."""
    for line in announcement(grid, folder):
        execution.tell(line)


def carry_out(
    execution: Execution, grid: Grid, folder: Path, finish: Finish | None = None
) -> dict[str, Status]:
    """Announce a grid and carry it out, or ``finish`` one that was begun.

    A model of which no run could be planned has its name for a run's.
    """
    announce(execution, grid, folder)
    failed = dict.fromkeys(grid.without_runs, Status.FAILED)
    return {**(finish or begin(execution, grid, folder))(), **failed}


def results_of(folders: Sequence[Path], statuses: Mapping[str, Status]) -> Results:
    """The results of some folders after a call that left these statuses."""
    reading = read_folders(folders)
    return Results(reading, _failures(reading, statuses))


def _failures(reading: Reading, statuses: Mapping[str, Status]) -> dict[str, str]:
    """Why each run did not finish; a run that --force was to repeat still has its earlier result."""
    reasons = {
        run.name: run.reason if run.samples is None else "failed; the result that is there was kept"
        for run in reading.runs
    }
    return {
        name: reasons.get(name) or status.value
        for name, status in statuses.items()
        if status is not Status.DONE
    }


@dataclass(frozen=True)
class PlannedStudy:
    """A study with all of its grids planned, before any is run."""

    definition: StudyDefinition
    scale: str
    folder: Path
    grids: Mapping[str, Grid]

    @property
    def modes(self) -> tuple[EvaluationMode, ...]:
        """The evaluations of trained weights that the study declares."""
        return tuple(EvaluationMode.parse(text) for text in self.definition.evaluations)


def find_definition(host: Host, study: str | Path) -> StudyDefinition:
    """The study of that name or YAML file.

    Raises:
        UsageError: there is none of that name, or the file is no study.
    """
    path = Path(study)
    if path.suffix in (".yaml", ".yml"):
        return read_definition(path)
    return read_definition(host.studies.get(str(study)).spec.file)


def plan_study(
    execution: Execution, study: StudyDefinition, base: Request, folder: Path | None
) -> PlannedStudy:
    """Plan every grid of a study; ``base`` has the scale, seeds, device and other options of the call.

    Raises:
        UsageError: a scale or an evaluation does not fit the task, the models or the study.
    """
    spec = execution.host.tasks.get(study.task).spec
    scale = base.scale or usual_scale(spec)
    size = scale_of(spec, scale)
    check_scales(study, spec, scale, _file_of(execution.host, study))
    modes = [EvaluationMode.parse(text) for text in study.evaluations]
    grids: dict[str, Grid] = {}
    for name, grid in study.grids.items():
        with placed(f"study {study.name}: grids.{name}"):
            read_settings(grid.settings, spec.options)
        grids[name] = plan_quietly(execution, _grid_request(execution, study, grid, base, scale))
        budgets = [run.identity.budget for run in grids[name].runs]
        fewest = min(budget.augmentations for budget in budgets if budget is not None)
        check_modes(study.task, size, grids[name].context.prepared, fewest, modes)
        for problem in check_evaluations(study, name, grids[name], modes):
            execution.tell(f"left out: {problem}")
    for line in twins(grids):
        execution.tell(line)
    return PlannedStudy(study, scale, folder or Path("results") / f"{study.name}-{scale}", grids)


def _file_of(host: Host, study: StudyDefinition) -> str:
    """The file of a registered study, for a message."""
    files = [part.spec.file for part in host.studies.parts if part.spec.name == study.name]
    return next((str(file) for file in files if read_definition(file) == study), "its file")


def _grid_request(
    execution: Execution, study: StudyDefinition, grid: GridDefinition, base: Request, scale: str
) -> Request:
    request = replace(
        base,
        models=tuple(study.models),
        task=study.task,
        scale=scale,
        seeds=base.seeds or parse_seeds(study.seeds),
        augmentations=grid.augmentations,
        match=grid.match,
        settings={**grid.settings, **base.settings},
        declared=dict(grid.settings),
    )
    if scale not in grid.share:
        return request
    # Draws and FLOPs follow from the steps, see `training_grid.budget_of`.
    steps = max(1, round(grid.share[scale] * _scale_steps(execution, request, study.task)))
    declared: dict[str, Value] = {**grid.settings, "steps": steps}
    return replace(request, settings={**declared, **base.settings}, declared=declared)


def _scale_steps(execution: Execution, request: Request, task: str) -> int:
    """Optimiser steps of the scale's budget on the puzzles of a request."""
    with counted(execution.out) as progress:
        context = context_of(execution.host, request, task, request.scale, progress, fetch=not execution.dry)
    return context.size.optimiser_steps(context.prepared.counts["train"], context.settings.batch_size)


def run_study(execution: Execution, planned: PlannedStudy) -> dict[str, Status]:
    """Carry out every grid of a study, then its evaluations.

    Raises:
        UsageError: the folder holds another study.
    """
    statuses: dict[str, Status] = {}
    begun: dict[str, Finish] = {}
    if execution.queue is not None:  # all of them at once, before the first is waited for
        for name, grid in planned.grids.items():
            claim_study(planned, name, grid)
            begun[name] = begin(execution, grid, grid_folder(planned.folder, name))
    for name, grid in planned.grids.items():
        execution.tell(f"study {planned.definition.name}, grid {name}")
        claim_study(planned, name, grid)
        folder = grid_folder(planned.folder, name)
        statuses |= carry_out(execution, grid, folder, begun.get(name))
        if planned.modes:
            statuses |= _evaluate(execution, planned, name, grid, folder)
    return statuses


def claim_study(planned: PlannedStudy, name: str, grid: Grid) -> None:
    """Write the definition into the study's folder, or check that it is the same study's.

    Raises:
        UsageError: the folder holds another study.
    """
    resolved = {name: {str(parse_variant(text)): kept for text, kept in grid.resolved.items()}}
    present = declared_in(planned.folder)
    if present is not None:
        same = questions(present.study) == questions(planned.definition) and present.scale == planned.scale
        if not same:
            raise UsageError(
                f"--output {planned.folder} holds study {present.study.name} at scale {present.scale}, or "
                "another version of this one; choose another folder"
            )
        resolved = {**present.resolved, **resolved}
    declared = Declared(study=planned.definition, scale=planned.scale, resolved=resolved)
    planned.folder.mkdir(parents=True, exist_ok=True)
    write_declared(planned.folder, declared)


def _evaluate(
    execution: Execution, planned: PlannedStudy, name: str, grid: Grid, trained: Path
) -> dict[str, Status]:
    """Evaluate trained weights in every further mode that the study declares."""
    folders = [trained / run.name for run in grid.runs]
    weights = tuple(path for path in folders if (path / WEIGHTS).is_file() and RunFolder(path).is_done())
    if not weights:
        execution.tell("nothing to evaluate: no run with weights is finished")
        return {}
    request = replace(
        grid.context.request,
        models=(),
        seeds=(),
        task=None,
        scale=None,
        weights=weights,
        modes=planned.modes,
        settings={},
        declared={},
        study=True,
    )
    try:
        again = plan_quietly(execution, request)
    except NothingToReport as problem:  # the models that could be evaluated so have not finished
        execution.tell(str(problem))
        return {}
    return carry_out(execution, again, evaluated_folder(planned.folder, name))


def resumable(folder: Path, requests: Sequence[tuple[Path, Request]]) -> Sequence[tuple[Path, Request]]:
    """The requests that an output folder knows.

    Raises:
        UsageError: it is a study's.
        NothingToReport: it knows none.
        UnavailableError: there is no such folder.
    """
    if not folder.is_dir():
        raise UnavailableError(f"{folder}: no such folder")
    declared = declared_in(folder)
    if declared is not None:
        raise UsageError(
            f"{folder} belongs to a study: trm-bench run --study {declared.study.name} --scale "
            f"{declared.scale} --output {folder} resumes it"
        )
    if not requests:
        raise NothingToReport(f"{folder}: no run into it is known; name the folder of a run's --output")
    return requests


def moved(folder: Path, request: Request, data: Path | None) -> Request:
    """A kept request with the folder that its files are in now.

    Raises:
        UsageError: its runs read no files.
        UnavailableError: its files are gone.
    """
    if data is not None and not request.reads_files:
        raise UsageError(f"--data {data}: the runs in {folder} read no files; leave it out")
    if data is not None:
        train, test = (
            tuple(path if path.exists() else data / path.name for path in paths)
            for paths in (request.train, request.test)
        )
        request = replace(request, data=request.data and data, train=train, test=test)
    for path in (request.data, *request.train, *request.test):
        if path is not None and not path.exists():
            raise UnavailableError(
                f"{path}: no such file or folder, and the runs in {folder} read their puzzles from it; if it "
                f"was moved: trm-bench resume {folder} --data DIR"
            )
    return request


def refuse_missing_device(folder: Path, request: Request) -> None:
    """Refuse to resume runs whose device is not here: on another one they would be other runs.

    Raises:
        UnavailableError: it is missing; nothing has been written.
    """
    try:
        resolve_device(request.device)
    except TrmBenchError as error:
        raise UnavailableError(
            f"{folder}: its runs are for {request.device}, which is missing on this machine or in this build "
            "of torch; resume them where it is, or run them here with another --output"
        ) from error


def console_of(options: Mapping[str, Any]) -> Console:
    """Where a call shows its progress; without ``progress=True`` a console that prints nothing."""
    return console() if options.get("progress") else Console(stderr=True, quiet=True)

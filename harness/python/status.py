"""`trm_bench.status`, `cancel` and `run_one`: runs of an output folder, one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Unpack

from ..api.errors import NothingToReport, UnavailableError, UsageError, nearest
from ..api.runners import JobState, Phase
from ..host.host import host
from ..planning.grid import Grid
from ..planning.request import read_requests
from ..planning.study import declared_in, leaves
from ..running.processes import run_jobs
from ..running.progress import GridProgress
from ..running.queue import queue_of
from ..running.queued_jobs import belongs, last_lines, without_log
from ..running.queued_jobs import cancel as cancel_jobs
from ..running.ranks import places_of
from ..running.runner import claim, work_of
from ..store.checked import DamagedResult
from ..store.folders import METRICS, Output, RunFolder
from ..store.locks import holder_of
from ..store.records import Manifest, Status
from ..store.requests import read_requested
from ..store.submitted import SubmittedRun, read_submitted
from ..training.gpus import Gpus
from .api import Call, execution_of, placement_of, prepare_run
from .grids import announce, claim_study, plan_quietly
from .options import CommonOptions, Names, PathLike, RunOptions

NEVER = "not started"


@dataclass(frozen=True)
class RunStatus:
    """How a requested run fares.

    Attributes:
        folder: output folder that it is in.
        run: name of its own folder.
        model, seed: as in the table.
        state: not started, queued, running, done, failed, interrupted or cancelled.
        spent: share of the training budget used, 0 to 1.
        seconds_left: of training, as long as what was done took; None where it is not running.
        job: the runner and its id, e.g. ``slurm 12_3``; empty for a run that no runner has.
        host: the machine that it was last begun on.
        why: why it is queued, or did not finish.
        log: the last lines of its job's log, where it did not finish.
    """

    folder: str
    run: str
    model: str
    seed: int
    state: str
    spent: float = 0.0
    seconds_left: float | None = None
    job: str = ""
    host: str = ""
    why: str = ""
    log: str = ""


def status(folder: PathLike) -> list[RunStatus]:
    """How every run that was requested of an output folder, or of a study's, fares. Nothing is written.

    Raises:
        UnavailableError: there is no such folder.
        NothingToReport: no run was requested of it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UnavailableError(f"{root}: no such folder")
    found = [one for leaf in leaves([root]) for one in _of_leaf(leaf)]
    if not found:
        raise NothingToReport(f"{root}: no run into it is known; name the folder of a run's --output")
    return found


def _of_leaf(leaf: Path) -> Iterator[RunStatus]:
    submitted = read_submitted(leaf)
    states = _states(leaf, submitted)
    for wanted in read_requested(leaf):
        run, job = RunFolder(leaf / wanted.run), submitted.get(wanted.run)
        manifest: Manifest | None = None
        with suppress(DamagedResult):
            manifest = run.manifest()
        state = None if job is None else states.get(job.job, JobState(Phase.ENDED))
        name, why = _state(run, manifest, job, state)
        spent = 1.0 if name == Status.DONE.value else _spent(run)
        if job is not None and job.fresh and not (manifest and belongs(manifest, job)):
            spent = 0.0  # what is there is of the run that it repeats
        unfinished = name in (Status.FAILED.value, Status.INTERRUPTED.value, "cancelled")
        log = ""
        if unfinished and job is not None:
            with suppress(UsageError):
                queue = queue_of(host(), job.runner)
                log = last_lines(queue, job, leaf)
                why += without_log(queue, job, leaf) if manifest is None and not job.cancelled else ""
        yield RunStatus(
            folder=str(leaf),
            run=wanted.run,
            model=wanted.model,
            seed=wanted.seed,
            state=name,
            spent=spent,
            seconds_left=_left(manifest, spent) if name == Status.RUNNING.value else None,
            job="" if job is None else f"{job.runner} {job.job}",
            host="" if manifest is None else str(manifest.environment.get("host") or ""),
            why=why,
            log=log,
        )


def _states(leaf: Path, submitted: Mapping[str, SubmittedRun]) -> dict[str, JobState]:
    """Of the jobs of a folder; of a runner that does not answer here nothing is known."""
    found: dict[str, JobState] = {}
    for runner in {one.runner for one in submitted.values()}:
        mine = [one for one in submitted.values() if one.runner == runner]
        try:
            found |= queue_of(host(), runner).states(mine, leaf)
        except (UsageError, UnavailableError) as error:
            found |= {one.job: JobState(Phase.QUEUED, f"unknown: {error}") for one in mine}
    return found


def _state(
    run: RunFolder, manifest: Manifest | None, job: SubmittedRun | None, state: JobState | None
) -> tuple[str, str]:
    """What to call it, and why."""
    waits = state is not None and state.phase is not Phase.ENDED
    repeats = waits and job is not None and job.fresh and not (manifest and belongs(manifest, job))
    if manifest is not None and manifest.status is Status.DONE and not repeats:
        return (Status.DONE.value, "") if run.is_done() else (Status.FAILED.value, "its files are damaged")
    if waits and not (job is not None and job.cancelled):
        assert state is not None
        begun = manifest is not None and job is not None and belongs(manifest, job)
        if state.phase is Phase.RUNNING and begun:  # the lock is its own
            return Status.RUNNING.value, ""
        marked = _marked(run) if state.phase is Phase.RUNNING else ""
        starts = "it is starting, or waits for a free place" if state.phase is Phase.RUNNING else ""
        return "queued", state.reason or marked or starts
    if job is not None and job.cancelled:
        return "cancelled", ""
    if manifest is None:
        return (NEVER, "") if state is None else (Status.FAILED.value, state.reason or "its job ended")
    if manifest.status is Status.RUNNING:
        if holder_of(run.folder.parent, run.name) is not None:
            return Status.RUNNING.value, _marked(run)
        reason = "" if state is None else state.reason
        return Status.INTERRUPTED.value, reason or "its process is gone; the same command continues it"
    return manifest.status.value, manifest.error or ("" if state is None else state.reason)


def _marked(run: RunFolder) -> str:
    """Whose mark keeps others from the run, and the file to delete; empty where the file system has locks."""
    holder = holder_of(run.folder.parent, run.name)
    return "" if holder is None or holder.mark is None else f"marked by {holder}{holder.advice}"


def _spent(run: RunFolder) -> float:
    """Of the last line of metrics that has it."""
    with suppress(OSError), (run.folder / METRICS).open("rb") as stream:
        stream.seek(max(0, stream.seek(0, 2) - 4096))
        for line in reversed(stream.read().splitlines()):
            with suppress(ValueError, AttributeError):
                if (spent := json.loads(line).get("spent")) is not None:
                    return float(spent)
    return 0.0


def _left(manifest: Manifest | None, spent: float) -> float | None:
    if manifest is None or spent <= 0:
        return None
    passed = (datetime.now(UTC) - datetime.fromisoformat(manifest.started)).total_seconds()
    return None if manifest.resumed else passed / spent * (1 - spent)


def cancel(folder: PathLike, *runs: str) -> list[str]:
    """Cancel runs that are queued or running on a runner, by default all of a folder's; gives their names.

    What a run has saved stays: running the same command again continues it.

    Raises:
        UnavailableError: there is no such folder.
        UsageError: a run of that name is not queued or running.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UnavailableError(f"{root}: no such folder")
    cancelled = []
    for leaf in leaves([root]):
        mine = [name for name in runs if name in read_submitted(leaf)]
        if mine or not runs:
            cancelled += cancel_jobs(host(), leaf, mine)
    if missing := [name for name in runs if name not in cancelled]:
        raise UsageError(f"{missing[0]}: no job of it is queued or running; trm-bench status {root}")
    return cancelled


def plan(models: Names = (), task: str | None = None, **options: Unpack[RunOptions]) -> list[tuple[str, str]]:
    """Write the plan of a call of `run` to its output folder; gives folder and name of each run.

    `run_one` carries them out, in any order and on any machine that sees the folder.

    Args:
        models: as for `trm_bench.run`.
        task: as for `trm_bench.run`.
        **options: as for `trm_bench.run`.

    Raises:
        UsageError: the folder belongs to other runs, or another process is writing to it.
    """
    return planned_runs(prepare_run(models, task, **options))


def planned_runs(call: Call) -> list[tuple[str, str]]:
    """As `plan`, for a call that is planned already."""
    if call.grid is not None and call.grid.context.request.until_decided:
        raise UsageError(
            "--until-decided: which seeds are run depends on the looks, so that no plan can be written; "
            "leave --plan-only out (--on submits the runs of one look after the other)"
        )
    if call.execution.queue is not None:
        raise UsageError(
            f"--plan-only cannot be combined with --on {call.execution.queue.spec.name}: it submits nothing. "
            "Leave --on out, and carry each line out with trm-bench run-one"
        )
    if call.execution.force:
        raise UsageError(
            "--plan-only cannot be combined with --force: run-one never repeats a finished run. "
            "Leave --force out"
        )
    if call.study is not None:
        for name, grid in call.study.grids.items():
            claim_study(call.study, name, grid)
        if call.study.modes:
            call.execution.tell("repeat run --study afterwards: it makes the study's further evaluations")
    for grid, folder in call.grids.values():
        announce(call.execution, grid, folder)
    return [
        (str(folder), job.run.name)
        for grid, folder in call.grids.values()
        for job in claim(call.execution, grid, folder)
    ]


def run_one(
    folder: PathLike,
    run: str,
    *,
    device: str | None = None,
    gpus: Gpus | None = None,
    progress: bool = False,
    command: tuple[str, ...] = (),
) -> RunStatus:
    """Carry out one planned run of an output folder, from its last checkpoint, under a lock of its own.

    Args:
        folder: output folder.
        run: name of the run, as `plan` or `status` gives it.
        device: as for `trm_bench.run`; by default that of the plan.
        gpus: as for `trm_bench.run`; one.
        progress: as for `trm_bench.run`.
        command: as for `trm_bench.run`.

    Raises:
        UsageError: the run is not planned there, or another process is carrying it out.
        UnavailableError: its device or files are not here.
    """
    root = Path(folder)
    grid = _grid_with(root, run)
    if run not in {one.run for one in read_requested(root)}:  # as seeds that no look has asked for yet
        raise UsageError(f"{run}: not among the runs of {root} so far; trm-bench status {root} lists them")
    (job,) = [job for job in grid.jobs if run in {one.name for one in job.runs}]
    planned = grid.context.request.device
    options: CommonOptions = {"progress": progress, "command": command, "gpus": gpus}
    options["device"] = device or planned
    placement = placement_of(options)
    if placement.kind != planned:
        raise UsageError(f"--device {device}: {run} is planned for {planned}; leave it out")
    execution = execution_of(options, placement)
    processes = job.execution.processes
    place = placement.single("run-one") if processes == 1 else places_of(placement.gpus, processes)[0]
    if (holder := holder_of(root, job.run.name)) is not None:
        raise UsageError(
            f"{run}: another process{holder.which} is carrying it out; trm-bench status {root}{holder.advice}"
        )
    output = Output(root)
    output.run(job.run.name).restore()  # what a killed --force had set aside
    names = {one.name for one in job.runs}
    todo = [one for one in grid.missing(output) if one.run.name in names]
    if todo:
        jobs = [replace(one, folder=root.resolve(), command=command) for one in todo]
        with GridProgress(execution.out, work_of(grid, jobs), 1) as watch:
            run_jobs(jobs, host(), watch, (place,))
    return next(one for one in _of_leaf(root) if one.run == run)


def _grid_with(folder: Path, run: str) -> Grid:
    """Plan the request that a run belongs to."""
    if not folder.is_dir():
        raise UnavailableError(f"{folder}: no such folder")
    if declared_in(folder) is not None:
        raise UsageError(f"{folder} belongs to a study: name the folder of one of its grids")
    execution = execution_of({}, placement_of({"device": "cpu"}))
    names: list[str] = []
    for request in reversed(read_requests(folder)):
        grid = plan_quietly(execution, request)
        planned = [one.name for one in grid.runs]
        if run in planned:
            return grid
        names += planned
    raise UsageError(f"{run}: not planned in {folder}; {nearest(run, names)}")

"""Carry a grid out: claim its folder, run what is missing, account for every run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from ..api.errors import Detached, PluginError, UsageError
from ..api.reasoner import Reasoner
from ..api.text import plural
from ..data.prepare import Prepared
from ..host.calls import calling, plugins_aside
from ..host.host import Host
from ..planning.grid import Grid
from ..planning.job import Job, PlannedRun
from ..planning.models import ResolvedModel, parse_variant
from ..planning.request import Request, add_request
from ..store.folders import Output
from ..store.locks import is_running, locked
from ..store.records import Status
from ..store.requests import RequestedRun, add_requested
from ..store.submitted import SubmittedRun
from ..training.checkpoint import checkpoint_problem
from ..training.costs import build_shapes, count_flops, count_parameters
from ..training.gpus import Gpu
from .memory_plan import memory_plan
from .processes import Watch, run_jobs
from .progress import GridProgress, Work
from .queue import Queue
from .queued_jobs import active, describe, follow, submit
from .ranks import places_of
from .rescore import rescore
from .run import fail, first_manifest


def command_line() -> tuple[str, ...]:
    """The command that was typed, for manifests."""
    return ("trm-bench", *(shlex.quote(argument) for argument in sys.argv[1:]))


def announcement(grid: Grid, folder: Path) -> list[str]:
    """Lines that announce the runs, puzzles, budget, and why they may not be cited."""
    context, request = grid.context, grid.context.request
    where = f"{grid.task.name} at scale {context.scale} on {request.device}"
    lines = [scale_line(grid), *(f"left out: {what}" for what in grid.left_out)]
    if grid.budget is None:
        passes = "one pass" if len(grid.jobs) == 1 else f"{len(grid.jobs)} passes"
        evaluations = plural(len(grid.runs), "evaluation")
        lines.append(f"{where}: {evaluations} in {passes} over the {request.split} set, to {folder}")
    else:
        models = plural(len(grid.models), "model")
        seeds = plural(len({run.identity.seed for run in grid.runs}), "seed")
        size = f"{models} × {seeds} = {plural(len(grid.runs), 'run')}"
        lines += [f"{where}: {size}, to {folder}", grid.budget.describe()]
    unknown = "; finished runs are not recognised" if context.missing_source else ""
    lines.append(f"puzzles: {context.puzzles}{unknown}")
    lines += _resolutions(grid)
    lines += [
        f"{text} is the same as {kept} here"
        for text, kept in grid.resolved.items()
        if str(parse_variant(text)) != kept
    ]
    lines += dict.fromkeys(note for model in grid.models for note in model.notes)
    lines += [f"read {file.name} ({file.rows:,} rows)" for file in context.prepared.source.files]
    lines += [f"failed: {error}" for error in grid.broken.values()]
    return lines + [f"not citable: {reason}" for reason in grid.reasons_by_models()]


def _resolutions(grid: Grid) -> list[str]:
    """Which rows have other names than were typed; of the many settings of a search only other models."""
    if grid.context.request.split == "test":
        names = {str(model.requested): model.name for model in grid.models}
    else:
        names = {model.requested.name: model.part.spec.name for model in grid.models}
    return [f"{typed} resolves to {name}" for typed, name in names.items() if typed != name]


def scale_line(grid: Grid) -> str:
    """A line on the scale: its size, how long a run takes, and how to run the published size."""
    size, scales = grid.context.size, grid.task.scales
    length = size.length if size.epochs is not None else ""  # steps are told with the budget
    line = "; ".join(filter(None, (f"scale {size.name}: {size.summary}", length, size.takes)))
    if size.name == "mini" and "paper" in scales:
        line += "; the published size is --scale paper"
    return line


@dataclass(frozen=True)
class Execution:
    """How grids are carried out.

    Attributes:
        out: console for progress.
        places: where runs are carried out side by side: a GPU each, or None on other devices.
        force: whether finished runs are repeated.
        command: what the user typed.
        dry: whether nothing will be run, so that no puzzles are downloaded.
        queue: the runner of ``--on``; None for processes of this one.
    """

    host: Host
    out: Console
    places: tuple[Gpu | None, ...]
    force: bool = False
    command: tuple[str, ...] = ()
    dry: bool = False
    queue: Queue | None = None

    @property
    def workers(self) -> int:
        """Runs side by side."""
        return len(self.places)

    def tell(self, line: str) -> None:
        """Print a line for the user; a terminal that is gone must not end the runs."""
        with suppress(OSError):
            self.out.print(line, markup=False, soft_wrap=True)


Finish = Callable[[], dict[str, Status]]
"""Waits for what a runner has; gives the status of every run by name."""


def begin(execution: Execution, grid: Grid, folder: Path) -> Finish:
    """Submit the runs of a grid that are not done to the runner of ``--on``, or carry them out here.

    Raises:
        UsageError: the folder belongs to other runs, another process is writing to it, or the settings of
            ``--on`` give a run fewer cores or GPUs than it has processes.
        UnavailableError: it cannot be written to, or there are fewer GPUs than a run has processes.
    """
    processes = grid.context.settings.execution_config().processes
    queue = check_room(execution, grid)
    execution = replace(execution, places=places_of(execution.places, processes), queue=queue)
    results = Output(folder)
    results.claim(grid.common())
    with locked(folder, execution.tell) as lock:
        queued = active(execution.host, folder, [run.name for run in grid.runs])
        _refuse_queued(execution.queue, folder, queued)
        for run in grid.runs:
            if run.name not in queued and not is_running(folder, run.name):
                results.run(run.name).restore()  # what a killed --force had set aside
        scored = 0 if execution.force else rescore(execution.host, results, grid.jobs)
        _record(grid, folder)  # after scoring: a request whose evaluators cannot score is not kept
        repeated = {one.run for one in queued.values() if one.fresh}
        jobs = [
            replace(job, folder=folder, command=execution.command, fresh=execution.force)
            for job in grid.missing(results, execution.force, repeated)
        ]
        _tell_what_is_there(execution, results, grid, jobs)
        if scored:
            names = ", ".join(part.name for part in grid.runs[0].scored_by)
            execution.tell(f"{plural(scored, 'finished run')} scored from stored predictions: {names}")
        if execution.queue is None:
            statuses = _run(execution, grid, results, jobs, partial(_in_processes, execution, lock))
            return lambda: statuses
        jobs = [replace(job, folder=folder.resolve()) for job in jobs]
        jobs, statuses = _without_broken(grid, jobs)
        jobs, submitted = submit(execution.queue, jobs, queued, folder, execution.places)
        if jobs:
            new = sum(job.run.name not in queued for job in jobs)
            execution.tell(describe(execution.queue, jobs, submitted, new))
    return lambda: statuses | _run(execution, grid, results, jobs, partial(_follow, execution, submitted))


def check_room(execution: Execution, grid: Grid) -> Queue | None:
    """The runner of ``--on`` with a core or GPU for each process of a run.

    Raises:
        UsageError: its settings have fewer.
    """
    processes = grid.context.settings.execution_config().processes
    return None if execution.queue is None else execution.queue.with_room(processes)


def claim(execution: Execution, grid: Grid, folder: Path) -> list[Job]:
    """Write a grid's plan into its folder and run nothing; gives the jobs that are to do.

    Raises:
        UsageError: the folder belongs to other runs, or another process is writing to it.
        UnavailableError: it cannot be written to.
    """
    results = Output(folder)
    results.claim(grid.common())
    with locked(folder, execution.tell):
        _record(grid, folder)
        return grid.missing(results)


def _record(grid: Grid, folder: Path) -> None:
    """Keep what was requested: for the report to account for, and for `resume` to repeat."""
    add_requested(folder, [_requested(run, grid.context.request) for run in grid.runs])
    if not grid.context.request.weights:
        add_request(folder, grid.context.request)


def _refuse_queued(queue: Queue | None, folder: Path, queued: Mapping[str, SubmittedRun]) -> None:
    """Only the runner that has a job knows how it fares."""
    others = [one for one in queued.values() if queue is None or one.runner != queue.spec.name]
    if others:
        one, how_many = others[0], plural(len(others), "run")
        raise UsageError(
            f"{folder}: {how_many} queued or running on {one.runner}, e.g. {one.run} as job "
            f"{one.job}: add --on {one.runner} to follow, or cancel with trm-bench cancel {folder}"
        )


Carry = Callable[[Sequence[Job], Watch], dict[str, Status]]
"""Carries jobs out."""


def _in_processes(
    execution: Execution, lock: int | None, jobs: Sequence[Job], watch: Watch
) -> dict[str, Status]:
    return run_jobs(jobs, execution.host, watch, execution.places, lock)


def _follow(
    execution: Execution, submitted: Mapping[str, SubmittedRun], jobs: Sequence[Job], watch: Watch
) -> dict[str, Status]:
    assert execution.queue is not None
    try:
        return follow(execution.queue, jobs, submitted, execution.host, watch)
    except KeyboardInterrupt:
        folder = jobs[0].folder
        execution.tell(
            f"detached: the jobs continue. The same command follows them again; trm-bench status {folder} "
            f"shows them, and trm-bench cancel {folder} cancels them"
        )
        raise Detached from None


def _requested(run: PlannedRun, request: Request) -> RequestedRun:
    identity, description = run.identity, run.description
    return RequestedRun(
        run=run.name,
        model=description.model,
        requested=description.requested,
        seed=identity.seed,
        # A folder of evaluations may hold those of several trainings, none of them older than another. In a
        # study there is one training for each model and seed, which its evaluations follow.
        replaceable=not request.weights or (request.study and identity.weights is None),
    )


def _tell_what_is_there(execution: Execution, results: Output, grid: Grid, jobs: Sequence[Job]) -> None:
    todo = [run.name for job in jobs for run in job.runs]
    if reused := len(grid.runs) - len(todo):
        hint = "" if grid.context.request.until_decided else " (--force repeats them)"  # which it refuses
        execution.tell(f"{reused} of {len(grid.runs)} runs are finished and reused{hint}")
        for line in _other_files(results, grid, todo):
            execution.tell(line)
    if execution.force:
        return
    for damage in filter(None, (results.run(name).damage() for name in todo)):
        execution.tell(f"{damage.removesuffix('; repeat the run')}; it runs again")
    started = 0
    for checkpoint in (results.run(name).checkpoint for name in todo):
        if not checkpoint.is_file():
            continue
        problem = checkpoint_problem(checkpoint)
        started += problem is None
        if problem is not None:
            execution.tell(f"{checkpoint}: {problem}; the run starts from scratch")
    if started:
        hint = "" if grid.context.request.until_decided else " (--force starts from scratch)"
        execution.tell(f"{started} of {len(grid.runs)} runs resume from a checkpoint{hint}")


def _other_files(results: Output, grid: Grid, todo: Sequence[str]) -> list[str]:
    """Which weights are reused under the name of another file."""
    lines: dict[str, None] = {}
    for job in grid.jobs:
        there = results.run(job.run.name)
        if job.stored is None or job.run.name in todo:
            continue
        if (file := there.manifest().weights_file) not in ("", str(job.stored.file)):
            lines[f"{job.stored.file}: the same weights as {file}, whose row is reused"] = None
    return list(lines)


def _run(
    execution: Execution, grid: Grid, results: Output, jobs: Sequence[Job], carry: Carry
) -> dict[str, Status]:
    host, common = execution.host, grid.common()
    with plugins_aside():
        known = host.problems()
    host.notify("trm_bench_grid_started", grid=common)
    ended: dict[str, Status] = {}
    try:
        jobs, ended = _without_broken(grid, jobs)
        if jobs:
            work = work_of(grid, jobs)
            with plugins_aside(), GridProgress(execution.out, work, execution.workers) as watch:
                ended |= carry(jobs, watch)
    finally:
        # An interruption leaves no statuses; what is done is on disk.
        statuses = {
            run.name: ended.get(run.name)
            or (Status.DONE if results.run(run.name).is_done() else Status.INTERRUPTED)
            for run in grid.runs
        }
        with plugins_aside():
            by_name = {name: status.value for name, status in statuses.items()}
            host.notify("trm_bench_grid_finished", grid=common, runs=by_name)
        for problem in host.problems():
            if problem not in known:  # a notification that failed just now
                execution.tell(f"plugin failed in a hook: {problem}")
    return statuses


def _without_broken(grid: Grid, jobs: Sequence[Job]) -> tuple[list[Job], dict[str, Status]]:
    """Mark the runs failed whose model could not be built while they were planned; gives the other jobs."""
    statuses: dict[str, Status] = {}
    for job in jobs:
        error = grid.broken.get(job.run.description.model)
        if error is not None:
            outcome = fail(job, [first_manifest(job, run) for run in job.runs], error)
            statuses |= {run.name: outcome.status_of(run.name) for run in job.runs}
    return [job for job in jobs if job.run.name not in statuses], statuses


def work_of(grid: Grid, jobs: Sequence[Job]) -> dict[str, Work]:
    """FLOPs of every job by its run, for the estimate of the time left; those of a model are counted once."""
    alike = {(job.run.description.model, job.run.identity.votes): job for job in jobs}
    known = {kind: _job_work(grid, job) for kind, job in alike.items()}
    return {job.run.name: known[job.run.description.model, job.run.identity.votes] for job in jobs}


def _job_work(grid: Grid, job: Job) -> Work:
    """Of training and of the evaluation; none of a model whose run will fail."""
    model = next((one for one in grid.models if one.name == job.run.description.model), None)
    scored = job.prepared.counts[job.run.identity.split]
    puzzles = min(job.run.identity.limit or scored, scored) * (job.run.identity.votes or 1)
    if model is None:
        return (0.0, float(puzzles))
    try:
        with calling(f"model {model.requested}"):
            flops = count_flops(build_shapes(model.build, job.prepared.info), job.prepared.info.cells)
            return (training_flops(grid, model, job.prepared), puzzles * flops.inference)
    except PluginError:  # its own process fails with it too, and keeps the trace
        return (0.0, 0.0)


def training_flops(grid: Grid, model: ResolvedModel, prepared: Prepared) -> float:
    """FLOPs of a model's training under the grid's budget; with ``--match examples`` at most."""
    budget = grid.budget
    if budget is None or not model.part.spec.trained:
        return 0.0
    shapes = build_shapes(model.build, prepared.info)
    per_step = count_flops(shapes, prepared.info.cells).training_step
    return budget.flops(per_step, shapes.supervision_steps)


PARAMETERS = ("core_parameters", "io_parameters", "puzzle_embedding_parameters")


def grid_costs(
    grid: Grid, folder: Path, force: bool = False
) -> tuple[list[dict[str, Any]], dict[str, PluginError]]:
    """The expected costs of a grid, model by model, and what the models that would fail raised.

    A row has ``model`` (with its options), the ledger's counts of parameters, ``training_flops`` of one run,
    the number of runs that are ``finished`` and ``to_run`` (with ``force``, all), and its `memory_plan`, None
    without training.
    """
    results, rows, broken = Output(folder), [], dict(grid.broken)
    todo = {run.name for job in grid.missing(results, force) for run in job.runs}
    for model in grid.models:
        jobs = [job for job in grid.jobs if job.run.description.model == model.name]
        prepared = jobs[0].prepared
        left = sum(job.run.name in todo for job in jobs)
        if model.name in broken:
            continue
        try:
            with calling(f"model {model.requested}"):
                shapes = build_shapes(model.build, prepared.info)
                count_flops(shapes, prepared.info.cells)  # as its run will
                parameters, flops = count_parameters(shapes), training_flops(grid, model, prepared)
                memory = _memory(grid, model, shapes, prepared)
        except PluginError as error:
            broken[model.name] = error
            continue
        counts = dict(zip(PARAMETERS, parameters, strict=True))
        runs = {"finished": len(jobs) - left, "to_run": left}
        rows.append({"model": model.name, **counts, "training_flops": flops, **runs, "memory": memory})
    return rows, broken


def _memory(grid: Grid, model: ResolvedModel, shapes: Reasoner, prepared: Prepared) -> dict[str, Any] | None:
    if grid.budget is None or not model.part.spec.trained:
        return None
    execution = grid.context.settings.execution_config()
    return memory_plan(shapes, prepared.info.cells, grid.budget.batch_size, model.training, execution)

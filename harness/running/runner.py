"""Carry a grid out: claim its folder, run what is missing, account for every run."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from ..api.budget import Match
from ..api.text import plural
from ..data.prepare import Prepared
from ..host.host import Host, plugins_aside
from ..planning.grid import Grid
from ..planning.job import Job, PlannedRun
from ..planning.models import ResolvedModel, parse_variant
from ..planning.request import add_request
from ..store.folders import Output
from ..store.records import Status
from ..store.requests import RequestedRun, add_requested
from ..training.costs import build_shapes, count_flops, count_parameters
from .processes import run_jobs
from .progress import GridProgress, Work

Tell = Callable[[str], None]
"""Called with lines for the user."""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        lines.append(f"{where}: {evaluations} in {passes} over the test set, to {folder}")
    else:
        models, seeds = plural(len(grid.models), "model"), plural(len(request.seeds), "seed")
        size = f"{models} × {seeds} = {plural(len(grid.runs), 'run')}"
        lines += [f"{where}: {size}, to {folder}", grid.budget.describe()]
    lines.append(f"puzzles: {context.prepared.source.summary}")
    lines += [
        f"{model.requested} resolves to {model.name}"
        for model in grid.models
        if str(model.requested) != model.name
    ]
    lines += [
        f"{text} is the same as {kept} here"
        for text, kept in grid.resolved.items()
        if str(parse_variant(text)) != kept
    ]
    lines += [note for model in grid.models for note in model.notes]
    lines += [f"read {file.name} ({file.rows:,} rows)" for file in context.prepared.source.files]
    return lines + [f"not citable: {reason}" for reason in grid.all_reasons()]


def scale_line(grid: Grid) -> str:
    """A line on the scale: its size, how long a run takes, and how to run the published size."""
    size, scales = grid.context.size, grid.task.scales
    line = f"scale {size.name}: {size.summary}" + (f"; {size.takes}" if size.takes else "")
    if size.name == "mini" and "paper" in scales:
        line += "; the published size is --scale paper"
    return line


@dataclass(frozen=True)
class Execution:
    """How grids are carried out.

    Attributes:
        out: console for progress.
        workers: processes side by side.
        force: whether finished runs are repeated.
        command: what the user typed.
    """

    host: Host
    out: Console
    workers: int
    force: bool = False
    command: tuple[str, ...] = ()

    def tell(self, line: str) -> None:
        """Print a line for the user."""
        self.out.print(line, markup=False, soft_wrap=True)


def execute(execution: Execution, grid: Grid, folder: Path) -> dict[str, Status]:
    """Carry out the runs of a grid that are not done; returns the status of every run by name.

    Raises:
        UsageError: the folder belongs to other runs, or another process is writing to it.
        UnavailableError: it cannot be written to.
    """
    results = Output(folder)
    results.claim(grid.common())
    with results.locked():
        for run in grid.runs:
            results.run(run.name).restore()  # what a killed --force had set aside
        add_requested(folder, [_requested(run) for run in grid.runs])
        if not grid.context.request.weights:
            add_request(folder, grid.context.request)
        jobs = [
            replace(job, folder=folder, command=execution.command, fresh=execution.force)
            for job in grid.missing(results, execution.force)
        ]
        _tell_what_is_there(execution, results, grid, jobs)
        return _run(execution, grid, results, jobs)


def _requested(run: PlannedRun) -> RequestedRun:
    identity, description = run.identity, run.description
    return RequestedRun(
        run=run.name,
        model=description.model,
        requested=description.requested,
        seed=identity.seed,
        # External weights are numbered again in every call: the same number is another file.
        replaceable=identity.weights is None,
    )


def _tell_what_is_there(execution: Execution, results: Output, grid: Grid, jobs: Sequence[Job]) -> None:
    todo = [run.name for job in jobs for run in job.runs]
    if reused := len(grid.runs) - len(todo):
        execution.tell(f"{reused} of {len(grid.runs)} runs are finished and reused (--force repeats them)")
    started = sum(results.run(name).checkpoint.is_file() for name in todo)
    if started and not execution.force:
        execution.tell(
            f"{started} of {len(grid.runs)} runs resume from a checkpoint (--force starts from scratch)"
        )


def _run(execution: Execution, grid: Grid, results: Output, jobs: Sequence[Job]) -> dict[str, Status]:
    host, common = execution.host, grid.common()
    with plugins_aside():
        known = host.problems()
    host.notify("trm_bench_grid_started", grid=common)
    ended: Mapping[str, Status] = {}
    try:
        if jobs:
            work = {job.run.name: job_work(grid, job) for job in jobs}
            with plugins_aside(), GridProgress(execution.out, work, execution.workers) as watch:
                ended = run_jobs(jobs, host, watch, execution.workers)
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


def job_work(grid: Grid, job: Job) -> Work:
    """FLOPs of a job, for the estimate of the time left."""
    model = next((one for one in grid.models if one.name == job.run.description.model), None)
    tests = job.prepared.counts["test"]
    puzzles = min(job.run.identity.limit or tests, tests) * (job.run.identity.votes or 1)
    if model is None:
        return Work(0.0, float(puzzles))
    flops = count_flops(build_shapes(model.build, job.prepared.info), job.prepared.info.cells)
    return Work(training_flops(grid, model, job.prepared), puzzles * flops.inference)


def training_flops(grid: Grid, model: ResolvedModel, prepared: Prepared) -> float:
    """FLOPs of a model's training under the grid's budget; with ``--match examples`` at most."""
    budget = grid.budget
    if budget is None or not model.part.spec.trained:
        return 0.0
    if budget.match is Match.FLOPS:
        return budget.amount
    shapes = build_shapes(model.build, prepared.info)
    per_step = count_flops(shapes, prepared.info.cells).training_step
    if budget.match is Match.EXAMPLES:  # the number of steps depends on halting: take the most
        return budget.amount * shapes.supervision_steps * per_step
    return budget.amount * budget.batch_size * per_step


@dataclass(frozen=True)
class ModelCost:
    """A row of ``--dry-run``.

    Attributes:
        model: with its options.
        core_parameters, io_parameters, puzzle_embedding_parameters: as in a ledger.
        training_flops: of one run.
        finished, to_run: runs.
    """

    model: str
    core_parameters: int
    io_parameters: int
    puzzle_embedding_parameters: int
    training_flops: float
    finished: int
    to_run: int


def grid_costs(grid: Grid, folder: Path) -> list[ModelCost]:
    """The expected costs of a grid, model by model."""
    results, rows = Output(folder), []
    todo = {run.name for job in grid.missing(results) for run in job.runs}
    for model in grid.models:
        jobs = [job for job in grid.jobs if job.run.description.model == model.name]
        prepared = jobs[0].prepared
        parameters = count_parameters(build_shapes(model.build, prepared.info))
        left = sum(job.run.name in todo for job in jobs)
        flops = training_flops(grid, model, prepared)
        rows.append(ModelCost(model.name, *parameters, flops, len(jobs) - left, left))
    return rows

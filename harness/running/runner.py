"""What `run` and `evaluate` do with a study: announce it, run its cells, account for them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..api.budget import Match
from ..host.host import Host, plugins_aside

if TYPE_CHECKING:
    from rich.console import Console

    from ..planning.evaluation import Evaluation
    from ..planning.grid import RunRequest, Study
    from ..planning.job import CellJob, CellPlan
    from ..planning.models import ResolvedModel
    from ..store.folders import Output
    from ..store.records import Status


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def command_line() -> tuple[str, ...]:
    """What was typed, to be kept in manifests."""
    return ("trm-bench", *(shlex.quote(argument) for argument in sys.argv[1:]))


def announce(out: Console, study: Study, folder: Path) -> None:
    """Say what will be run, on what, under which budget, and why it may not be cited."""
    request = study.request
    lines = [
        f"{study.task.spec.name} at scale {request.scale} on {request.device}: "
        f"{len(study.models)} models × {len(request.seeds)} seeds = {len(study.cells)} cells, to {folder}",
        f"source: {study.prepared.source.summary}",
        study.budget.describe(),
    ]
    lines += [
        f"{model.asked} stands for {model.name} here"
        for model in study.models
        if str(model.asked) != model.name
    ]
    lines += [f"{text} is the same as {kept} here" for text, kept in _merged(study)]
    lines += [note for model in study.models for note in model.notes]
    lines += [f"read {file.name} ({file.rows:,} rows)" for file in study.prepared.source.files]
    lines += [f"not citable: {reason}" for reason in study.reasons()]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def _merged(study: Study) -> list[tuple[str, str]]:
    from ..planning.models import parse_variant

    return [(text, kept) for text, kept in study.stands_for.items() if str(parse_variant(text)) != kept]


def execute(out: Console, plugins: Host, study: Study, folder: Path, workers: int, force: bool) -> bool:
    """Run the cells of a study that are not done; whether every one is done at the end."""
    from ..store.folders import Output

    results = Output(folder)
    results.claim(study.identity())
    with results.locked():
        for cell in study.cells:
            results.cell(cell.name).restore()  # what a killed --force had set aside
        remember(folder, study.cells)
        remember_run(folder, study.request)
        todo = [cell for cell in study.cells if force or not results.cell(cell.name).is_done()]
        _say_what_is_there(out, results, study.cells, todo, force)
        jobs = [_job(study, cell, folder, force) for cell in todo]
        work = _work(study)
        statuses = run_jobs(out, plugins, study.identity(), folder, jobs, study.cells, work, workers)
    return all(status.value == "done" for status in statuses.values())


def _say_what_is_there(
    out: Console, results: Output, cells: Sequence[CellPlan], todo: Sequence[CellPlan], force: bool
) -> None:
    reused = len(cells) - len(todo)
    if reused:
        words = f"{reused} of {len(cells)} cells are finished already and reused (--force repeats them)"
        out.print(words, soft_wrap=True)
    begun = sum(results.cell(cell.name).checkpoint.is_file() for cell in todo)
    if begun and not force:
        words = f"{begun} of {len(cells)} cells go on from a checkpoint (--force starts them anew)"
        out.print(words, soft_wrap=True)


def run_jobs(
    out: Console,
    plugins: Host,
    identity: Mapping[str, object],
    folder: Path,
    jobs: Sequence[CellJob],
    cells: Sequence[CellPlan],
    work: Mapping[str, float],
    workers: int,
) -> dict[str, Status]:
    """Run jobs with a progress display, tell the plugins, and give the status of every cell.

    ``work`` are the FLOPs of a model's job by the model's name, for the estimate of the time left.
    """
    from ..store.folders import Output
    from ..store.records import Status
    from .processes import run_cells
    from .progress import RunWatch

    def found(name: str, otherwise: Status) -> Status:
        return Status.DONE if Output(folder).cell(name).is_done() else otherwise

    with plugins_aside():
        known = plugins.problems()
    plugins.notify("trm_bench_run_started", study=identity)
    ended: dict[str, Status] = {}
    model_of = {job.plan.name: job.plan.identity.model for job in jobs}
    try:
        if jobs:
            of_job = {name: work[model] for name, model in model_of.items()}
            with plugins_aside(), RunWatch(out, of_job, model_of, workers) as watch:
                ended = run_cells(jobs, plugins, watch, workers)
    finally:
        # An interruption keeps the statuses to itself; what is done is on disk.
        statuses = {cell.name: found(cell.name, ended.get(cell.name, Status.INTERRUPTED)) for cell in cells}
        words = {name: status.value for name, status in statuses.items()}
        with plugins_aside():
            plugins.notify("trm_bench_run_finished", study=identity, cells=words)
        for problem in plugins.problems():
            if problem not in known:  # a notification that failed, in time to be seen
                out.print(f"plugin failed in a hook: {problem}", markup=False, soft_wrap=True)
    return statuses


def execute_evaluation(
    out: Console, plugins: Host, planned: Evaluation, workers: int, force: bool = False
) -> bool:
    """Fill the cells of an evaluation that are not done; whether every one is done at the end."""
    from ..store.folders import Output

    results = Output(planned.folder)
    results.claim(planned.identity)
    for words in planned.left_out:
        out.print(f"left out: {words}", markup=False, soft_wrap=True)
    passes = "one pass" if len(planned.jobs) == 1 else f"{len(planned.jobs)} passes"
    out.print(
        f"{planned.task} at scale {planned.scale}: {len(planned.plans)} cells in {passes} over the test "
        f"split, to {planned.folder}",
        markup=False,
        soft_wrap=True,
    )
    with results.locked():
        for plan in planned.plans:
            results.cell(plan.name).restore()
        remember(planned.folder, planned.plans)
        jobs = planned.jobs if force else planned.missing(results)
        work = {job.plan.identity.model: 1.0 for job in jobs}
        statuses = run_jobs(
            out, plugins, planned.identity, planned.folder, jobs, planned.plans, work, workers
        )
    return all(status.value == "done" for status in statuses.values())


def remember_run(folder: Path, request: RunRequest) -> None:
    """Keep what was asked for, so that `resume` can ask for it again; of equal ones the latest."""
    from ..planning.grid import read_run_requests, write_run_requests

    known = [one for one in read_run_requests(folder) if one != request]
    write_run_requests(folder, [*known, request])


def remember(folder: Path, cells: Sequence[CellPlan]) -> None:
    """Add cells to those that the folder's report must account for.

    A cell of the same model and seed that was asked for earlier is replaced: it belongs to an
    older recipe or version.
    """
    from ..store.requests import Requested, read_requests, write_requests

    new = [
        Requested(cell=cell.name, model=cell.identity.model, asked=cell.asked, seed=cell.identity.seed)
        for cell in cells
    ]
    # At evaluation one model has a row for each depth, told apart by what was asked for.
    # Weights from elsewhere are numbered anew in every call, so that the same number is another file.
    own = {cell.name for cell in cells if cell.identity.weights is None}
    replaced = {(one.model, one.asked.partition("@")[2], one.seed) for one in new if one.cell in own}
    names = {one.cell for one in new}
    kept = [
        one
        for one in read_requests(folder)
        if one.cell not in names and (one.model, one.asked.partition("@")[2], one.seed) not in replaced
    ]
    write_requests(folder, [*kept, *new])


def _job(study: Study, cell: CellPlan, folder: Path, force: bool) -> CellJob:
    from ..planning.grid import interval_of
    from ..planning.job import CellJob

    assert cell.identity.budget is not None  # of a cell that is to be trained
    prepared = study.prepared_for(cell.identity.budget.augmentations)
    interval = interval_of(study.request.settings)
    reasons = study.not_citable_because
    return CellJob(cell, folder, prepared, reasons, command_line(), interval=interval, fresh=force)


def _work(study: Study) -> dict[str, float]:
    """FLOPs of each model's budget, for the estimate of the time left."""
    return {model.name: max(_training_flops(study, model), 1.0) for model in study.models}


def _training_flops(study: Study, model: ResolvedModel) -> float:
    from ..training.costs import count_flops

    if not model.part.spec.trained or model.part.spec.build is None:
        return 0.0
    if study.budget.match is Match.FLOPS:
        return study.budget.amount
    reasoner = model.part.spec.build(model.config, study.prepared.info)
    per_step = count_flops(reasoner, study.prepared.info.cells).training_step
    if study.budget.match is Match.EXAMPLES:  # the number of steps depends on halting: take the most
        return study.budget.amount * reasoner.supervision_steps * per_step
    return study.budget.amount * study.budget.batch_size * per_step


@dataclass(frozen=True)
class ModelCost:
    """A row of ``--dry-run``.

    Attributes:
        model: with its options.
        trunk_parameters, outer_parameters, embedding_parameters: as in a ledger.
        training_flops: of one cell.
        finished, to_run: cells.
    """

    model: str
    trunk_parameters: int
    outer_parameters: int
    embedding_parameters: int
    training_flops: float
    finished: int
    to_run: int


def grid_costs(study: Study, folder: Path) -> list[ModelCost]:
    """What the cells of a study cost, model by model."""
    from ..store.folders import Output
    from ..training.costs import count_parameters

    results, rows = Output(folder), []
    for model in study.models:
        assert model.part.spec.build is not None  # `resolve_model` has made sure
        info = study.prepared_for(model.augmentations or study.budget.augmentations).info
        parameters = count_parameters(model.part.spec.build(model.config, info))
        cells = [cell for cell in study.cells if cell.identity.model == model.name]
        todo = sum(not results.cell(cell.name).is_done() for cell in cells)
        rows.append(
            ModelCost(model.name, *parameters, _training_flops(study, model), len(cells) - todo, todo)
        )
    return rows


def grid_as_json(study: Study, folder: Path, workers: int) -> dict[str, Any]:
    """What ``--dry-run --json`` says of a grid."""
    rows = grid_costs(study, folder)
    total = sum(row.training_flops * row.to_run for row in rows)
    speed = _matrix_speed(study) * workers
    return {
        "task": study.task.spec.name,
        "scale": study.request.scale,
        "device": study.request.device,
        "folder": str(folder),
        "seeds": list(study.request.seeds),
        "budget": study.budget.model_dump(mode="json"),
        "not_citable_because": study.reasons(),
        "models": [asdict(row) for row in rows],
        "flops_to_do": total,
        "workers": workers,
        "flops_per_second": speed,
        "seconds_at_least": total / speed,
    }


def show_grid(study: Study, folder: Path, workers: int) -> None:
    """The table of ``--dry-run``."""
    from tabulate import tabulate

    from .progress import spoken

    costs = grid_costs(study, folder)
    total = sum(row.training_flops * row.to_run for row in costs)
    rows = [
        [
            row.model,
            *(f"{one:,}" for one in (row.trunk_parameters, row.outer_parameters, row.embedding_parameters)),
            f"{row.training_flops:.2e}",
            row.finished,
            row.to_run,
        ]
        for row in costs
    ]
    headers = ["model", "trunk", "embed+heads", "puzzle emb.", "train FLOPs a cell", "finished", "to run"]
    click.echo(tabulate(rows, headers=headers))
    speed = _matrix_speed(study) * workers
    click.echo(
        f"{total:.2e} FLOPs to do; at least {spoken(total / speed)} at {speed:.2e} FLOP/s, "
        f"{workers} × this machine's own speed in matrix products"
    )


def _matrix_speed(study: Study) -> float:
    """FLOP/s of a float32 matrix product with the threads of a cell."""
    import torch

    from .machine import measure_machine

    identity = study.cells[0].identity
    torch.set_num_threads(identity.threads)
    return measure_machine(torch.device(identity.device), "float32").flops

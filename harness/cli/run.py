"""``trm-bench run``: the main job."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..budget import Match
from ..errors import UsageError
from ..host import OWN_DISTRIBUTION, Host, host
from .options import all_settings, data_options, parse_seeds, read_config, required

if TYPE_CHECKING:
    from rich.console import Console

    from ..cell import CellJob
    from ..records import Status
    from ..study import CellPlan, RunRequest, Study
    from ..variants import ResolvedModel

DEFAULT_SEEDS = "0-4"


@click.command("run")
@click.option("--models", help="Names by comma; options in brackets, e.g. trm[cycles=2].")
@data_options
@click.option("--seeds", default=DEFAULT_SEEDS, show_default=True, help="Training seeds: 0-4, 0,1,2 or 3.")
@click.option("--augmentations", type=click.IntRange(min=1), help="Variants per puzzle, itself included.")
@click.option(
    "--match",
    type=click.Choice([match.value for match in Match]),
    default=Match.STEPS.value,
    show_default=True,
    help="What is made equal between models.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test items; not citable.")
@click.option("--evaluators", default="", help="Further evaluators, beside the task's own.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Cells side by side; by default one per core on a CPU."
)
@click.option("--output", type=click.Path(path_type=Path), help="By default results/TASK-SCALE.")
@click.option("--force", is_flag=True, help="Run finished cells again.")
@click.option("--dry-run", is_flag=True, help="Show the cells and what they cost; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    callback=read_config,
    is_eager=True,
    expose_value=False,
    help="YAML file with any of these options.",
)
def command(
    models: str | None,
    task: str | None,
    scale: str | None,
    source: str | None,
    data: Path | None,
    settings: tuple[str, ...],
    seeds: str,
    augmentations: int | None,
    match: str,
    limit: int | None,
    evaluators: str,
    device: str,
    jobs: int | None,
    output: Path | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train and evaluate models on a task, and print their table.

    Finished cells in the output folder are reused. Example:

        trm-bench run --models trm,hrm,transformer --task maze-hard
    """
    from ..progress import console, counted
    from ..study import plan

    request = _request(
        models, task, scale, source, data, settings, seeds, augmentations, match, limit, evaluators, device
    )
    out, plugins = console(), host()
    for problem in plugins.problems():
        out.print(f"plugin left out: {problem}", markup=False, soft_wrap=True)
    with counted(out) as progress:
        study = plan(plugins, request, progress)
    folder = output or Path("results") / f"{study.task.spec.name}-{request.scale}"
    _announce(out, study, folder)
    workers = jobs or (_cores() if request.device == "cpu" else 1)
    if dry_run:
        _show_grid(study, folder, workers)
        return 0
    return _execute(out, plugins, study, folder, workers, force, as_json)


def _request(
    models: str | None,
    task: str | None,
    scale: str | None,
    source: str | None,
    data: Path | None,
    settings: tuple[str, ...],
    seeds: str,
    augmentations: int | None,
    match: str,
    limit: int | None,
    evaluators: str,
    device: str,
) -> RunRequest:
    """The command line read, as far as that goes without a task."""
    from ..device import resolve_device
    from ..study import RunRequest
    from ..variants import split_models

    names = split_models(required(models, "--models"))
    if not names:
        raise UsageError(f"--models {models!r} names no model; see trm-bench list models")
    task_name, parsed_seeds = required(task, "--task"), parse_seeds(seeds)
    kind = resolve_device(device).type
    return RunRequest(
        models=tuple(names),
        task=task_name,
        scale=scale or ("paper" if kind == "cuda" else "mini"),
        seeds=parsed_seeds,
        source=source,
        data=data,
        augmentations=augmentations,
        match=Match(match),
        limit=limit,
        evaluators=tuple(name.strip() for name in evaluators.split(",") if name.strip()),
        device=kind,
        settings=all_settings(settings),
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _announce(out: Console, study: Study, folder: Path) -> None:
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
    lines += [f"read {file.name} ({file.rows:,} rows)" for file in study.prepared.source.files]
    lines += [f"not citable: {reason}" for reason in study.not_citable_because]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def _execute(
    out: Console, plugins: Host, study: Study, folder: Path, workers: int, force: bool, as_json: bool
) -> int:
    from ..errors import NothingToReport
    from ..records import Status
    from ..store import Output

    results = Output(folder)
    results.claim(study.identity())
    for cell in study.cells:
        results.cell(cell.name).restore()  # what a killed --force had set aside
    _remember(folder, study)
    todo = [cell for cell in study.cells if force or not results.cell(cell.name).is_done()]
    reused = len(study.cells) - len(todo)
    if reused:
        out.print(
            f"{reused} of {len(study.cells)} cells are finished already and reused (--force repeats them)"
        )
    plugins.notify("trm_bench_run_started", study=study.identity())
    statuses = {cell.name: Status.DONE if cell not in todo else Status.INTERRUPTED for cell in study.cells}
    try:
        statuses |= _run_cells(out, plugins, study, folder, todo, workers)
    finally:
        # An interruption keeps the statuses to itself; what is done is on disk.
        words = {
            name: (Status.DONE if results.cell(name).is_done() else status).value
            for name, status in statuses.items()
        }
        plugins.notify("trm_bench_run_finished", study=study.identity(), cells=words)
    failed = any(status is not Status.DONE for status in statuses.values())
    try:
        _print_report(plugins, folder, as_json)
    except NothingToReport as error:
        if not failed:
            raise
        out.print(f"error: {error}", markup=False, soft_wrap=True)
    return 1 if failed else 0


def _run_cells(
    out: Console, plugins: Host, study: Study, folder: Path, todo: list[CellPlan], workers: int
) -> dict[str, Status]:
    from ..launch import run_cells
    from ..progress import RunWatch

    if not todo:
        return {}
    work = _work(study)
    model_of = {cell.name: cell.identity.model for cell in todo}
    with RunWatch(out, {name: work[model] for name, model in model_of.items()}, model_of, workers) as watch:
        return run_cells([_job(study, cell, folder) for cell in todo], plugins, watch, workers)


def _remember(folder: Path, study: Study) -> None:
    """Add this run's cells to those that the folder's report must account for.

    A cell of the same model and seed that was asked for earlier is replaced: it belongs to an
    older recipe or version.
    """
    from ..report.read import Requested, read_requests, write_requests

    new = [
        Requested(cell=cell.name, model=cell.identity.model, asked=cell.asked, seed=cell.identity.seed)
        for cell in study.cells
    ]
    replaced = {(one.model, one.seed) for one in new}
    kept = [one for one in read_requests(folder) if (one.model, one.seed) not in replaced]
    write_requests(folder, [*kept, *new])


def _job(study: Study, cell: CellPlan, folder: Path) -> CellJob:
    from ..cell import CellJob

    prepared = study.prepared_for(cell.identity.budget.augmentations)
    return CellJob(cell, folder, prepared, study.not_citable_because, _command_line())


def _command_line() -> tuple[str, ...]:
    return ("trm-bench", *(shlex.quote(argument) for argument in sys.argv[1:]))


def _work(study: Study) -> dict[str, float]:
    """FLOPs of each model's budget, for the estimate of the time left."""
    return {model.name: max(_training_flops(study, model), 1.0) for model in study.models}


def _training_flops(study: Study, model: ResolvedModel) -> float:
    from ..flops import count_flops

    if not model.part.spec.trained or model.part.spec.build is None:
        return 0.0
    if study.budget.match is Match.FLOPS:
        return study.budget.amount
    reasoner = model.part.spec.build(model.config, study.prepared.info)
    per_step = count_flops(reasoner, study.prepared.info.cells).training_step
    if study.budget.match is Match.EXAMPLES:  # the number of steps depends on halting: take the most
        return study.budget.amount * reasoner.supervision_steps * per_step
    return study.budget.amount * study.budget.batch_size * per_step


def _show_grid(study: Study, folder: Path, workers: int) -> None:
    """The table of ``--dry-run``."""
    from tabulate import tabulate

    from ..cell import count_parameters
    from ..progress import spoken
    from ..store import Output

    results = Output(folder)
    rows, total = [], 0.0
    for model in study.models:
        assert model.part.spec.build is not None  # `resolve_model` has made sure
        info = study.prepared_for(model.augmentations or study.budget.augmentations).info
        trunk, outer, table = count_parameters(model.part.spec.build(model.config, info))
        flops = _training_flops(study, model)
        cells = [cell for cell in study.cells if cell.identity.model == model.name]
        todo = sum(not results.cell(cell.name).is_done() for cell in cells)
        total += flops * todo
        rows.append(
            [model.name, f"{trunk:,}", f"{outer:,}", f"{table:,}", f"{flops:.2e}", len(cells) - todo, todo]
        )
    headers = ["model", "trunk", "embed+heads", "puzzle emb.", "train FLOPs a cell", "finished", "to run"]
    click.echo(tabulate(rows, headers=headers))
    speed = _matrix_speed(study.request.device) * workers
    click.echo(
        f"{total:.2e} FLOPs to do; at least {spoken(total / speed)} at {speed:.2e} FLOP/s, "
        f"{workers} × this machine's own speed in matrix products"
    )


def _matrix_speed(device: str) -> float:
    """FLOP/s of a float32 matrix product of 1024 × 1024 on one thread (or on the device)."""
    import time

    import torch

    from ..device import synchronize

    torch.set_num_threads(1)
    where = torch.device(device)
    a = torch.randn(1024, 1024, device=where)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        a @ a
        synchronize(where)
        times.append(time.perf_counter() - started)
    return float(2 * 1024**3 / min(times))


def _print_report(plugins: Host, folder: Path, as_json: bool) -> None:
    from ..report.build import build_report

    report = build_report([folder])
    plugins.notify("trm_bench_report_ready", report=report)
    reporter = plugins.reporters.get("json" if as_json else "text", prefer=(OWN_DISTRIBUTION,))
    click.echo(reporter.spec.render(report))

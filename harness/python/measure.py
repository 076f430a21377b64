"""`trm-bench speed` as a function."""

from __future__ import annotations

from typing import Unpack

from ..api.errors import UsageError
from ..host.host import host
from ..planning.request import Request
from ..planning.training_grid import plan_training
from ..running.progress import counted
from ..running.speed import AT_MOST, Speed, measure_grid, parse_ways
from ..training.gpus import choose_device, seeing
from .grids import console_of
from .options import CommonOptions, Names, names_of, path_of, paths_of, refuse_options, settings_of

MOST_MINUTES = 10_000


def measure_speed(
    models: Names,
    task: str | None,
    *,
    ways: str | None = None,
    minutes: float = 8.0,
    **options: Unpack[CommonOptions],
) -> Speed:
    """Measure training and inference of models on this machine.

    Args:
        models: names by comma or in a list.
        task: name of the task.
        ways: plain, compiled, graph, compiled+graph, by comma; by default those that fit the device.
        minutes: for all of it.
        **options: see `CommonOptions`, without ``limit``, ``evaluators``, ``jobs``, ``output`` and ``on``;
            any other keyword is a setting.

    Raises:
        UsageError: a name, value or way is wrong, or an option means nothing here.
        SpeedInterrupted: a KeyboardInterrupt that has what was measured until then.
    """
    refuse_options("measure_speed", options, "limit", "evaluators", "jobs", "output", "on")
    placement = choose_device(options.get("device"), options.get("gpus"))
    gpu = placement.single("speed")
    chosen = parse_ways(ways, placement.kind)
    names = names_of(models)
    if not names:
        raise UsageError("--models is missing or names no model; see trm-bench list models")
    if not task:
        raise UsageError("--task is missing; see trm-bench list tasks")
    if not 0.1 <= minutes <= MOST_MINUTES:  # which nan is not either
        raise UsageError(f"--minutes {minutes}: write a number from 0.1 to {MOST_MINUTES:,}")
    request = _request(names, task, placement.kind, options)
    out = console_of(options)
    with counted(out) as progress:
        grid = plan_training(host(), request, progress, at_most=AT_MOST)
    if (processes := grid.context.settings.execution_config().processes) > 1:
        raise UsageError(f"--set processes={processes}: speed measures a run of one process; leave it out")

    def tell(line: str) -> None:
        out.print(line, markup=False, soft_wrap=True)

    if grid.context.missing_source is not None:
        tell(f"puzzles: {grid.context.puzzles}")
    with seeing(gpu):
        return measure_grid(grid, chosen, 60 * minutes, tell)


def _request(models: tuple[str, ...], task: str, device: str, options: CommonOptions) -> Request:
    return Request(
        models=models,
        task=task,
        scale=options.get("scale"),
        seeds=(0,),
        source=options.get("source"),
        data=path_of(options.get("data")),
        train=paths_of(options.get("train")),
        test=paths_of(options.get("test")),
        device=device,
        settings=settings_of(options, CommonOptions),
    )

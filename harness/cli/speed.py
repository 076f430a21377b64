"""``trm-bench speed``: how fast models train and predict on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from . import INTERRUPTED
from .options import (
    all_settings,
    config_option,
    data_options,
    device_option,
    json_option,
    models_option,
)
from .terminal import echo, echo_json

if TYPE_CHECKING:
    from ..running.speed import Measured, Speed


@click.command("speed")
@models_option
@data_options
@device_option
@click.option(
    "--ways", help="plain, compiled, graph, compiled+graph, by comma; by default those that fit the device."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0.1), default=8.0, show_default=True, help="For all of it."
)
@json_option("the figures")
@config_option
def command(
    models: str | None,
    task: str | None,
    ways: str | None,
    minutes: float,
    as_json: bool,
    settings: tuple[str, ...],
    **options: Any,
) -> int:
    """Measure training and inference of models on this machine, and print a table.

    Each model is measured in a process of its own with the threads that a run has. Example:

    \b
        trm-bench speed --models trm,hrm,transformer --task sudoku-extreme
    """
    from ..python.measure import measure_speed
    from ..running.speed import SpeedInterrupted

    given = {**options, "settings": all_settings(settings), "progress": True}
    interrupted = False
    try:
        speed = measure_speed(models or (), task, ways=ways, minutes=minutes, **given)
    except SpeedInterrupted as stopped:
        speed, interrupted = stopped.speed, True
    if as_json:
        echo_json(asdict(speed))
    else:
        echo(render(speed))
    if interrupted:
        return INTERRUPTED
    good = {one.model for one in speed.measured if one.training or one.inference}
    return 0 if all(one.model in good for one in speed.measured) else 1


def render(speed: Speed) -> str:
    """Two tables and what they were measured against."""
    from tabulate import tabulate

    machine = speed.machine
    threads = (
        f", {machine.threads} thread{'s' if machine.threads > 1 else ''}" if speed.device == "cpu" else ""
    )
    lines = [
        f"{speed.task} at scale {speed.scale} on {speed.device} ({machine.name}{threads}), {speed.precision}",
        f"this machine's own peak, measured just now: {_rate(machine.flops, 'FLOP/s')} in matrix products, "
        f"{_rate(machine.bytes, 'B/s')} in copies",
        "",
        tabulate([_training_row(one, machine.flops) for one in speed.measured], headers=_TRAINING),
        f"batch {speed.batch}; an example is one puzzle in one supervision step",
        "",
        tabulate(
            [_inference_row(one, machine.flops) for one in speed.measured if one.inference],
            headers=_INFERENCE,
        ),
        "all supervision steps, fresh weights: no puzzle halts early",
    ]
    lines += [f"{one.model}, {one.way}: not measured: {one.why}" for one in speed.measured if one.why]
    return "\n".join(lines)


_TRAINING = ["training", "way", "first step s", "ms a step", "examples/s", "FLOP/s", "of peak", "memory"]
_INFERENCE = ["inference", "way", "steps", "batch", "puzzles/s", "ms alone", "FLOP/s", "of peak"]


def _training_row(one: Measured, peak: float) -> list[str]:
    seen = one.training
    if seen is None:
        return [one.model, one.way, *["-"] * 6]
    return [
        one.model,
        one.way,
        f"{seen.first_step_seconds:.1f}",
        f"{1000 * seen.step_seconds:.3g}",
        _count(seen.examples_per_second),
        _rate(seen.flops),
        f"{seen.flops / peak:.0%}",
        _rate(seen.memory, "B"),
    ]


def _inference_row(one: Measured, peak: float) -> list[str]:
    seen = one.inference
    assert seen is not None
    return [
        one.model,
        one.way,
        str(seen.steps),
        str(seen.batch),
        _count(seen.puzzles_per_second),
        f"{seen.milliseconds_alone:.3g}",
        _rate(seen.flops),
        f"{seen.flops / peak:.0%}",
    ]


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _rate(value: float, unit: str = "") -> str:
    """Three figures and a prefix, e.g. ``48.3 G``."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()

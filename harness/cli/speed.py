"""``trm-bench speed``: how fast models train and answer on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..host.host import host
from . import complete
from .options import all_settings, data_options, device_option, read_config, required, usual_scale
from .terminal import echo_json

if TYPE_CHECKING:
    from ..running.speed import Measured, Speed


@click.command("speed")
@click.option(
    "--models",
    shell_complete=complete.models,
    help="Names by comma; options in brackets, e.g. trm[cycles=2].",
)
@data_options
@device_option
@click.option(
    "--ways", help="plain, compiled, graph, compiled+graph, by comma; by default those that fit the device."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0.1), default=8.0, show_default=True, help="For all of it."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option(
    "--config",
    type=click.Path(),
    callback=read_config,
    is_eager=True,
    expose_value=False,
    help="YAML file with any of these options.",
)
def command(**given: Any) -> None:
    """Measure training and answering of models on this machine, and print a table.

    Each model is measured in a process of its own with the threads that a cell has. Example:

        trm-bench speed --models trm,hrm,transformer --task sudoku-extreme
    """
    from ..planning.grid import RunRequest, plan
    from ..planning.models import split_models
    from ..running.progress import console, counted
    from ..running.speed import AT_MOST, measure_speed, parse_ways
    from ..training.device import resolve_device

    kind = resolve_device(given["device"]).type
    ways = parse_ways(given["ways"], kind)
    models, task = required(given["models"], "--models"), required(given["task"], "--task")
    request = RunRequest(
        models=tuple(split_models(models)),
        task=task,
        scale=given["scale"] or usual_scale(host(), task, kind),
        seeds=(0,),
        source=given["source"],
        data=given["data"],
        device=kind,
        settings=all_settings(given["settings"]),
    )
    out = console()
    with counted(out) as progress:
        study = plan(host(), request, progress, at_most=AT_MOST)
    speed = measure_speed(
        study, ways, 60 * given["minutes"], lambda line: out.print(line, markup=False, soft_wrap=True)
    )
    if given["as_json"]:
        echo_json(asdict(speed))
    else:
        click.echo(render(speed))


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
            [_answering_row(one, machine.flops) for one in speed.measured if one.answering],
            headers=_ANSWERING,
        ),
        "all supervision steps, fresh weights: no puzzle halts early",
    ]
    lines += [f"{one.model}, {one.way}: not measured: {one.why}" for one in speed.measured if one.why]
    return "\n".join(lines)


_TRAINING = ["training", "way", "first step s", "ms a step", "examples/s", "FLOP/s", "of peak", "memory"]
_ANSWERING = ["answering", "steps", "batch", "puzzles/s", "ms alone", "FLOP/s", "of peak"]


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


def _answering_row(one: Measured, peak: float) -> list[str]:
    seen = one.answering
    assert seen is not None
    return [
        one.model,
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

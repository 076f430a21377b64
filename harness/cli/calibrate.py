"""``trm-bench calibrate``: are the report's statistics honest? Simulated studies whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .terminal import echo_json

if TYPE_CHECKING:
    from ..api.specs import Progress
    from ..stats.calibration import Design, Rates


@click.command("calibrate")
@click.option(
    "--studies", default=1000, show_default=True, type=click.IntRange(min=20), help="Studies of each design."
)
@click.option("--quick", is_flag=True, help="Three designs instead of all.")
@click.option("--gain", default=6.4, show_default=True, help="True difference for the power, points.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; one per core by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the rates as JSON, 0 to 1.")
def command(studies: int, quick: bool, gain: float, jobs: int | None, as_json: bool) -> None:
    """Simulate equal methods, and count how often each analysis finds a difference.

    Prints a Markdown table: false positives at a nominal 5 % of the crossed test and of what papers use
    instead, how often the 95 % intervals hold the truth, and the power for a true difference.
    """
    from ..running.progress import console, counted
    from ..stats.calibration import designs

    wanted = designs(full=not quick)
    with counted(console()) as progress:
        rates = _all_rates(wanted, studies, gain / 100, jobs, progress)
    if as_json:
        echo_json([asdict(one) for one in rates])
        return
    click.echo(table(rates, gain))


def _all_rates(
    wanted: Sequence[Design], studies: int, gain: float, jobs: int | None, progress: Progress
) -> list[Rates]:
    """The rates of every design, several designs at a time."""
    import os
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    from ..stats.calibration import judge

    done: dict[Design, Rates] = {}
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(judge, design, studies, gain): design for design in wanted}
        for future in as_completed(futures):
            done[futures[future]] = future.result()
            progress(len(done), len(wanted), "designs")
    return [done[design] for design in wanted]


def table(rates: Sequence[Rates], gain: float) -> str:
    """The rates as a Markdown table, in percent."""
    from tabulate import tabulate

    from ..stats.calibration import METHODS

    headers = ["design", *METHODS, "cell intervals", "difference intervals", f"power at {gain:g}"]
    rows = [
        [
            str(one.design),
            *(f"{100 * one.false_positives[name]:.1f}" for name in METHODS if name in one.false_positives),
            f"{100 * one.coverage:.1f}",
            f"{100 * one.difference_coverage:.1f}",
            f"{100 * one.power:.0f}",
        ]
        for one in rates
    ]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)

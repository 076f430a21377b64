"""``trm-bench status``: how the runs of a folder fare, from any terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import PATH, json_option
from .terminal import echo, echo_json

if TYPE_CHECKING:
    from ..python.status import RunStatus

HEADERS = ("run", "state", "trained", "left", "job", "machine", "why")


@click.command("status")
@click.argument("folder", type=PATH, metavar="DIR")
@json_option("the runs")
def command(folder: Path, as_json: bool) -> None:
    """Show which runs of the output folder DIR are queued, running, done or failed, and why.

    For those that did not finish, it prints the last lines of their log.
    """
    from dataclasses import asdict

    from ..python.status import status

    runs = status(folder)
    if as_json:
        echo_json([asdict(run) for run in runs])
        return
    echo(render(runs))


def render(runs: Sequence[RunStatus]) -> str:
    """A table, a line of counts, and logs."""
    from tabulate import tabulate

    from ..api.text import plural

    counts = Counter(run.state for run in runs).most_common()
    lines = [
        tabulate([_row(run) for run in runs], headers=HEADERS, disable_numparse=True),
        "",
        f"{plural(len(runs), 'run')}: {', '.join(f'{count} {state}' for state, count in counts)}",
    ]
    for run in runs:
        if run.log:
            lines += [
                "",
                f"{run.run}, the last lines of its log:",
                *(f"  {line}" for line in run.log.splitlines()),
            ]
    return "\n".join(lines)


def _row(run: RunStatus) -> tuple[str, ...]:
    from ..running.progress import duration

    left = "" if run.seconds_left is None else duration(run.seconds_left)
    return run.run, run.state, f"{run.spent:.0%}", left, run.job, run.host, run.why

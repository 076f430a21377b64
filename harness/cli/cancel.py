"""``trm-bench cancel``: take runs out of a queue."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, json_option
from .terminal import echo, echo_json


@click.command("cancel")
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@json_option("the names of the runs")
def command(folder: Path, runs: tuple[str, ...], as_json: bool) -> None:
    """Cancel runs of DIR that are queued or running on a cluster, by default all of them.

    They keep their checkpoints: the command that submitted them continues them.
    """
    from ..api.text import plural
    from ..python.status import cancel

    names = cancel(folder, *runs)
    if as_json:
        echo_json(names)
        return
    echo(f"{plural(len(names), 'run')} cancelled")

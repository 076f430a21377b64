"""``trm-bench run-one``: one planned run, for batch systems that have no runner here."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, device_option, json_option
from .terminal import echo, echo_json


@click.command("run-one")
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("run", metavar="RUN")
@device_option
@json_option("how it ended")
def command(folder: Path, run: str, device: str, gpus: str | None, as_json: bool) -> int:
    """Carry out one run that was planned in DIR, from its last checkpoint.

    Another process cannot carry out the same run meanwhile. Example:

    \b
        trm-bench run --models trm,hrm --task maze-hard --plan-only | xargs -P 4 -L 1 trm-bench run-one
    """
    from dataclasses import asdict

    from ..python.status import run_one
    from ..running.runner import command_line

    chosen = None if device == "auto" else device
    ended = run_one(folder, run, device=chosen, gpus=gpus, progress=True, command=command_line())
    if as_json:
        echo_json(asdict(ended))
    else:
        echo(f"{ended.run}: {ended.state}{f' ({ended.why})' if ended.why else ''}")
    return 0 if ended.state == "done" else 1

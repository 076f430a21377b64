"""``trm-bench resume``: continue a stopped run without typing its command again."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, gpus_option, jobs_option, json_option, on_option


@click.command("resume")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--data", type=PATH, help="Folder that the official files have been moved to.")
@gpus_option
@on_option
@jobs_option
@json_option("the report")
def command(
    folder: Path, data: Path | None, gpus: str | None, on: str | None, jobs: int | None, as_json: bool
) -> int:
    """Continue the runs into the output folder DIR, each from its last checkpoint.

    The same as the commands that started them. Example:

    \b
        trm-bench resume results/maze-hard-paper
    """
    from ..python.api import resume
    from ..running.runner import command_line
    from .printing import print_results

    results = resume(folder, data=data, jobs=jobs, gpus=gpus, on=on, progress=True, command=command_line())
    return print_results(results, as_json)

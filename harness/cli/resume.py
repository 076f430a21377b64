"""``trm-bench resume``: what a stopped run left undone, without typing its command again."""

from __future__ import annotations

from pathlib import Path

import click

from ..api.errors import NothingToReport, UsageError
from ..host.host import host
from ..running.runner import announce, cores, execute
from . import complete
from .printing import print_report


@click.command("resume")
@click.argument("folder", type=click.Path(path_type=Path), shell_complete=complete.outputs, metavar="DIR")
@click.option("--jobs", type=click.IntRange(min=1), help="Cells side by side; one per core on a CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(folder: Path, jobs: int | None, as_json: bool) -> int:
    """Go on with the runs into the output folder DIR, each cell from its last checkpoint.

    The same as the commands that began them. Example:

        trm-bench resume results/maze-hard-paper
    """
    from ..planning.grid import plan, read_run_requests
    from ..planning.study import declared_in, leaves
    from ..running.progress import console, counted

    declared = declared_in(folder)
    if declared is not None:
        raise UsageError(
            f"{folder} is a study's: trm-bench run --study {declared.study.name} --scale {declared.scale} "
            f"--output {folder} goes on with it, from its checkpoints"
        )
    asked = [(leaf, request) for leaf in leaves([folder]) for request in read_run_requests(leaf)]
    if not asked:
        raise NothingToReport(f"{folder}: no run into it is known; name the folder of a run's --output")
    out, done = console(), True
    for leaf, request in asked:
        with counted(out) as progress:
            study = plan(host(), request, progress)
        announce(out, study, leaf)
        workers = jobs or (cores() if request.device == "cpu" else 1)
        done &= execute(out, host(), study, leaf, workers, force=False)
    print_report(host(), [folder], as_json, not done, out)
    return 0 if done else 1

"""``trm-bench report``: the table again, from the records alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..host.host import OWN_DISTRIBUTION, Host, host, plugins_aside
from . import complete
from .terminal import echo_report

if TYPE_CHECKING:
    from ..report.table import Report


@click.command("report")
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    shell_complete=complete.outputs,
    metavar="DIR...",
)
@click.option(
    "--format",
    "reporter",
    default="text",
    show_default=True,
    shell_complete=complete.reporter,
    help="Name of a reporter; see `list`.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write the figures, as SVG and PNG.",
)
@click.option(
    "--published", is_flag=True, help="Put the literature's numbers beside ours; they enter no test."
)
def command(
    folders: tuple[Path, ...], reporter: str, as_json: bool, figures: Path | None, published: bool
) -> int:
    """Print the table of the finished cells in one or several output folders.

    Exit code 1 where a file could not be read or a requested cell is not done; the rest is
    reported all the same.
    """
    from ..report.build import build_report

    plugins = host()
    spec = plugins.reporters.get("json" if as_json else reporter, prefer=(OWN_DISTRIBUTION,)).spec
    report = build_report(folders)
    if published:
        report = with_published(report, plugins)
    with plugins_aside():
        plugins.notify("trm_bench_report_ready", report=report)
    if figures is not None:
        from ..report.figures import save

        click.echo(f"{len(save(report, figures))} files of figures in {figures}", err=True)
    echo_report(spec.render(report), spec.name)
    for problem in report.problems:
        click.echo(f"not read: {problem}", err=True)
    complete = all(row.complete for table in report.tables for row in table.rows)
    return 0 if complete and not report.problems else 1


def with_published(report: Report, plugins: Host) -> Report:
    """The report with what its tasks' plugins know of the literature."""
    known = {part.spec.name: part.spec.published for part in plugins.tasks.parts}
    tables = tuple(replace(table, published=known.get(table.task, ())) for table in report.tables)
    return replace(report, tables=tables)

"""``trm-bench report``: the table again, from the records alone."""

from __future__ import annotations

from pathlib import Path

import click

from ..api.errors import UsageError
from .complete import names
from .options import PATH, json_option
from .terminal import echo, echo_report


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="DIR...")
@click.option(
    "--format",
    "reporter",
    default="text",
    show_default=True,
    shell_complete=names("reporters"),
    help="text, markdown, html, latex, csv, json or another reporter; see `list`.",
)
@json_option("every number")
@click.option("--costs", is_flag=True, help="Print the tables of costs too (text and markdown).")
@click.option("--only", multiple=True, metavar="MODELS", help="Print these models only, by comma.")
@click.option(
    "--name",
    "renamed",
    multiple=True,
    metavar="MODEL=NAME",
    help='Print a model under another name, e.g. trm="Ours".',
)
@click.option("--figures", type=PATH, metavar="DIR", help="Also write the figures, as SVG and PNG.")
@click.option("--published", is_flag=True, help="Print published numbers below; they enter no test.")
def command(
    folders: tuple[Path, ...],
    reporter: str,
    as_json: bool,
    costs: bool,
    only: tuple[str, ...],
    renamed: tuple[str, ...],
    figures: Path | None,
    published: bool,
) -> int:
    """Print the table of the finished runs in one or several output folders.

    With --only, tests stay those of all models, and hidden ones are named. Exit code 1 where a file could not
    be read or a requested run is not done; the rest is reported all the same.
    """
    from ..python.api import load_results
    from ..python.options import names_of

    if as_json and reporter not in ("text", "json"):
        raise UsageError(f"--json is --format json, and --format {reporter} is another; choose one")
    results = load_results(*folders)
    name = "json" if as_json else reporter
    text = results.report(name, costs=costs, published=published, only=names_of(only), names=_names(renamed))
    if figures is not None:
        echo(f"{len(results.save_figures(figures))} files of figures in {figures}", err=True)
    echo_report(text, name)
    for problem in results.problems:
        echo(f"not read: {problem}", err=True)
    for remark in results.remarks if name == "csv" else ():  # where the report itself has no place for it
        echo(f"note: {remark}", err=True)
    return 0 if results.complete else 1


def _names(pairs: tuple[str, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    for pair in pairs:
        model, equals, name = pair.rpartition("=")
        if not (model and equals and name.strip()):
            raise UsageError(f"--name {pair!r}: write MODEL=NAME")
        names[model] = name.strip()
    return names

"""``trm-bench compare``: two models or two result folders, in words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ..api.errors import UsageError
from . import complete
from .terminal import echo_json


@click.command("compare")
@click.argument("a", shell_complete=complete.side)
@click.argument("b", shell_complete=complete.side)
@click.argument(
    "folders",
    nargs=-1,
    type=click.Path(path_type=Path),
    shell_complete=complete.outputs,
    metavar="[DIR]...",
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON, scores 0 to 1.")
def command(a: str, b: str, folders: tuple[Path, ...], as_json: bool) -> None:
    """Say what is known of A against B.

    A and B are models of the output folders DIR, or two output folders. Examples:

        trm-bench compare trm hrm results/maze-hard-mini

        trm-bench compare results/with results/without
    """
    from ..report.compare import compare_folders, compare_models
    from ..report.words import sentences

    problems: list[str] = []
    if folders:
        found = compare_models(a, b, folders, problems)
    elif Path(a).is_dir() and Path(b).is_dir():
        found = compare_folders(Path(a), Path(b), problems)
    else:
        raise UsageError(f"compare {a} {b}: name the output folders to look in, or two folders to compare")
    for problem in problems:
        click.echo(f"not read: {problem}", err=True)
    if as_json:
        echo_json([{**asdict(one), "sentences": sentences(one)} for one in found])
        return
    click.echo("\n\n".join("\n".join(sentences(one)) for one in found))

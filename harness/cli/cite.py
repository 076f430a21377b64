"""``trm-bench cite``: BibTeX of the harness, and of the task and the models of a table."""

from __future__ import annotations

from pathlib import Path

import click

from .options import folders_argument, json_option
from .terminal import echo, echo_json


@click.command("cite")
@folders_argument
@json_option("the entries, and what each is for,")
def command(folders: tuple[Path, ...], as_json: bool) -> None:
    """Print BibTeX entries: the harness, and the tasks and models of the output folders DIR.

    \b
        trm-bench cite results/maze-hard-mini
    """
    from ..python.citations import cite

    citations = cite(*folders)
    for problem in citations.missing:
        echo(problem, err=True)
    if as_json:
        echo_json([{"of": of, "bibtex": text} for text, of in citations.entries.items()])
    else:
        echo(str(citations))

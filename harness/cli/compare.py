"""``trm-bench compare``: two models or two result folders, in sentences."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .options import folders_argument, json_option
from .terminal import echo, echo_json


@click.command("compare")
@click.argument("a")
@click.argument("b")
@folders_argument
@json_option("the numbers, scores 0 to 1,")
def command(a: str, b: str, folders: tuple[Path, ...], as_json: bool) -> None:
    """Compare A with B: two models of the output folders DIR, or two output folders.

    \b
        trm-bench compare trm hrm results/maze-hard-mini
        trm-bench compare results/with results/without
    """
    from ..python.api import compare
    from ..report.words import sentences

    problems: list[str] = []
    pairs = compare(a, b, *folders, problems=problems)
    for problem in problems:
        echo(f"note: {problem}", err=True)
    if as_json:
        echo_json([{**asdict(pair), "sentences": sentences(pair)} for pair in pairs])
        return
    echo("\n\n".join("\n".join(sentences(pair)) for pair in pairs))

"""``trm-bench score``: a submission file against a task's test set."""

from __future__ import annotations

from pathlib import Path

import click

from ..api.errors import UsageError
from .options import PATH, json_option, parse_settings, task_option
from .terminal import echo, echo_json


@click.command("score")
@click.argument("file", type=PATH)
@task_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the task.")
@json_option("the scores, 0 to 1,")
def command(file: Path, task: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Score FILE, a submission in the form of the task's competition; it may be gzipped.

    A file with anything missing or malformed gets no score: all problems are named. Example:

    \b
        trm-bench score submission.json --task arc-agi-1
    """
    from ..python.verbs import score

    if task is None:
        raise UsageError("--task is missing")
    scored = score(file, task, parse_settings(settings))
    if as_json:
        echo_json({"task": task, "file": str(file), "summary": scored.summary, "scores": dict(scored.scores)})
        return
    echo(scored.summary)
    width = max(map(len, scored.scores))
    for name, value in scored.scores.items():
        echo(f"{name:<{width}}  {100 * value:7.3f} %")

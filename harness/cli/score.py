"""``trm-bench score``: a file of answers, whoever wrote it, against a task's test set."""

from __future__ import annotations

from pathlib import Path

import click

from ..api.errors import UsageError
from ..host.host import host
from . import complete
from .options import parse_settings, required
from .terminal import echo_json


@click.command("score")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--task", shell_complete=complete.task, help="Name of the task that the answers are for.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the task.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON, 0 to 1.")
def command(file: Path, task: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Score FILE, answers in the form of the task's competition; it may be gzipped.

    A file with anything missing or malformed gets no score: everything that is wrong is named. Example:

        trm-bench score submission.json --task arc-agi-1
    """
    spec = host().tasks.get(required(task, "--task")).spec
    if spec.score_submission is None:
        able = [part.spec.name for part in host().tasks.parts if part.spec.score_submission is not None]
        raise UsageError(f"task {spec.name!r} scores no files; {', '.join(able)} do")
    scored = spec.score_submission(file, parse_settings(settings))
    if as_json:
        content = {"task": spec.name, "file": str(file), "summary": scored.summary, "scores": scored.scores}
        echo_json(content)
        return
    click.echo(scored.summary)
    width = max(map(len, scored.scores))
    for name, score in scored.scores.items():
        click.echo(f"{name:<{width}}  {100 * score:7.3f} %")

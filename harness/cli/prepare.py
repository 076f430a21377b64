"""``trm-bench prepare``: puzzles ahead of a run."""

from __future__ import annotations

from pathlib import Path

import click

from ..api.errors import UsageError
from .options import all_settings, data_options, json_option
from .terminal import echo, echo_json


@click.command("prepare")
@data_options
@json_option("what was made")
def command(
    task: str | None,
    scale: str | None,
    source: str | None,
    data: Path | None,
    train: tuple[Path, ...],
    test: tuple[Path, ...],
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make or read a task's puzzles, so that a later run finds them in the cache."""
    from ..python.verbs import prepare

    if task is None:
        raise UsageError("--task is missing")
    given = all_settings(settings)
    prepared = prepare(
        task,
        scale=scale,
        source=source,
        data=data,
        train=train,
        test=test,
        settings=given,
        progress=True,
    )
    notes = [*prepared.source.notes, *prepared.source.caveats]
    if as_json:
        echo_json(
            {
                "task": task,
                "scale": prepared.info.scale,
                "folder": str(prepared.folder),
                "source": prepared.source.summary,
                "counts": prepared.counts,
                "fingerprints": prepared.fingerprints,
                "notes": notes,
            }
        )
        return
    echo(f"{task} at scale {prepared.info.scale}: {prepared.source.summary}")
    for split, count in prepared.counts.items():
        echo(f"{split:<10} {count:>9,}  {prepared.fingerprints[split][:16]}")
    for note in notes:
        echo(f"- {note}")
    echo(f"in {prepared.folder}")

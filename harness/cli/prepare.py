"""``trm-bench prepare``: puzzles ahead of a run."""

from __future__ import annotations

from pathlib import Path

import click

from ..host.host import host
from .options import all_settings, data_options, required
from .terminal import echo_json


@click.command("prepare")
@data_options
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def command(
    task: str | None,
    scale: str | None,
    source: str | None,
    data: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make or read a task's puzzles, so that a later run finds them in the cache."""
    from ..data.prepare import prepare
    from ..planning.grid import RunRequest, build_request
    from ..running.progress import console, counted

    part = host().tasks.get(required(task, "--task"))
    request = RunRequest(
        (), part.spec.name, scale or "mini", (), source, data, settings=all_settings(settings)
    )
    with counted(console()) as progress:
        prepared = prepare(part, build_request(part.spec, request, progress))
    if as_json:
        content = {
            "task": part.spec.name,
            "scale": request.scale,
            "folder": str(prepared.folder),
            "source": prepared.source.summary,
            "counts": prepared.counts,
            "fingerprints": prepared.fingerprints,
            "notes": [*prepared.source.notes, *prepared.source.caveats],
        }
        echo_json(content)
        return
    click.echo(f"{part.spec.name} at scale {request.scale}: {prepared.source.summary}")
    for split, count in prepared.counts.items():
        click.echo(f"{split:<10} {count:>9,}  {prepared.fingerprints[split][:16]}")
    for note in (*prepared.source.notes, *prepared.source.caveats):
        click.echo(f"- {note}")
    click.echo(f"in {prepared.folder}")

"""``trm-bench show``: the manifest of a run."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from ..api.errors import NothingToReport, UnavailableError
from .options import PATH, json_option
from .terminal import echo, echo_json


@click.command("show")
@click.argument("run", type=PATH)
@json_option("the manifest")
def command(run: Path, as_json: bool) -> None:
    """Print the manifest of RUN, a folder below an output folder."""
    from ..store.folders import MANIFEST, RunFolder

    if not run.is_dir():
        raise UnavailableError(f"{run}: no such folder")
    if not (run / MANIFEST).is_file():
        raise NothingToReport(f"{run}: no {MANIFEST} in it; name the folder of one run")
    content = RunFolder(run).manifest().model_dump(mode="json")
    if as_json:
        echo_json(content)
    else:
        echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100).rstrip("\n"))

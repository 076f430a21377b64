"""``trm-bench show``: the manifest of a cell."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from ..api.errors import NothingToReport
from . import complete
from .terminal import echo_json_text


@click.command("show")
@click.argument("cell", type=click.Path(path_type=Path), shell_complete=complete.cell)
@click.option("--json", "as_json", is_flag=True, help="Print it as it is stored.")
def command(cell: Path, as_json: bool) -> None:
    """Print the manifest of CELL, a folder beneath an output folder."""
    from ..store.folders import MANIFEST, Cell

    if not (cell / MANIFEST).is_file():
        raise NothingToReport(f"{cell}: no {MANIFEST} in it; name the folder of one cell")
    manifest = Cell(cell).manifest()
    if as_json:
        echo_json_text(manifest.model_dump_json(indent=1))
    else:
        content = manifest.model_dump(mode="json")
        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), nl=False)

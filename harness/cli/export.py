"""``trm-bench export``: a cell's weights in the names of the reference implementation."""

from __future__ import annotations

from pathlib import Path

import click

from ..api.errors import NothingToReport, UsageError
from ..host.host import host
from . import complete
from .terminal import echo_json


@click.command("export")
@click.argument("cell", type=click.Path(path_type=Path), shell_complete=complete.cell)
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="A .safetensors or .pt file to write."
)
@click.option(
    "--compiled", is_flag=True, help="Put _orig_mod. before every name, as compiled models have it."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(cell: Path, output: Path, compiled: bool, as_json: bool) -> None:
    """Write the weights of CELL as the reference implementation would, with its configuration beside them.

    Example:
        trm-bench export results/sudoku-extreme-mini/trm-mlp-s0-01234567 --output trm.safetensors
    """
    from ..planning.find_weights import architecture_of, find_weights, model_spec
    from ..weights.files import export_weights, read_weights

    if not cell.is_dir():
        raise UsageError(f"export {cell}: name the folder of a cell")
    found = find_weights([cell])
    if len(found) != 1:
        raise UsageError(f"export {cell}: {len(found)} cells with weights in it; name the folder of one")
    origin = found[0].origin
    if origin is None:
        raise NothingToReport(f"export {cell}: the cell is not finished")
    spec = model_spec(host(), origin.identity)
    options = architecture_of(host(), origin.identity, found[0].file)
    assert spec.config is not None
    config = spec.config(**options)
    side = export_weights(read_weights(found[0].file), spec, config, output, compiled=compiled)
    if as_json:
        model = origin.identity.model
        echo_json({"cell": str(cell), "model": model, "weights": str(output), "configuration": str(side)})
    else:
        click.echo(f"{output}\n{side}")

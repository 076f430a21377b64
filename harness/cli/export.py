"""``trm-bench export``: a run's weights in the names of the reference implementation."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, json_option
from .terminal import echo, echo_json


@click.command("export")
@click.argument("run", type=PATH)
@click.option("--output", required=True, type=PATH, help="A .safetensors or .pt file to write.")
@click.option(
    "--compiled", is_flag=True, help="Put _orig_mod. before every name, as compiled models have it."
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@json_option("what was written")
def command(run: Path, output: Path, compiled: bool, force: bool, as_json: bool) -> None:
    """Write the weights of RUN as the reference implementation would, with its configuration next to them.

    \b
        trm-bench export results/sudoku-extreme-mini/trm-mlp-s0-01234567 --output trm.safetensors
    """
    from ..python.verbs import export

    model, weights, side = export(run, output, compiled=compiled, force=force)
    if as_json:
        echo_json({"run": str(run), "model": model, "weights": str(weights), "configuration": str(side)})
    else:
        echo(f"{weights}\n{side}")

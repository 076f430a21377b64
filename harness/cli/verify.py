"""``trm-bench verify``: check results that somebody else made."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .options import PATH, json_option
from .terminal import echo, echo_json


@click.command("verify")
@click.argument("folders", nargs=-1, required=True, type=PATH, metavar="DIR...")
@click.option("--data", type=PATH, help="Folder of the official files, for runs on them.")
@click.option(
    "--train", type=PATH, multiple=True, metavar="FILE", help="File they were trained on; repeatable."
)
@click.option(
    "--test", type=PATH, multiple=True, metavar="FILE", help="File they were tested on; repeatable."
)
@click.option("--retrain", type=click.IntRange(0, 1000), default=0, help="Train N finished runs again.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, help="Seed of the draw of --retrain.", show_default=True
)
@json_option("everything that was found")
def command(folders: tuple[Path, ...], as_json: bool, **options: Any) -> int:
    """Check everything in output folders that can be checked without their authors.

    Checksums, names, counts; puzzles rebuilt where their source allows it; scores and clusters recomputed;
    parameters and FLOPs counted again. --retrain trains runs drawn at random again, from their manifests
    alone, and says whether predictions and weights are the same to the bit, the same within rounding, or
    different.

    Exit code 1 where anything is wrong or came out different.
    """
    from ..python.verify import verify

    found = verify(*folders, **options, progress=True)
    if as_json:
        echo_json({**asdict(found), "ok": found.ok, "summary": str(found)})
        return 0 if found.ok else 1
    for problem in found.problems:
        echo(f"wrong: {problem}")
    for name, detail in found.details.items():
        echo(f"{name}: {detail}")
    for what in found.unchecked:
        echo(f"not checked: {what}")
    for remark in found.remarks:
        echo(f"note: {remark}")
    echo(str(found))
    return 0 if found.ok else 1

"""``trm-bench list``: what is installed."""

from __future__ import annotations

import click

from .options import json_option
from .terminal import echo, echo_json

KINDS = ("tasks", "models", "evaluators", "reporters", "studies", "runners")


@click.command("list")
@click.argument("kind", type=click.Choice([*KINDS, "all"]), default="all")
@json_option("the list")
def command(kind: str, as_json: bool) -> None:
    """List tasks, models, evaluators, reporters, studies and runners."""
    from ..host.listing import list_parts

    content = list_parts(KINDS if kind == "all" else (kind,))
    if as_json:
        echo_json(content)
        return
    width = max((len(entry["name"]) for entries in content.values() for entry in entries), default=0)
    for name, entries in content.items():
        echo(f"{name}:")
        for entry in entries:
            scales = f" [{', '.join(entry['scales'])}]" if "scales" in entry else ""
            echo(f"  {entry['name']:<{width}}  {entry['summary']}{scales}")

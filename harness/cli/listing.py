"""``trm-bench list``: what there is."""

from __future__ import annotations

from typing import Any

import click

from ..host.host import Host, Part, host
from .terminal import echo_json

KINDS = ("tasks", "models", "evaluators", "reporters", "studies")


@click.command("list")
@click.argument("kind", type=click.Choice([*KINDS, "all"]), default="all")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(kind: str, as_json: bool) -> None:
    """Name the tasks, models, evaluators, reporters and studies there are."""
    kinds = KINDS if kind == "all" else (kind,)
    content = {name: _entries(host(), name) for name in kinds}
    if as_json:
        echo_json(content)
        return
    width = max((len(entry["name"]) for entries in content.values() for entry in entries), default=0)
    for name, entries in content.items():
        click.echo(f"{name}:")
        for entry in entries:
            scales = f" [{', '.join(entry['scales'])}]" if "scales" in entry else ""
            click.echo(f"  {entry['name']:<{width}}  {entry['summary']}{scales}")


def _entries(plugins: Host, kind: str) -> list[dict[str, Any]]:
    registry = getattr(plugins, kind)
    clashing = registry.clashes()
    return [_entry(part, part.spec.name in clashing) for part in registry.parts]


def _entry(part: Part[Any], clashing: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": part.full_name if clashing else part.spec.name,
        "summary": part.spec.summary,
        "plugin": part.plugin.label,
    }
    if hasattr(part.spec, "scales"):
        entry["scales"] = list(part.spec.scales)
    return entry

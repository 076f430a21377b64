"""The parts that are installed, as plain data; imports neither torch nor scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .host import Host, host


def list_parts(kinds: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The parts of each kind (``tasks``, ``models``, …): name, summary, plugin, and a task's scales."""
    return {kind: _entries(host(), kind) for kind in kinds}


def _entries(plugins: Host, kind: str) -> list[dict[str, Any]]:
    registry = getattr(plugins, kind)
    clashing = registry.clashes()
    return [
        {
            "name": part.full_name if part.spec.name in clashing else part.spec.name,
            "summary": part.spec.summary,
            "plugin": part.plugin.label,
            **({"scales": list(part.spec.scales)} if hasattr(part.spec, "scales") else {}),
        }
        for part in registry.parts
    ]

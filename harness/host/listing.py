"""The parts that are installed, as plain data; imports neither torch nor scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..api.specs import TaskSpec
from .host import Host, host


def list_parts(kinds: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The parts of each kind (``tasks``, ``models``, …): name, summary, plugin, and a task's scales.

    ``lengths`` are those of a training at each of the scales, e.g. ``800 steps`` or ``100,000 epochs``.
    """
    return {kind: _entries(host(), kind) for kind in kinds}


def _entries(plugins: Host, kind: str) -> list[dict[str, Any]]:
    registry = getattr(plugins, kind)
    clashing = registry.clashes()
    return [
        {
            "name": part.full_name if part.spec.name in clashing else part.spec.name,
            "summary": part.spec.summary,
            "plugin": part.plugin.label,
            **_scales(part.spec),
        }
        for part in registry.parts
    ]


def _scales(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, TaskSpec):
        return {}
    lengths = {name: scale.length for name, scale in spec.scales.items()}
    return {"scales": list(lengths), "lengths": lengths}

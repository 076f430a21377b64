"""A run's identity, which names it, and its description, which is printed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..api.specs import EvaluatorSpec, TaskSpec
from ..data.prepare import Prepared
from ..host.host import OWN_DISTRIBUTION, Part
from ..store import provenance
from ..store.records import Description, PartIdentity, RunIdentity
from .job import PlannedRun

PROCEDURE = 1
"""Version of the training procedure; goes up when the same request would train otherwise."""
LONGEST_NAME = 120
"""Characters of a model's name in the name of a folder; the hash tells runs apart."""


def part_identity(kind: str, part: Part[Any]) -> PartIdentity:
    """Which code a plugin's part is. Ours goes by the version of its distribution."""
    plugin, own = part.plugin, part.plugin.distribution == OWN_DISTRIBUTION
    return PartIdentity(
        kind=kind,
        name=part.spec.name,
        distribution=plugin.distribution,
        version=plugin.version,
        code=None if own or plugin.file else provenance.plugin_fingerprint(plugin.module),
    )


def describe(
    prepared: Prepared,
    task: TaskSpec,
    parts: Sequence[Part[Any]],
    *,
    requested: str,
    model: str,
    display_name: str,
    supervision_steps: int,
    task_options: dict[str, Any],
    margin: float | None,
) -> Description:
    """Everything that a report prints about a run; ``margin`` in percentage points."""
    source = prepared.source
    return Description(
        requested=requested,
        model=model,
        display_name=display_name,
        primary=task.primary,
        headings={
            part.spec.name: part.spec.heading
            for part in parts
            if isinstance(part.spec, EvaluatorSpec) and part.spec.heading
        },
        cluster=task.cluster,
        cells=prepared.info.cells,
        supervision_steps=supervision_steps,
        source_kind=source.kind,
        source=source.summary,
        files=[asdict(file) for file in source.files],
        source_notes=list(source.notes),
        counts=prepared.counts,
        task_options=task_options,
        margin=None if margin is None else margin / 100,
        api_versions={part.full_name: part.spec.api_version for part in parts},
        plugin_files={part.full_name: Path(part.plugin.file).name for part in parts if part.plugin.file},
    )


def planned_run(
    identity: RunIdentity,
    description: Description,
    notes: tuple[str, ...] = (),
    reasons: Sequence[str] = (),
) -> PlannedRun:
    """The run of an identity, in a folder named after model, seed and a hash of the rest."""
    model = "".join(c if c.isalnum() or c in "-_.=" else "_" for c in description.model).strip("_")
    name = f"{model[:LONGEST_NAME]}-s{identity.seed}-{identity_hash(identity)}"
    from_files = [
        f"{part} comes from the file {file}, not from an installed distribution"
        for part, file in description.plugin_files.items()
    ]
    return PlannedRun(name, identity, description, notes, tuple(dict.fromkeys([*reasons, *from_files])))


def identity_hash(identity: RunIdentity) -> str:
    """Eight hexadecimal digits for everything that a run's numbers depend on.

    Our own code goes by its version alone; a table that mixes runs of two states of our code has a note.
    """
    return hashlib.sha256(repr(_sorted(identity.model_dump(mode="json"))).encode()).hexdigest()[:8]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return [_sorted(inner) for inner in value]
    return value

"""A run's identity, which names it, and its description, which is printed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..api.text import file_name
from ..host.host import OWN_DISTRIBUTION, Part
from ..host.sources import UNKNOWN, fingerprint
from ..store.records import Description, PartIdentity, RunIdentity
from ..training.config import TrainingConfig
from .grid import Context
from .job import PlannedRun

PROCEDURE = 2
"""Version of the training procedure; goes up when the same request would train otherwise."""


ON_VALIDATION = "scored on validation, not on test"
"""Why a run that is scored on the validation split may not be cited."""


def part_identity(kind: str, part: Part[Any]) -> PartIdentity:
    """Which code a plugin's part is. Ours goes by the version of its distribution, a file's by its own."""
    plugin, own = part.plugin, part.plugin.distribution == OWN_DISTRIBUTION
    return PartIdentity(
        kind=kind,
        name=part.spec.name,
        distribution=plugin.distribution,
        version=plugin.version,
        code=None if own or plugin.file else fingerprint(plugin.module, plugin.distribution),
    )


def identity_of(context: Context, model: Part[Any], **own: Any) -> RunIdentity:
    """The identity of a run in a context; ``own`` are the fields in which the runs of a grid may differ."""
    return RunIdentity(
        procedure=PROCEDURE,
        task_version=context.task.spec.version,
        scale=context.scale,
        fingerprints=context.prepared.fingerprints,
        split=context.request.split,
        task_seed=context.settings.task_seed,
        device=context.request.device,
        threads=context.settings.threads,
        deterministic=context.deterministic,
        parts=[part_identity("task", context.task), part_identity("model", model)],
        **own,
    )


def in_precision(training: TrainingConfig, auto: str) -> TrainingConfig:
    """The settings with the precision that ``auto`` means: what the numbers depend on."""
    return training.model_copy(update={"precision": auto}) if training.precision == "auto" else training


def describe(context: Context, part: Part[Any], **names: Any) -> Description:
    """Everything that a report prints about a run of the model ``part``.

    ``names`` are ``requested``, ``model``, ``display_name`` and ``supervision_steps``, see `Description`.
    """
    task, prepared, settings = context.task.spec, context.prepared, context.settings
    source, parts = prepared.source, [context.task, part, *context.evaluators]
    headings = {one.spec.name: one.spec.heading for one in context.evaluators if one.spec.heading}
    return Description(
        primary=task.primary,
        headings=headings,
        cluster=task.cluster,
        cells=prepared.info.cells,
        source_kind=source.kind,
        source=source.summary,
        files=[asdict(file) for file in source.files],
        source_notes=list(source.notes),
        counts=prepared.counts,
        task_options=dict(settings.task),
        margin=None if settings.margin is None else settings.margin / 100,
        api_versions={one.full_name: one.spec.api_version for one in parts},
        plugin_files={one.full_name: Path(one.plugin.file).name for one in parts if one.plugin.file},
        **names,
    )


def planned_run(
    context: Context,
    identity: RunIdentity,
    description: Description,
    notes: tuple[str, ...] = (),
    reasons: Sequence[str] = (),
) -> PlannedRun:
    """The run of an identity; ``reasons`` may be those of a run on another split."""
    name = run_name(description.model, identity)
    split = [ON_VALIDATION] if identity.split == "validation" else []
    reasons = [*split, *(reason for reason in reasons if reason != ON_VALIDATION)]
    from_files = [
        f"{part} comes from the file {file}, not from an installed distribution"
        for part, file in description.plugin_files.items()
    ]
    scored_by = tuple(part_identity("evaluator", part) for part in context.evaluators)
    unknown = [
        f"no files of the code of {part.full_name} were found, so that its runs are never reused"
        for part in (*identity.parts, *scored_by)
        if part.code is not None and part.code.startswith(UNKNOWN)
    ]
    reasons = tuple(dict.fromkeys([*reasons, *from_files, *unknown]))
    return PlannedRun(name, identity, description, scored_by, notes, reasons)


def run_name(model: str, identity: RunIdentity) -> str:
    """The name of a run's folder: model, seed, and a hash of the identity, by which runs are told apart."""
    return f"{file_name(model)}-s{identity.seed}-{identity_hash(identity)}"


def identity_hash(identity: RunIdentity) -> str:
    """Eight hexadecimal digits for everything that a run's numbers depend on.

    Our own code goes by its version alone; a table that mixes runs of two states of our code has a note. The
    split, rollouts and another training count where they are not the usual ones.
    """
    usual = {
        *(["split"] if identity.split == "test" else []),
        *(["rollouts"] if identity.rollouts is None else []),
        *(["trained"] if identity.trained is None else []),
    }
    content = identity.model_dump(mode="json", exclude=usual)
    return hashlib.sha256(repr(_sorted(content)).encode()).hexdigest()[:8]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return [_sorted(inner) for inner in value]
    return value

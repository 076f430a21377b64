"""Evaluators that fit every task: exact match and cell accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...harness.api.hookspecs import hookimpl
from ...harness.api.predictions import Predictions
from ...harness.api.puzzles import PAD, PuzzleSet, TaskInfo
from ...harness.api.specs import EvaluatorSpec, Sample


def exact(task: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    """1 where every labelled cell is correct."""
    right = ((predictions.tokens == puzzles.targets) | (puzzles.targets == PAD)).all(axis=1)
    return [
        Sample(str(item), str(cluster), float(score))
        for item, cluster, score in zip(puzzles.ids, puzzles.clusters, right, strict=True)
    ]


def cells(task: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    """The share of labelled cells that are correct; in the extras that of copying the input."""
    labelled = puzzles.targets != PAD
    count = labelled.sum(axis=1)
    right = ((predictions.tokens == puzzles.targets) & labelled).sum(axis=1) / count
    copied = ((puzzles.inputs == puzzles.targets) & labelled).sum(axis=1) / count
    return [
        Sample(str(item), str(cluster), float(score), {"copy": float(copy)})
        for item, cluster, score, copy in zip(puzzles.ids, puzzles.clusters, right, copied, strict=True)
    ]


@hookimpl
def trm_bench_register_evaluators() -> Iterable[EvaluatorSpec]:
    """Exact match and cell accuracy."""
    return [
        EvaluatorSpec("exact", "every cell correct", evaluate=exact, heading="solved %"),
        EvaluatorSpec("cells", "share of cells correct", evaluate=cells, heading="cell acc. %"),
    ]

"""Score a prediction by the rules of the game."""

from __future__ import annotations

from collections.abc import Sequence

from ...harness.api.predictions import Predictions
from ...harness.api.puzzles import PuzzleSet, TaskInfo
from ...harness.api.specs import Sample
from .board import Shape, full_and_valid, keeps_givens


def sudoku_valid(info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    """1 for a full valid grid that keeps every given, else 0."""
    answers = predictions.tokens
    good = full_and_valid(Shape.of_side(info.height), answers) & keeps_givens(puzzles.inputs, answers)
    rows = zip(puzzles.ids.tolist(), puzzles.clusters.tolist(), good.tolist(), strict=True)
    return [Sample(item, cluster, float(score)) for item, cluster, score in rows]

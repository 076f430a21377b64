"""The mazes' own evaluators: is the prediction a path from S to G, and is it a shortest one?

Exact match asks for the one shortest path that the labels' tie-break picks among millions; these
two ask what a maze is about. Where a maze has one path, all three agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...harness.api.puzzles import PuzzleSet, TaskInfo
from ...harness.api.specs import EvaluatorSpec, Sample
from .paths import judge
from .scales import HARD_NAME, UNIQUE_NAME

if TYPE_CHECKING:
    from ...harness.api.predictions import Predictions


def evaluate_valid(info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    """1 where the prediction keeps walls, S, G and open cells and marks exactly one path from S to G.

    The extra ``excess_moves``, for a valid answer, is by how much its path is longer than needed.
    """
    samples = []
    for item, cluster, excess in _excess(info, puzzles, predictions):
        extras = {} if excess is None else {"excess_moves": float(excess)}
        samples.append(Sample(item, cluster, float(excess is not None), extras))
    return samples


def evaluate_shortest(info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    """1 where the prediction is valid and its path is as short as any."""
    return [
        Sample(item, cluster, float(excess == 0))
        for item, cluster, excess in _excess(info, puzzles, predictions)
    ]


def _excess(
    info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions
) -> Iterator[tuple[str, str, int | None]]:
    """Item, cluster, and moves beyond a shortest path; None where the prediction is not valid."""
    moves, shortest = judge(puzzles.inputs, predictions.tokens, info.height, info.width)
    columns = (puzzles.ids.tolist(), puzzles.clusters.tolist(), moves.tolist(), shortest.tolist())
    for item, cluster, made, least in zip(*columns, strict=True):
        yield item, cluster, made - least if made >= 0 else None


EVALUATORS = [
    EvaluatorSpec(
        name="maze-valid",
        summary="the prediction marks exactly one path from S to G and changes nothing else",
        evaluate=evaluate_valid,
        tasks=(HARD_NAME, UNIQUE_NAME),
        heading="valid path %",
    ),
    EvaluatorSpec(
        name="maze-shortest",
        summary="the prediction marks exactly one shortest path from S to G and changes nothing else",
        evaluate=evaluate_shortest,
        tasks=(HARD_NAME, UNIQUE_NAME),
        heading="shortest path %",
    ),
]

"""ARC's evaluators: is the true grid among the k predictions with most votes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...harness.api.augment import Ints
from ...harness.api.predictions import Predictions
from ...harness.api.puzzles import PAD, PuzzleSet, TaskInfo
from ...harness.api.specs import EvaluatorSpec, Sample
from ...harness.api.voting import Ballots
from .grids import cropped

TASKS = ("arc-agi-1", "arc-agi-2")
TOP = (1, 2, 5, 10, 100, 1000)
CURVE = (1, 3, 10, 30, 100, 300, 1000)
"""Votes at which pass@2 is scored, by the first N of the same ballots."""
ABSENT = 0


def ranks(ballots: Ballots, targets: np.ndarray, first: int | None = None) -> Ints:
    """(N,) the place of the true grid among an item's candidates, 1 for the best, `ABSENT` for none."""
    found = np.zeros(len(targets), np.int64)
    for item, candidates in enumerate(ballots.ranked(first)):
        right = (ballots.candidates[candidates] == targets[item]).all(axis=1)
        found[item] = np.argmax(right) + 1 if right.any() else ABSENT
    return found


def pass_at(k: int, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    """1 where one of the k predictions with most votes is the true grid."""
    if predictions.ballots is None:
        right = (predictions.best(k) == puzzles.targets[:, None]).all(axis=2).any(axis=1)
    else:  # the best thousand of every item would fill the memory
        found = ranks(predictions.ballots, puzzles.targets)
        right = (found != ABSENT) & (found <= k)
    return _samples(puzzles, right, [{} for _ in right])


def pass_at_2(info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    """`pass_at` 2, with the number of votes, of valid ones, the rank of the true grid and the vote curve.

    The curve's ``at_n`` is pass@2 by the first n votes, the view without a change first; an item that
    has fewer votes keeps what it has. Of predictions that were read from a run's folder, only the score.
    """
    if predictions.ballots is None:
        return pass_at(2, puzzles, predictions)
    ballots = predictions.ballots
    found = ranks(ballots, puzzles.targets)
    grids = (ballots.candidates != PAD).any(axis=1)
    valid = np.bincount(ballots.item[grids[ballots.candidate]], minlength=len(puzzles))
    extras: list[dict[str, float]] = [
        {"votes": int(votes), "valid_votes": int(count), "rank": int(rank)}
        for votes, count, rank in zip(ballots.votes, valid, found, strict=True)
    ]
    for first in (n for n in CURVE if n <= ballots.votes.max()):
        early = ranks(ballots, puzzles.targets, first)
        for extra, rank in zip(extras, early.tolist(), strict=True):
            extra[f"at_{first}"] = float(rank in (1, 2))
    return _samples(puzzles, (found == 1) | (found == 2), extras)


def single(info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    """1 where the prediction for the input as it is, without a vote, is the true grid."""
    truths = cropped(puzzles.targets, info.height)
    answers = cropped(predictions.tokens, info.height)
    right = [np.array_equal(answer, truth) for answer, truth in zip(answers, truths, strict=True)]
    return _samples(puzzles, np.array(right), [{} for _ in right])


def _samples(
    puzzles: PuzzleSet, right: np.ndarray, extras: Sequence[Mapping[str, float]]
) -> Sequence[Sample]:
    columns = (puzzles.ids.tolist(), puzzles.clusters.tolist(), right.tolist(), extras)
    return [
        Sample(item, cluster, float(score), extra)
        for item, cluster, score, extra in zip(*columns, strict=True)
    ]


def _pass_at(k: int) -> EvaluatorSpec:
    def evaluate(info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
        return pass_at(k, puzzles, predictions)

    summary = f"the true grid is among the {k} predictions with most votes" if k > 1 else "most votes"
    return EvaluatorSpec(f"pass@{k}", summary, pass_at_2 if k == 2 else evaluate, TASKS)


EVALUATORS = [
    *(_pass_at(k) for k in TOP),
    EvaluatorSpec(
        "single", "the prediction for the unaugmented input, without a vote", single, TASKS, "single view %"
    ),
]

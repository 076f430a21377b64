"""From predictions to records: every evaluator's score for every test item."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from ..api.errors import TrmBenchError
from ..api.predictions import Predictions
from ..api.puzzles import PAD, PuzzleSet, TaskInfo
from ..api.specs import EvaluatorSpec, Sample
from ..api.voting import Ballots
from ..store.records import Record
from .rollouts import digests


def exact_share(predictions: Predictions, puzzles: PuzzleSet) -> float:
    """The share of puzzles with every labelled cell correct, for validation curves."""
    correct = (predictions.tokens == puzzles.targets) | (puzzles.targets == PAD)
    return float(np.mean(correct.all(axis=1))) if len(puzzles) else float("nan")


ANY_RIGHT, AGREE = "rollouts.any_right", "rollouts.agree"


def _of_rollouts(predictions: Predictions, test: PuzzleSet) -> dict[str, list[float]]:
    """See `score`."""
    if predictions.rollout_digests is not None:
        return _of_votes(predictions.every_vote(), predictions.rollout_digests, test)
    answers = predictions.rollouts
    if answers is None:
        return {}
    right = (answers == test.targets[:, None]) | (test.targets[:, None] == PAD)
    same = (answers == predictions.tokens[:, None]).all(axis=2)
    return {
        ANY_RIGHT: right.all(axis=2).any(axis=1).astype(float).tolist(),
        AGREE: same.mean(axis=1).tolist(),
    }


def _of_votes(ballots: Ballots, answers: NDArray[np.uint64], test: PuzzleSet) -> dict[str, list[float]]:
    """The same of (V, K) digests of answers under views, all of an item's votes together; see `score`."""
    right = answers == digests(test.targets)[ballots.item, None]
    same = answers == digests(ballots.best(1)[:, 0])[ballots.item, None]
    rights = np.bincount(ballots.item, weights=right.any(axis=1), minlength=len(test))
    shares = np.bincount(ballots.item, weights=same.mean(axis=1), minlength=len(test)) / ballots.votes
    return {ANY_RIGHT: (rights > 0).astype(float).tolist(), AGREE: shares.tolist()}


@contextmanager
def read_only(*holders: object) -> Iterator[None]:
    """While a plugin sees them: arrays of puzzles and predictions that cannot be written into."""
    parts = [part for holder in holders for part in vars(holder).values()]
    parts += [part for one in parts if isinstance(one, Ballots) for part in vars(one).values()]
    arrays = [part for part in parts if isinstance(part, np.ndarray) and part.flags.writeable]
    for array in arrays:
        array.flags.writeable = False
    try:
        yield
    finally:
        for array in arrays:
            array.flags.writeable = True


def _samples(
    evaluator: EvaluatorSpec, info: TaskInfo, test: PuzzleSet, predictions: Predictions
) -> Sequence[Sample]:
    """What an evaluator gives, which a plugin may have written; raises: see `score`."""
    named = f"evaluator {evaluator.name!r}"
    with read_only(test, predictions):
        try:
            given = evaluator.evaluate(info, test, predictions)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            why = "writes into arrays that others read too; let it copy them"
            raise TrmBenchError(f"{named}: {why}") from error
    if not isinstance(given, Iterable):
        raise TrmBenchError(f"{named} must give a list of Sample, and gave {type(given).__name__}")
    samples = list(given)
    if kinds := {type(one).__name__ for one in samples if not isinstance(one, Sample)}:
        raise TrmBenchError(f"{named} must give a list of Sample, and gave some {', '.join(sorted(kinds))}")
    if [sample.item for sample in samples] != test.ids.tolist():
        raise TrmBenchError(f"{named} must give one sample per test item, in their order")
    for sample in samples:
        if not isinstance(sample.extras, Mapping):
            raise TrmBenchError(f"{named}, item {sample.item}: extras {sample.extras!r} are no mapping")
        numbers = {"score": sample.score, **sample.extras}
        for key, value in numbers.items():
            if not isinstance(value, Real | np.bool_):
                raise TrmBenchError(f"{named}, item {sample.item}: {key} {value!r} is no number")
            if not math.isfinite(value):  # JSON has no such numbers
                raise TrmBenchError(f"{named}, item {sample.item}: {key} is {value}; leave it out")
        if not 0 <= sample.score <= 1:
            raise TrmBenchError(f"{named}, item {sample.item}: score {sample.score} is not from 0 to 1")
    return samples


def score(
    evaluators: Sequence[EvaluatorSpec],
    info: TaskInfo,
    test: PuzzleSet,
    predictions: Predictions,
    features: Mapping[str, NDArray[np.generic]],
) -> list[Record]:
    """One record per test item, scored by every evaluator.

    ``features`` are what the task knows of each test puzzle, (N,) by name. Where a puzzle has several
    answers, `ANY_RIGHT` is whether any of them is right, which no rule of selection knows, and `AGREE` the
    share of them that equals the one that counts. With votes, these are the answers of all views together,
    and the one with most votes counts.

    Raises:
        TrmBenchError: an evaluator did not give one `Sample` per item, in order: its score 0 to 1, its extras
            numbers.
    """
    columns: dict[str, list[float]] = {}
    taken = predictions.steps_taken
    known = {f"puzzle.{name}": values.tolist() for name, values in features.items()}
    known |= _of_rollouts(predictions, test)
    extras: list[dict[str, float]] = [{} for _ in test.ids]
    for evaluator in evaluators:
        samples = _samples(evaluator, info, test, predictions)
        name = evaluator.name
        columns[name] = [float(sample.score) for sample in samples]
        for kept, sample in zip(extras, samples, strict=True):
            kept |= {f"{name}.{key}": float(value) for key, value in sample.extras.items()}
    return [
        Record(
            item=str(test.ids[row]),
            cluster=str(test.clusters[row]),
            scores={name: column[row] for name, column in columns.items()},
            extras={
                "steps": int(taken[row]),
                "halt_step": int(predictions.halt_steps[row]),
                **{key: values[row] for key, values in known.items()},
                **extras[row],
            },
        )
        for row in range(len(test))
    ]

"""Voting: a puzzle is predicted under many of its augmentations, and equal predictions are counted.

Owns the ballots and their order. What an answer is once its augmentation is undone belongs to the task's
`Transforms.invert`; what a right one is worth belongs to its evaluators.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .augment import Ints
from .puzzles import PAD, Tokens


@dataclass(frozen=True)
class Ballots:
    """V votes on N test items, all by the same weights.

    Attributes:
        item: (V,) place of the item among the test items, rising.
        augmentation: (V,) k of the augmentation that the item was predicted under, rising for each item.
        candidate: (V,) row of ``candidates``.
        probability: (V,) halt probability of the answer; 0 for a model without a halt logit.
        candidates: (C, L) the different answers, in the frame of the item itself. An answer without content
            is all padding; it takes its place among the others, and is never right.
        votes: (N,) how many votes each item has.
    """

    item: Ints
    augmentation: Ints
    candidate: Ints
    probability: NDArray[np.float64]
    candidates: Tokens
    votes: Ints

    def ranked(self, first: int | None = None) -> list[Ints]:
        """Each item's candidates, best first, by its first N votes (all of them for None).

        The order: votes, then the mean halt probability of those who gave it, then the least augmentation
        that gave it (so the puzzle as it is comes before every transformed one). Source of the first two:
        the HRM and TRM repositories' ARC evaluator; the third makes the order total.
        """
        counted = np.ones(len(self.item), bool) if first is None else self.augmentation < first
        starts = np.concatenate([[0], np.cumsum(self.votes)])
        return [
            self._rank(np.arange(start, stop)[counted[start:stop]])
            for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        ]

    def best(self, k: int) -> Tokens:
        """(N, k, L) the first k of each item's ranked candidates; all padding where it has fewer."""
        found = np.full((len(self.votes), k, self.candidates.shape[1]), PAD, self.candidates.dtype)
        for item, candidates in enumerate(self.ranked()):
            found[item, : len(candidates[:k])] = self.candidates[candidates[:k]]
        return found

    def _rank(self, rows: Ints) -> Ints:
        found, where = np.unique(self.candidate[rows], return_inverse=True)
        counts = np.bincount(where, minlength=len(found))
        sums = np.bincount(where, weights=self.probability[rows], minlength=len(found))
        least = np.full(len(found), np.iinfo(np.int64).max)
        np.minimum.at(least, where, self.augmentation[rows])
        return found[np.lexsort((least, -sums / np.maximum(counts, 1), -counts))]


class BallotBox:
    """Collects votes batch by batch."""

    def __init__(self, votes: Ints):
        self._votes = votes
        self._columns: list[tuple[Ints, Ints, Ints, NDArray[np.float64]]] = []
        self._known: dict[tuple[int, bytes], int] = {}
        self._candidates: list[Tokens] = []

    def add(self, items: Ints, ks: Ints, answers: Tokens, probabilities: NDArray[np.float64]) -> None:
        """Count (n, L) answers to augmentations ``ks`` of ``items``, their augmentations undone."""
        chosen = [self._candidate(int(item), answer) for item, answer in zip(items, answers, strict=True)]
        self._columns.append((items, ks, np.array(chosen, np.int64), np.nan_to_num(probabilities)))

    def _candidate(self, item: int, answer: Tokens) -> int:
        key = (item, answer.tobytes())
        if key not in self._known:
            self._known[key] = len(self._candidates)
            self._candidates.append(answer.copy())
        return self._known[key]

    def ballots(self) -> Ballots:
        """Everything that was added; the votes of each item must have come in order."""
        columns: Iterable[NDArray[np.generic]] = (
            np.concatenate(part) for part in zip(*self._columns, strict=True)
        )
        item, augmentation, candidate, probability = columns
        candidates = np.stack(self._candidates)
        return Ballots(item, augmentation, candidate, probability, candidates, self._votes)  # type: ignore[arg-type]

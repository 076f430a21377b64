"""Rows of the puzzle-embedding table: one for every augmentation of every identity that is trained on.

Which row a puzzle gets, in training and at evaluation, is decided here; what the rows hold and how they
are trained belongs to `nn.embedding` and `nn.optim`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .augment import Ints
from .errors import UsageError
from .puzzles import Identities
from .randomness import hashed, named_seed

BLANK = 0
"""The row that no training example has: it stays at zero, as it was initialised."""


class PuzzleIds(StrEnum):
    """Which vector a puzzle gets at evaluation."""

    OWN = "own"
    """That of its identity and augmentation, as trained."""
    BLANK = "blank"
    """The untrained one, for every puzzle."""
    SHUFFLED = "shuffled"
    """That of another identity: each identity takes the place of the next in a seeded circle."""


@dataclass(frozen=True)
class EmbeddingRows:
    """The rows of a table that holds min(A, augmentations) rows for each identity that is trained on.

    Attributes:
        first: (G,) the row of augmentation 0.
        counts: (G,) rows of each identity; 0 for one that is not trained on.
    """

    first: Ints
    counts: Ints

    @classmethod
    def lay_out(
        cls, identities: Identities, trained: NDArray[np.integer], augmentations: int
    ) -> EmbeddingRows:
        """Rows for the identities in ``trained``, one after another, after the blank one."""
        counts = np.zeros(len(identities), np.int64)
        counts[trained] = np.minimum(identities.augmentations[trained], augmentations)
        return cls(1 + np.cumsum(counts) - counts, counts)

    @property
    def total(self) -> int:
        """Rows of the table, the blank one included."""
        return 1 + int(self.counts.sum())

    def of(self, identifiers: NDArray[np.integer], ks: Ints) -> Ints:
        """(N,) the row of augmentation ks[n] of identity identifiers[n]; `BLANK` where there is none."""
        return np.where(ks < self.counts[identifiers], self.first[identifiers] + ks, BLANK)

    def at_evaluation(self, identifiers: NDArray[np.integer], ks: Ints, which: PuzzleIds, seed: int) -> Ints:
        """`of`, or what it is replaced by to ask what the vectors hold."""
        if which is PuzzleIds.BLANK:
            return np.full(len(ks), BLANK)
        if which is PuzzleIds.OWN:
            return self.of(identifiers, ks)
        other = self._next_in_circle(seed)[identifiers]
        return self.of(other, ks % np.maximum(self.counts[other], 1))

    def _next_in_circle(self, seed: int) -> Ints:
        """(G,) another trained identity for each; an identity without rows keeps its place.

        Raises:
            UsageError: fewer than two are trained on.
        """
        trained = np.flatnonzero(self.counts)
        if len(trained) < 2:
            raise UsageError("puzzle_ids=shuffled: there are not two identities that were trained on")
        order = trained[np.argsort(hashed(named_seed("shuffled puzzle ids", seed), trained), kind="stable")]
        following = np.arange(len(self.counts))
        following[order] = np.roll(order, -1)
        return following

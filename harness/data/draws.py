"""The draw stream: which augmentation of which puzzle is draw t of a run. The same for every model."""

from __future__ import annotations

import numpy as np

from ..api.augment import Ints
from ..api.randomness import hashed, named_seed


class DrawStream:
    """Draw t is (puzzle, k): a pure function of (seed, t), in whatever portions it is read.

    Every run of ``puzzles`` draws, an epoch, holds each puzzle once, in an order of its own; k is
    uniform over the A augmentations. Puzzles of one identity are drawn together in an epoch and share k,
    which is uniform over the first A augmentations that the identity has.

    Args:
        seed: of the run.
        puzzles: how many there are.
        augmentations: A.
        identities: (puzzles,) who each puzzle is, and (identities,) the augmentations that each has; None
            where every puzzle is its own identity and has A augmentations.
    """

    def __init__(
        self, seed: int, puzzles: int, augmentations: int, identities: tuple[Ints, Ints] | None = None
    ):
        if puzzles < 1 or augmentations < 1:
            raise ValueError(
                f"need at least one puzzle and one augmentation, not {puzzles} and {augmentations}"
            )
        self.puzzles, self.augmentations = puzzles, augmentations
        self._identities = identities
        self._order_seed = named_seed("draw order", seed)
        self._augmentation_seed = named_seed("draw variant", seed)

    def _order(self, epoch: int) -> Ints:
        keys = hashed(self._order_seed, np.asarray(epoch), np.arange(self.puzzles))
        if self._identities is None:
            return np.argsort(keys, kind="stable")
        who = self._identities[0]
        # The second counter is beyond every puzzle's, so that no key is used for two purposes.
        together = hashed(self._order_seed, np.asarray(epoch), self.puzzles + who)
        return np.lexsort((keys, who, together))

    def at(self, start: int, count: int) -> tuple[Ints, Ints]:
        """Puzzle indices (count,) and augmentations k (count,) of draws start .. start + count − 1."""
        t = np.arange(start, start + count)
        if count == 0:
            return t, t
        epochs = range(start // self.puzzles, (start + count - 1) // self.puzzles + 1)
        first = epochs[0] * self.puzzles
        items = np.concatenate([self._order(epoch) for epoch in epochs])[t - first]
        if self._identities is None:
            bits, counts = hashed(self._augmentation_seed, t), np.uint64(self.augmentations)
        else:
            who = self._identities[0][items]
            bits = hashed(self._augmentation_seed, t // self.puzzles, who)
            counts = np.minimum(self._identities[1][who], self.augmentations).astype(np.uint64)
        return items, (bits % counts).astype(np.int64)

    def distinct(self, draws: int, portion: int = 1 << 20) -> int:
        """How many different (puzzle, k) the first ``draws`` draws hold."""
        if self.puzzles * self.augmentations > 16 * draws:  # a pair of numbers for each draw takes less
            return int(np.unique(np.stack(self.at(0, draws)), axis=1).shape[1])
        seen = np.zeros(self.puzzles * self.augmentations, dtype=bool)
        for start in range(0, draws, portion):
            items, ks = self.at(start, min(portion, draws - start))
            seen[items * self.augmentations + ks] = True
        return int(seen.sum())

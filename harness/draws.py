"""The draw stream: which variant of which puzzle is draw t of a run. The same for every model."""

from __future__ import annotations

import numpy as np

from .augment import Ints
from .randomness import hashed, named_seed


class DrawStream:
    """Draw t is (puzzle, k): a pure function of (seed, t), whoever asks and in whatever portions.

    Every run of ``puzzles`` draws holds each puzzle once, in an order of its own; k is uniform
    over the A variants.
    """

    def __init__(self, seed: int, puzzles: int, augmentations: int):
        if puzzles < 1 or augmentations < 1:
            raise ValueError(f"need at least one puzzle and one variant, not {puzzles} and {augmentations}")
        self.puzzles, self.augmentations = puzzles, augmentations
        self._order_seed = named_seed("draw order", seed)
        self._variant_seed = named_seed("draw variant", seed)

    def _order(self, epoch: int) -> Ints:
        keys = hashed(self._order_seed, np.asarray(epoch), np.arange(self.puzzles))
        return np.argsort(keys, kind="stable")

    def at(self, start: int, count: int) -> tuple[Ints, Ints]:
        """Puzzle indices (count,) and variants k (count,) of draws start .. start + count − 1."""
        t = np.arange(start, start + count)
        if count == 0:
            return t, t
        epochs = range(start // self.puzzles, (start + count - 1) // self.puzzles + 1)
        first = epochs[0] * self.puzzles
        items = np.concatenate([self._order(epoch) for epoch in epochs])[t - first]
        ks = (hashed(self._variant_seed, t) % np.uint64(self.augmentations)).astype(np.int64)
        return items, ks

    def distinct(self, draws: int, portion: int = 1 << 20) -> int:
        """How many different (puzzle, k) the first ``draws`` draws hold."""
        seen = np.zeros(self.puzzles * self.augmentations, dtype=bool)
        for start in range(0, draws, portion):
            items, ks = self.at(start, min(portion, draws - start))
            seen[items * self.augmentations + ks] = True
        return int(seen.sum())

"""The augmentation of mazes: the eight symmetries of the square.

The label of a 30x30 maze of Maze-Hard is one of many shortest paths, picked by a tie-break that a
turn does not respect: the turned label is a shortest path of the turned maze, but seldom the one that the
tie-break would pick there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...harness.api.augment import CellTokenTransforms, Ints
from ...harness.api.randomness import hashed, permutations
from ...harness.api.specs import AugmentationRequest
from .symmetry import ELEMENTS, dihedral_cells


@dataclass(frozen=True)
class Dihedral:
    """Turns and reflections of a square maze of ``vocab_size`` tokens.

    Augmentation 0 is the puzzle itself; augmentations 1 to 7 are the other elements in an order shuffled
    for each puzzle, so the first A augmentations are A different elements for every A up to 8.
    """

    side: int
    vocab_size: int
    max_augmentations: int | None = ELEMENTS

    def elements(self, seed: int, items: Ints, ks: Ints) -> Ints:
        """The group element (N,) of augmentation ``ks[n]`` of puzzle ``items[n]``.

        Raises:
            ValueError: if a k is not in 0..7.
        """
        if ks.size and not (ks.min() >= 0 and ks.max() < ELEMENTS):
            raise ValueError(
                f"a maze has augmentations 0 to {ELEMENTS - 1}, not {int(ks.min())} to {int(ks.max())}"
            )
        order = permutations(hashed(seed, items[:, None], np.arange(1, ELEMENTS)[None])) + 1
        with_identity = np.concatenate([np.zeros((len(items), 1), np.int64), order], axis=1)
        return np.take_along_axis(with_identity, ks[:, None], axis=1)[:, 0]

    def transforms(self, seed: int, items: Ints, ks: Ints) -> CellTokenTransforms:
        """See `harness.api.augment.Augmentation.transforms`."""
        cells = dihedral_cells(self.side)[self.elements(seed, items, ks)]
        names = np.broadcast_to(np.arange(self.vocab_size, dtype=np.uint8), (len(items), self.vocab_size))
        return CellTokenTransforms(cells, names)


def dihedral(request: AugmentationRequest) -> Dihedral:
    """The symmetries of a maze task of this shape, which must be square."""
    info = request.info
    if info.height != info.width:
        raise ValueError(f"a {info.height}x{info.width} maze is not square: a quarter turn changes its shape")
    return Dihedral(info.width, info.vocab_size)

"""The eight symmetries of the square, and when two wall maps are the same up to them."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ...harness.api.augment import Ints
from ...harness.api.puzzles import Tokens
from .scales import WALL

ELEMENTS = 8


@functools.cache
def dihedral_cells(side: int) -> Ints:
    """(8, L): cell l of a square turned by element g comes from cell ``[g, l]``; 0 is the identity.

    Elements 1 to 3 are the quarter turns, 4 is the transpose and 5 to 7 its turns. Read-only.
    """
    grid = np.arange(side * side, dtype=np.int64).reshape(side, side)
    images = [np.rot90(base, turns).ravel() for base in (grid, grid.T) for turns in range(4)]
    table = np.stack(images)
    table.setflags(write=False)
    return table


def canonical_walls(tokens: Tokens, side: int) -> NDArray[np.bytes_]:
    """(N,) keys: two mazes have the same key exactly if a symmetry maps one's walls to the other's.

    The key is the smallest of the eight images of the wall map, as packed bits. S, G and the path
    play no part.
    """
    walls = tokens == WALL
    images = np.packbits(walls[:, dihedral_cells(side)], axis=-1)
    keys: NDArray[np.bytes_] = images.view(f"S{images.shape[-1]}")[..., 0]
    return np.sort(keys, axis=1)[:, 0]

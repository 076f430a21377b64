"""The geometry of a Sudoku, its token codes, and vectorised checks of whole sets of grids.

Token codes: 0 padding, 1 blank, digit d is d + 1. A grid is one row of N×L arrays, row-major.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import Tokens

Bools = NDArray[np.bool_]
Ints32 = NDArray[np.int32]
BLANK = 1
FIRST_DIGIT = 2


@dataclass(frozen=True)
class Shape:
    """A board of n×n cells, cut into boxes of ``box_height`` × ``box_width`` cells."""

    box_height: int
    box_width: int

    @classmethod
    def of_side(cls, side: int) -> Shape:
        """The usual board with ``side`` rows: boxes as square as can be, wider than high."""
        height = max(h for h in range(1, side + 1) if side % h == 0 and h * h <= side)
        return cls(height, side // height)

    @property
    def side(self) -> int:
        """n: rows, columns, boxes and digits."""
        return self.box_height * self.box_width

    @property
    def cells(self) -> int:
        """L = n²."""
        return self.side**2

    @property
    def vocab_size(self) -> int:
        """Padding, blank and n digits."""
        return self.side + FIRST_DIGIT

    @property
    def bands(self) -> int:
        """Rows of boxes."""
        return self.box_width

    @property
    def stacks(self) -> int:
        """Columns of boxes."""
        return self.box_height

    @property
    def square(self) -> bool:
        """Whether transposing the board keeps the boxes, so that it is a symmetry."""
        return self.box_height == self.box_width

    @cached_property
    def box_of(self) -> NDArray[np.int64]:
        """(L,) the box of each cell, boxes counted row-major."""
        row, column = np.divmod(np.arange(self.cells), self.side)
        return np.asarray(row // self.box_height * self.stacks + column // self.box_width)

    @cached_property
    def units(self) -> Ints32:
        """(3n, n) the cells of every row, column and box."""
        cells = np.arange(self.cells).reshape(self.side, self.side)
        boxes = np.argsort(self.box_of, kind="stable").reshape(self.side, self.side)
        return np.concatenate([cells, cells.T, boxes]).astype(np.int32)

    @cached_property
    def peers(self) -> Ints32:
        """(L, P) the cells that share a unit with each cell, itself left out."""
        sees = np.zeros((self.cells, self.cells), dtype=np.bool_)
        for unit in self.units:
            sees[np.ix_(unit, unit)] = True
        np.fill_diagonal(sees, False)
        return np.nonzero(sees)[1].reshape(self.cells, -1).astype(np.int32)


def full_and_valid(shape: Shape, grids: Tokens) -> Bools:
    """(N,) whether every unit of an (N, L) array of grids holds every digit once."""
    in_units = np.sort(grids[:, shape.units], axis=-1)
    digits = np.arange(FIRST_DIGIT, shape.vocab_size)
    return np.asarray((in_units == digits).all(axis=(1, 2)))


def keeps_givens(questions: Tokens, answers: Tokens) -> Bools:
    """(N,) whether each answer holds the digits that its question gives."""
    return np.asarray(((questions == answers) | (questions == BLANK)).all(axis=1))

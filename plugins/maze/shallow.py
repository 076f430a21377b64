"""A quick look that spares most wall maps the full search: can any two cells be far apart at all?

One row of the board is one word, so that a search takes whole rows a step further at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .grid import Board, kernel

Rows = NDArray[np.uint32]
_ONE = np.uint32(1)
MAX_SIDE = 30
"""A row with its closed border has to fit in 32 bits."""


@kernel
def is_shallow(board: Board, side: int, min_moves: int) -> bool:
    """Whether quick searches rule out every pair ``min_moves`` apart; False leaves it open.

    No two places of a component are more than twice its depth apart, and a component of
    ``min_moves`` places or fewer holds no path of that many moves.
    """
    rows = rows_of(board, side)
    left = int(board.sum())
    # From the middle outwards: the largest component mostly begins there, and is least deep there.
    place = len(board) // 2 + side // 2
    while left > min_moves:
        while not rows[place // (side + 2)] >> np.uint32(place % (side + 2)) & _ONE:
            place = (place + 1) % len(board)
        reached = np.zeros(side + 2, np.uint32)
        reached[place // (side + 2)] = _ONE << np.uint32(place % (side + 2))
        if 2 * spread(rows, reached) >= min_moves:
            return False
        left -= take_away(rows, reached)
    return True


@kernel
def rows_of(board: Board, side: int) -> Rows:
    """The board's rows as words, column c at bit c."""
    rows = np.zeros(side + 2, np.uint32)
    for row in range(1, side + 1):
        word = np.uint32(0)
        for column in range(side + 2):
            word |= np.uint32(board[row * (side + 2) + column]) << np.uint32(column)
        rows[row] = word
    return rows


@kernel
def spread(rows: Rows, reached: Rows) -> int:
    """Grow ``reached`` within ``rows`` until nothing is added; the number of moves that took."""
    moves = 0
    grown = np.zeros_like(reached)
    while True:
        added = np.uint32(0)
        for row in range(1, rows.size - 1):
            word = reached[row]
            wider = word | (word << _ONE) | (word >> _ONE) | reached[row - 1] | reached[row + 1]
            grown[row] = wider & rows[row]
            added |= grown[row] ^ word
        if added == 0:
            return moves
        moves += 1
        reached[:] = grown


@kernel
def take_away(rows: Rows, reached: Rows) -> int:
    """Clear the bits of ``reached`` in ``rows``; how many there were."""
    count = 0
    for row in range(rows.size):
        word = reached[row]
        rows[row] &= ~word
        while word:
            word &= word - _ONE
            count += 1
    return count

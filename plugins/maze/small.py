"""Small mazes with one shortest path, drawn by plain rejection."""

from __future__ import annotations

import numpy as np

from ...harness.api.puzzles import Tokens
from .dice import Dice, below, uniform
from .grid import count_shortest, kernel, shortest_moves
from .scales import GOAL, OPEN, START, WALL


@kernel
def draw_small(dice: Dice, draws: int, side: int, min_moves: int, wall_share: float) -> Tokens:
    """Draw ``draws`` mazes; the questions (K, L) with a far enough G and one shortest path.

    Each cell is a wall with probability ``wall_share``, S and G are a uniform random pair of the
    open cells, in either order.
    """
    cells = side * side
    kept = np.empty((draws, cells), np.uint8)
    count = 0
    for _ in range(draws):
        question = kept[count]
        for cell in range(cells):
            question[cell] = WALL if uniform(dice) < wall_share else OPEN
        if np.sum(question == OPEN) < 2:
            continue
        start = open_cell(dice, question)
        question[start] = START
        goal = open_cell(dice, question)
        question[goal] = GOAL
        if shortest_moves(question, side, side) < min_moves:
            continue
        if count_shortest(question, side, side, 2) == 1:
            count += 1
    return kept[:count].copy()


@kernel
def open_cell(dice: Dice, question: Tokens) -> int:
    """A uniformly drawn open cell that is neither S nor G; there must be one."""
    while True:
        cell = int(below(dice, len(question)))
        if question[cell] == OPEN:
            return cell

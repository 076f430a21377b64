"""Mazes that are spanning trees, with S and G a drawn number of moves apart; the trees by Wilson's algorithm.

Rooms are the cells in even rows and columns, counted from 0; a passage is the cell between two
neighbouring rooms. Wilson's algorithm makes every spanning tree of the rooms equally likely
(D. B. Wilson, STOC 1996). Rooms and the tree's passages are open. Where the side is even, the last row
and column are walls. Trees of the other kind are drawn in `depth_first`.
"""

from __future__ import annotations

import numpy as np

from ...harness.api.puzzles import Tokens
from .depth_first import draw_deep_tree, goal_apart
from .dice import Dice, below
from .grid import Board, Places, flood, kernel, place_of
from .hard import write_question

TRIES = 10_000
"""Trees in a row without two cells that far apart after which a chunk ends early."""


@kernel
def draw_trees(dice: Dice, draws: int, side: int, min_moves: int, max_moves: int, deep: bool) -> Tokens:
    """Draw ``draws`` mazes; the questions (K, L), each with ``min_moves`` to ``max_moves`` from S to G.

    First the number of moves is drawn, uniformly, then trees until one has two open cells that far
    apart. So lengths are uniform, whatever the trees are like. S and G are drawn among all such ordered
    pairs, or, if ``deep``, S among all cells and then G.
    """
    kept = np.empty((draws, side * side), np.uint8)
    board = np.zeros((side + 2) * (side + 2), np.uint8)
    onward = np.empty(len(board), np.int32)
    for count in range(draws):
        moves = min_moves + below(dice, max_moves - min_moves + 1)
        start, goal = 0, 0
        for _ in range(TRIES):
            if deep:
                draw_deep_tree(dice, side, board, onward)
                start, goal = goal_apart(dice, board, side, moves)
            else:
                draw_tree(dice, side, board, onward)
                start, goal = pair_apart(dice, board, side, moves)
            if start:
                break
        if not start:
            return kept[:count].copy()
        write_question(board, side, start, goal, kept[count])
    return kept


@kernel
def draw_tree(dice: Dice, side: int, board: Board, onward: Places) -> None:
    """Open a spanning tree of the rooms on ``board``: from each room a loop-erased walk to the tree.

    ``onward`` is scratch memory of the board's size.
    """
    board[:] = 0
    rooms = (side + 1) // 2
    board[room_place(below(dice, rooms * rooms), side)] = 1
    for room in range(rooms * rooms):
        start = room_place(room, side)
        here = start
        while not board[here]:
            # A room that is visited again forgets where it led: this cuts the loop out.
            onward[here] = step_within(dice, here, side)
            here += 2 * onward[here]
        here = start
        while not board[here]:
            board[here] = 1
            board[here + onward[here]] = 1
            here += 2 * onward[here]


@kernel
def room_place(room: int, side: int) -> int:
    """Where room ``room`` (row-major) is on the board."""
    rooms = (side + 1) // 2
    return int(place_of(room // rooms * 2 * side + room % rooms * 2, side))


@kernel
def step_within(dice: Dice, here: int, side: int) -> int:
    """A uniformly drawn step towards one of the rooms next to the room at ``here``."""
    row, column = here // (side + 2) - 1, here % (side + 2) - 1
    while True:
        way = below(dice, 4)
        if way == 0 and row + 2 < side:
            return side + 2
        if way == 1 and row >= 2:
            return -side - 2
        if way == 2 and column + 2 < side:
            return 1
        if way == 3 and column >= 2:
            return -1


@kernel
def pair_apart(dice: Dice, board: Board, side: int, moves: int) -> tuple[int, int]:
    """A uniformly drawn ordered pair of open places ``moves`` apart; (0, 0) if there is none."""
    distance = np.empty(len(board), np.int32)
    queue = np.empty(len(board), np.int32)
    pairs, one, other = 0, 0, 0
    for place in range(len(board)):
        if not board[place]:
            continue
        reached = flood(board, side, place, distance, queue)
        for index in range(reached - 1, -1, -1):
            there = queue[index]
            if distance[there] < moves:
                break
            if distance[there] == moves:
                pairs += 1
                if below(dice, pairs) == 0:
                    one, other = place, there
    return one, other

"""Spanning-tree mazes by randomised depth-first search, as those of Maze-Unique.

Rooms are the cells in odd rows and columns, counted from 0, inside a border of walls; where the side is even,
the last row and column are walls, too. Few branches leave a path, and they are long.

Source: the builder in the repository of arXiv 2605.21488 (locuslab/EqR at 8cf0c52), by its description.
"""

from __future__ import annotations

import numpy as np

from .dice import Dice, below
from .grid import Board, Places, flood, kernel, place_of

STARTS = 200
"""Cells that are tried as S before another tree is drawn, as in the source."""


@kernel
def draw_deep_tree(dice: Dice, side: int, board: Board, path: Places) -> None:
    """Open a spanning tree of the rooms on ``board``: to new rooms, each drawn, and back where there is none.

    ``path`` is scratch memory of the board's size.
    """
    board[:] = 0
    rooms, down = (side - 1) // 2, side + 2
    room = below(dice, rooms * rooms)
    path[0] = place_of((room // rooms * 2 + 1) * side + room % rooms * 2 + 1, side)
    board[path[0]] = 1
    ways, length = np.empty(4, np.int32), 1
    while length:
        here = path[length - 1]
        row, column = here // down - 1, here % down - 1
        count = 0
        for way in range(4):
            step = (down, -down, 1, -1)[way]
            inside = (row + 2 < 2 * rooms, row > 2, column + 2 < 2 * rooms, column > 2)[way]
            if inside and not board[here + 2 * step]:
                ways[count] = step
                count += 1
        if count:
            step = ways[below(dice, count)]
            board[here + step] = 1
            path[length] = here + 2 * step
            board[path[length]] = 1
        length += 1 if count else -1


@kernel
def goal_apart(dice: Dice, board: Board, side: int, moves: int) -> tuple[int, int]:
    """A uniformly drawn open place, and one of those ``moves`` from it; (0, 0) if `STARTS` have none."""
    distance = np.empty(len(board), np.int32)
    queue = np.empty(len(board), np.int32)
    open_places = np.flatnonzero(board)
    for _ in range(STARTS):
        start = open_places[below(dice, len(open_places))]
        reached = flood(board, side, start, distance, queue)
        if distance[queue[reached - 1]] < moves:
            continue
        there = queue[:reached][distance[queue[:reached]] == moves]
        return int(start), int(there[below(dice, len(there))])
    return 0, 0

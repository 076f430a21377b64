"""Hard 30x30 mazes, drawn as the official ones are distributed.

The official set fits this law: walls uniform in number and place, S and G a uniform random pair of
open cells, kept if the shortest path is long enough. A random pair of a random maze is kept about
once in 50 000 times, so pairs are not tried but counted: with Q qualifying ordered pairs among the
``open * (open - 1)`` of a wall map, the map is kept with probability ``min(1, w / cap)``, where
``w = Q / (open * (open - 1))``, and one of its Q pairs is drawn uniformly. A map gives one maze at most.
"""

from __future__ import annotations

import numpy as np

from ...harness.api.puzzles import Tokens
from .dice import Dice, below, uniform
from .grid import Board, Places, cell_of, flood, kernel, place_of
from .scales import GOAL, OPEN, START, WALL
from .shallow import is_shallow


@kernel
def draw_walls(dice: Dice, walls: int, places: Places, board: Board) -> None:
    """Close ``walls`` of ``places``, drawn without replacement, and open the others.

    ``places`` is any order of all the cells' places; the walls come first in it afterwards.
    """
    board[places] = 1
    for index in range(walls):
        other = index + below(dice, len(places) - index)
        place = places[other]
        places[other] = places[index]
        places[index] = place
        board[place] = 0


@kernel
def centre(board: Board, width: int, reached: int, distance: Places, queue: Places) -> None:
    """Flood the component again from a place halfway along a long shortest path of it.

    ``queue`` holds the component's ``reached`` places as some search met them. A search from
    halfway reaches less far than another one, and the less far it reaches, the more pairs
    it rules out.
    """
    flood(board, width, queue[reached - 1], distance, queue)
    here = queue[reached - 1]
    for left in range(distance[here] - 1, distance[here] // 2 - 1, -1):
        for step in (width + 2, -1, 1, -width - 2):
            if distance[here + step] == left:
                here += step
                break
    flood(board, width, here, distance, queue)


@kernel
def count_far_pairs(
    board: Board, width: int, min_moves: int, dice: Dice, depth: Places, members: Places, chosen: Places
) -> int:
    """Unordered pairs of the component in ``members`` that are ``min_moves`` apart or more.

    ``depth`` holds the distances from any place of the component. Two places that are
    ``min_moves`` apart cannot both be nearer to it than half of that, so a search from the deep
    places alone meets every pair. ``chosen[:2]`` becomes a uniformly drawn pair, ``chosen[2]``
    counts pairs over the components of one maze.
    """
    distance = np.empty(len(board), np.int32)
    queue = np.empty(len(board), np.int32)
    for place in members:
        if 2 * depth[place] < min_moves:
            continue
        reached = flood(board, width, place, distance, queue)
        for index in range(reached - 1, -1, -1):
            there = queue[index]
            if distance[there] < min_moves:
                break
            if 2 * depth[there] >= min_moves and there < place:
                continue  # met from the other end
            chosen[2] += 1
            if below(dice, chosen[2]) == 0:
                chosen[0], chosen[1] = place, there
    return int(chosen[2])


@kernel
def far_pair(board: Board, width: int, min_moves: int, dice: Dice) -> tuple[int, int, int]:
    """Two places at least ``min_moves`` apart, drawn uniformly, and how many unordered pairs there are."""
    chosen = np.zeros(3, np.int32)
    if is_shallow(board, width, min_moves):
        return 0, 0, 0
    depth = np.empty(len(board), np.int32)
    queue = np.empty(len(board), np.int32)
    unseen = board.copy()
    left = int(board.sum())
    for start in range(len(board)):
        if not unseen[start]:
            continue
        if left <= min_moves:
            break  # a path of that many moves has one place more
        reached = flood(board, width, start, depth, queue)
        left -= reached
        for index in range(reached):
            unseen[queue[index]] = 0
        if reached <= min_moves:
            continue
        centre(board, width, reached, depth, queue)
        if 2 * depth[queue[reached - 1]] >= min_moves:
            count_far_pairs(board, width, min_moves, dice, depth, queue[:reached].copy(), chosen)
    return chosen[0], chosen[1], chosen[2]


@kernel
def draw_hard(
    dice: Dice, draws: int, side: int, min_moves: int, fewest: int, most: int, cap: float
) -> Tokens:
    """Draw ``draws`` wall maps of ``fewest`` to ``most`` walls; the questions (K, L) that were kept."""
    cells = side * side
    places = np.empty(cells, np.int32)
    for cell in range(cells):
        places[cell] = place_of(cell, side)
    board = np.zeros((side + 2) * (side + 2), np.uint8)
    kept = np.empty((draws, cells), np.uint8)
    count = 0
    for _ in range(draws):
        walls = fewest + below(dice, most - fewest + 1)
        draw_walls(dice, walls, places, board)
        one, other, pairs = far_pair(board, side, min_moves, dice)
        open_cells = cells - walls
        share = 2.0 * pairs / (open_cells * (open_cells - 1.0))
        if pairs == 0 or uniform(dice) * cap >= share:
            continue
        if below(dice, 2):
            one, other = other, one
        write_question(board, side, one, other, kept[count])
        count += 1
    return kept[:count].copy()


@kernel
def write_question(board: Board, side: int, start: int, goal: int, question: Tokens) -> None:
    """The (L,) token codes of a board with S and G at the places ``start`` and ``goal``."""
    for cell in range(side * side):
        question[cell] = OPEN if board[place_of(cell, side)] else WALL
    question[cell_of(start, side)] = START
    question[cell_of(goal, side)] = GOAL

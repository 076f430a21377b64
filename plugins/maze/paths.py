"""Is an answer a path? Judges marked mazes, for the evaluators and for official rows alike.

Plain Python on purpose: evaluation looks at a few hundred answers, once, in a process of its own,
and compiling a faster search there would take longer than the search.

Mazes are walked as boards, see `grid`: flat, with a closed border, so that no step needs a bounds
check.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import Tokens
from .scales import GOAL, OPEN, PATH, START, WALL

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Neighbours = dict[int, list[int]]
"""For each marked place the marked places next to it."""

SEARCH_LIMIT = 100_000
"""Steps of the search for an order of the marked cells; past it an answer counts as no path.

Only marks that touch themselves are searched at all, and a path that does so now and then takes a
few steps a cell. The limit is for solid blobs, where such a search may not end.
"""


def judge(questions: Tokens, answers: Tokens, height: int, width: int) -> tuple[Ints, Ints]:
    """For (N, L) questions and answers: moves of each answer's path, and of a shortest one.

    Both are -1 where the answer changes the question or marks no path.
    """
    moves = answer_moves(questions, answers, height, width)
    shortest = np.full(len(questions), -1, np.int64)
    valid = np.flatnonzero(moves >= 0)
    shortest[valid] = [shortest_moves(question, height, width) for question in questions[valid]]
    return moves, shortest


def answer_moves(questions: Tokens, answers: Tokens, height: int, width: int) -> Ints:
    """(N,) moves of each answer's path; -1 where it changes the question or marks no path."""
    moves = np.full(len(questions), -1, np.int64)
    kept = np.flatnonzero(keeps_question(questions, answers))
    moves[kept] = [path_moves(answer, height, width) for answer in answers[kept]]
    return moves


def keeps_question(questions: Tokens, answers: Tokens) -> Bools:
    """(N,) whether each answer is its question but for path marks on open cells."""
    marked = (questions == OPEN) & (answers == PATH)
    return np.asarray(((questions == answers) | marked).all(axis=1))


def shortest_moves(question: Tokens, height: int, width: int) -> int:
    """Moves of a shortest path from S to G, -1 where there is none."""
    ends = _ends(question, width)
    if ends is None:
        return -1
    begin, end = ends
    return _distances(_board(question > WALL, height, width), width, begin).get(end, -1)


def path_moves(answer: Tokens, height: int, width: int) -> int:
    """Moves of the path that S, G and the marks of an answer form; -1 if they form none.

    They form one if all of them can be put in an order from S to G, each next to its successor, each
    once. The path may run along itself.
    """
    ends = _ends(answer, width)
    if ends is None:
        return -1
    begin, end = ends
    marked = _board((answer == PATH) | (answer == START) | (answer == GOAL), height, width)
    distance = _distances(marked, width, begin)
    moves = sum(marked) - 1
    if len(distance) != moves + 1 or end not in distance:
        return -1
    if distance[end] == moves:
        return moves
    neighbours = {place: [there for there in _next_to(place, width) if marked[there]] for place in distance}
    if is_hopeless(neighbours, distance, begin, end) or not has_order(neighbours, begin, end):
        return -1
    return moves


def is_hopeless(neighbours: Neighbours, distance: dict[int, int], begin: int, end: int) -> bool:
    """Whether a glance shows that no path passes every place once: it spares most blobs the search."""
    if any(len(there) < 2 and place not in (begin, end) for place, there in neighbours.items()):
        return True
    # Moves alternate between the colours of a chessboard, and begin and end are first and last.
    moves = len(neighbours) - 1
    alike = sum(way % 2 == 0 for way in distance.values())
    return distance[end] % 2 != moves % 2 or alike != moves // 2 + 1


def has_order(neighbours: Neighbours, begin: int, end: int) -> bool:
    """Whether a walk visits every place once, from ``begin`` to ``end``; False past the limit."""
    # How many free places each place has around it; a place of the walk is not free.
    free = dict.fromkeys(neighbours, True)
    exits = {place: len(there) for place, there in neighbours.items()}
    walk: list[int] = []
    untried: list[list[int]] = [[begin]]
    for _ in range(SEARCH_LIMIT):
        if untried[-1]:
            here = untried[-1].pop()
            walk.append(here)
            free[here] = False
            for there in neighbours[here]:
                exits[there] -= 1
            if len(walk) == len(neighbours):
                return here == end
            untried.append(_onward(neighbours, free, exits, walk, end))
        elif walk:
            untried.pop()
            here = walk.pop()
            free[here] = True
            for there in neighbours[here]:
                exits[there] += 1
        else:
            return False
    return False


def _onward(
    neighbours: Neighbours, free: dict[int, bool], exits: dict[int, int], walk: list[int], end: int
) -> list[int]:
    """Where the walk may continue, the place with the fewest exits last; nowhere if it is lost."""
    if walk[-1] == end or (len(walk) > 1 and _strands(neighbours, free, exits, walk[-2], end)):
        return []
    there = [place for place in neighbours[walk[-1]] if free[place]]
    if len(there) > 1:
        there.sort(key=exits.__getitem__, reverse=True)
    return there


def _strands(
    neighbours: Neighbours, free: dict[int, bool], exits: dict[int, int], left: int, end: int
) -> bool:
    """Whether a free neighbour of the place just left can no longer be passed through.

    It is no neighbour of the walk's last place: both are neighbours of the one just left, so of one colour.
    """
    return any(free[place] and exits[place] < 2 and place != end for place in neighbours[left])


def _ends(tokens: Tokens, width: int) -> tuple[int, int] | None:
    """The places of S and G, the first of several; None where one is missing."""
    cells = [np.flatnonzero(tokens == token) for token in (START, GOAL)]
    if not (cells[0].size and cells[1].size):
        return None
    start, goal = (int(found[0]) for found in cells)
    return _place(start, width), _place(goal, width)


def _place(cell: int, width: int) -> int:
    return (cell // width + 1) * (width + 2) + cell % width + 1


def _board(cells: Bools, height: int, width: int) -> bytes:
    """The cells (L,) as 0 and 1 within a closed border."""
    board = np.zeros((height + 2, width + 2), np.uint8)
    board[1:-1, 1:-1] = cells.reshape(height, width)
    return board.tobytes()


def _next_to(place: int, width: int) -> Sequence[int]:
    return (place + width + 2, place - 1, place + 1, place - width - 2)


def _distances(board: bytes, width: int, start: int) -> dict[int, int]:
    """Moves from ``start`` to each open place that can be reached, by breadth-first search."""
    distance = {start: 0}
    queue = [start]
    # The list grows while it is walked through: that is the queue.
    for here in queue:
        moves = distance[here] + 1
        for there in _next_to(here, width):
            if board[there] and there not in distance:
                distance[there] = moves
                queue.append(there)
    return distance

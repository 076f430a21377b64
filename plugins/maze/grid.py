"""Mazes as numbers: breadth-first search, the label's tie-break, and text to tokens and back.

Owns distances and paths in one maze. Where mazes come from is `generate` and `official`.

A maze is walked as a *board*: its open cells as a flat (height + 2, width + 2) array of 0 and 1
with a closed border, so that no step needs a bounds check. Places are indices into that array.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import Tokens
from .scales import CHARSET, GOAL, OPEN, PATH, START, WALL

Board = NDArray[np.uint8]
Places = NDArray[np.int32]

_LETTERS = np.frombuffer(b"?" + CHARSET.encode("ascii"), np.uint8)


def kernel(function: Any) -> Any:
    """Compile a function with numba, without the interpreter lock.

    Nothing is cached on disk: numba does not notice that a kernel in another file has changed.
    """
    return numba.njit(nogil=True)(function)


def to_text(tokens: Tokens) -> str:
    """The characters of token codes, ``?`` for padding."""
    return _LETTERS[tokens].tobytes().decode("ascii")


@kernel
def board_of(tokens: Tokens, height: int, width: int) -> Board:
    """The board of (L,) token codes: every cell but a wall, or padding, is open."""
    board = np.zeros((height + 2) * (width + 2), np.uint8)
    for cell in range(height * width):
        if tokens[cell] > WALL:
            board[place_of(cell, width)] = 1
    return board


@kernel
def place_of(cell: int, width: int) -> int:
    """Where cell ``cell`` (row-major) is on the board."""
    return (cell // width + 1) * (width + 2) + cell % width + 1


@kernel
def cell_of(place: int, width: int) -> int:
    """The inverse of `place_of`."""
    return (place // (width + 2) - 1) * width + place % (width + 2) - 1


@kernel
def flood(board: Board, width: int, start: int, distance: Places, queue: Places) -> int:
    """Moves from ``start`` to every place, into ``distance``; -1 where there is no way.

    Returns how many places were reached. ``queue`` holds them afterwards, the nearest first.
    """
    down = width + 2
    distance[:] = -1
    distance[start] = 0
    queue[0] = start
    head, tail = 0, 1
    while head < tail:
        here = queue[head]
        head += 1
        for step in (down, -1, 1, -down):
            there = here + step
            if board[there] and distance[there] < 0:
                distance[there] = distance[here] + 1
                queue[tail] = there
                tail += 1
    return tail


@kernel
def ends_of(tokens: Tokens) -> tuple[int, int]:
    """The cells of S and G; -1 where there is none. The first of several counts."""
    start, goal = -1, -1
    for cell in range(len(tokens)):
        if tokens[cell] == START and start < 0:
            start = cell
        elif tokens[cell] == GOAL and goal < 0:
            goal = cell
    return start, goal


@kernel
def shortest_moves(tokens: Tokens, height: int, width: int) -> int:
    """Moves of a shortest path from S to G, -1 where there is none."""
    start, goal = ends_of(tokens)
    if start < 0 or goal < 0:
        return -1
    board = board_of(tokens, height, width)
    distance = np.empty(len(board), np.int32)
    flood(board, width, place_of(start, width), distance, np.empty(len(board), np.int32))
    return int(distance[place_of(goal, width)])


@kernel
def count_shortest(tokens: Tokens, height: int, width: int, limit: int) -> int:
    """How many shortest paths lead from S to G, counted up to ``limit``."""
    start, goal = ends_of(tokens)
    board = board_of(tokens, height, width)
    distance = np.empty(len(board), np.int32)
    queue = np.empty(len(board), np.int32)
    reached = flood(board, width, place_of(start, width), distance, queue)
    ways = np.zeros(len(board), np.int64)
    ways[queue[0]] = 1
    for index in range(1, reached):
        here = queue[index]
        for step in (width + 2, -1, 1, -width - 2):
            if distance[here + step] == distance[here] - 1:
                ways[here] += ways[here + step]
        ways[here] = min(ways[here], limit)
    return int(ways[place_of(goal, width)])


@kernel
def solve(tokens: Tokens, height: int, width: int) -> Tokens:
    """The answer to a question: o on the Down-Left-Right-Up path, the published tie-break.

    It is the path of a breadth-first search from S that looks Down, Left, Right, Up and keeps the
    parent it found first. Without a path the question comes back as it was.
    """
    answer = tokens.copy()
    start, goal = ends_of(tokens)
    board = board_of(tokens, height, width)
    distance = np.empty(len(board), np.int32)
    back = np.empty(len(board), np.int32)
    # Seen from G, the first-found parents spell the smallest move string from S with D<L<R<U.
    flood(board, width, place_of(goal, width), back, distance)
    here = place_of(start, width)
    for left in range(back[here] - 1, 0, -1):
        for step in (width + 2, -1, 1, -width - 2):
            if back[here + step] == left:
                here += step
                break
        answer[cell_of(here, width)] = PATH
    return answer


@kernel
def solve_all(tokens: Tokens, height: int, width: int) -> Tokens:
    """`solve` for each row of (N, L) token codes."""
    answers = np.empty_like(tokens)
    for row in range(len(tokens)):
        answers[row] = solve(tokens[row], height, width)
    return answers


@kernel
def shortest_moves_all(tokens: Tokens, height: int, width: int) -> NDArray[np.int64]:
    """`shortest_moves` for each row of (N, L) token codes."""
    moves = np.empty(len(tokens), np.int64)
    for row in range(len(tokens)):
        moves[row] = shortest_moves(tokens[row], height, width)
    return moves


def questions_of(answers: Tokens) -> Tokens:
    """Answers with the path taken out again."""
    return np.where(answers == PATH, np.uint8(OPEN), answers)

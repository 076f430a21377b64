"""Is an answer a path? Judges marked mazes, for the evaluators and for official rows alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...harness.puzzles import Tokens
from .grid import Board, Places, ends_of, flood, kernel, place_of, shortest_moves
from .scales import GOAL, OPEN, PATH, START

SEARCH_LIMIT = 100_000
"""Steps of the search for an order of the marked cells; past it an answer counts as no path.

Only marks that touch themselves are searched at all, and a path that does so now and then takes a
few steps a cell. The limit is for solid blobs, where such a search may not end.
"""


@kernel
def keeps_question(question: Tokens, answer: Tokens) -> bool:
    """Whether the answer is the question but for path marks on open cells."""
    for cell in range(len(question)):
        marked = question[cell] == OPEN and answer[cell] == PATH
        if answer[cell] != question[cell] and not marked:
            return False
    return True


@kernel
def path_moves(answer: Tokens, height: int, width: int) -> int:
    """Moves of the path that S, G and the marks of an answer form; -1 if they form none.

    They form one if all of them can be put in an order from S to G, each beside the next, each
    once. The path may run beside itself.
    """
    start, goal = ends_of(answer)
    if start < 0 or goal < 0:
        return -1
    marked = np.zeros((height + 2) * (width + 2), np.uint8)
    for cell in range(height * width):
        if answer[cell] == PATH or answer[cell] == START or answer[cell] == GOAL:
            marked[place_of(cell, width)] = 1
    moves = int(marked.sum()) - 1
    begin, end = place_of(start, width), place_of(goal, width)
    distance = np.empty(len(marked), np.int32)
    reached = flood(marked, width, begin, distance, np.empty(len(marked), np.int32))
    if reached != moves + 1 or distance[end] < 0:
        return -1
    # A move changes the colour of the chessboard, so the number of moves has the parity of any way.
    if (moves - distance[end]) % 2:
        return -1
    if distance[end] == moves or has_order(marked, width, begin, end, moves):
        return moves
    return -1


@kernel
def has_order(marked: Board, width: int, begin: int, end: int, moves: int) -> bool:
    """Whether a walk of ``moves`` moves visits every marked place once, from ``begin`` to ``end``."""
    free = marked.copy()
    walk = np.empty(moves + 1, np.int32)
    tried = np.zeros(moves + 1, np.uint8)
    walk[0] = begin
    free[begin] = 0
    at = 0
    for _ in range(SEARCH_LIMIT):
        if at == moves:
            return True
        if tried[at] == 4 or stranded(free, width, walk, at, end):
            if at == 0:
                return False
            free[walk[at]] = 1
            at -= 1
            continue
        there = walk[at] + step_of(tried[at], width)
        tried[at] += 1
        if free[there] and (there != end or at + 1 == moves):
            at += 1
            walk[at] = there
            tried[at] = 0
            free[there] = 0
    return False


@kernel
def step_of(number: int, width: int) -> int:
    """The four steps on a board, numbered Down, Left, Right, Up."""
    if number == 0:
        return width + 2
    if number == 1:
        return -1
    if number == 2:
        return 1
    return -width - 2


@kernel
def stranded(free: Board, width: int, walk: Places, at: int, end: int) -> bool:
    """Whether the last step left a free place beside the walk that can no longer be passed through."""
    if at == 0:
        return False
    for number in range(4):
        there = walk[at - 1] + step_of(number, width)
        if not free[there] or there == end:
            continue
        exits = 0
        for other in range(4):
            beside = there + step_of(other, width)
            if free[beside] or beside == walk[at]:
                exits += 1
        if exits < 2:
            return True
    return False


@kernel
def judge(
    questions: Tokens, answers: Tokens, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For (N, L) questions and answers: moves of each answer's path, and of a shortest one.

    The moves are -1 where the answer changes the question or marks no path, or where there is none.
    """
    moves = np.full(len(questions), -1, np.int64)
    shortest = np.empty(len(questions), np.int64)
    for row in range(len(questions)):
        shortest[row] = shortest_moves(questions[row], height, width)
        if keeps_question(questions[row], answers[row]):
            moves[row] = path_moves(answers[row], height, width)
    return moves, shortest

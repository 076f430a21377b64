"""A Sudoku that somebody typed, and whether a prediction for it obeys the rules of the game."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...harness.api.errors import UsageError
from ...harness.api.puzzles import TaskInfo, Tokens
from ...harness.api.specs import Puzzle, RuleCheck
from .board import BLANK, FIRST_DIGIT, Shape

BLANKS = "0._"
DIGITS = "123456789"
_FRAME = re.compile(r"[\s|+\u2500-\u257f-]")
"""Characters that people draw around and between the cells; ignored."""


def parse(text: str, info: TaskInfo) -> Sequence[Puzzle]:
    """One puzzle: digits, and ``0``, ``.`` or ``_`` for blanks; spaces and frames are ignored.

    Raises:
        UsageError: it has another size or character, breaks the rules, or has not exactly one solution.
    """
    shape = Shape.of_side(info.height)
    inputs = _read(text, shape)
    if clash := find_clash(shape, inputs[0]):
        raise UsageError(f"the puzzle cannot be solved: {clash}")
    targets = _only_solution(shape, inputs)
    title = f"{shape.side}×{shape.side} Sudoku, {int((inputs != BLANK).sum())} givens"
    return [Puzzle(inputs, targets, None, title, truth="the only solution")]


def check_rules(info: TaskInfo, question: Puzzle, answer: Tokens) -> RuleCheck:
    """A full valid grid that keeps every given."""
    shape, given = Shape.of_side(info.height), question.inputs[0]
    changed = np.flatnonzero((given != BLANK) & (given != answer))
    empty = np.flatnonzero(answer < FIRST_DIGIT)
    if changed.size:
        many = "a given" if changed.size == 1 else f"{changed.size} givens, the first"
        return RuleCheck(False, f"changes {many} in {_place(changed[0], shape)}")
    if empty.size:
        many = "a cell" if empty.size == 1 else f"{empty.size} cells, the first"
        return RuleCheck(False, f"leaves {many} in {_place(empty[0], shape)} without a digit")
    if clash := find_clash(shape, answer):
        return RuleCheck(False, clash)
    return RuleCheck(True, "a full valid grid that keeps every given")


def find_clash(shape: Shape, grid: Tokens) -> str | None:
    """The first unit of a grid (L,) that holds a digit more than once, as text."""
    for place, unit in enumerate(shape.units):
        counts = np.bincount(grid[unit], minlength=FIRST_DIGIT)[FIRST_DIGIT:]
        if (counts > 1).any():
            digit = int(np.argmax(counts > 1))
            kind, number = divmod(place, shape.side)
            often = "twice" if counts[digit] == 2 else f"{counts[digit]} times"
            return f"{('row', 'column', 'box')[kind]} {number + 1} holds {digit + 1} {often}"
    return None


def _read(text: str, shape: Shape) -> Tokens:
    cells = _FRAME.sub("", text)
    size = f"a {shape.side}×{shape.side} Sudoku"
    known = BLANKS + DIGITS
    if strange := [letter for letter in cells if letter not in known]:
        raise UsageError(
            f"{strange[0]!r} in the puzzle is no cell of a Sudoku; write digits, and 0, . or _ for blanks"
        )
    if len(cells) != shape.cells:
        side = round(len(cells) ** 0.5)
        looks = f" (a {side}×{side} Sudoku)" if cells and side * side == len(cells) else ""
        raise UsageError(f"the puzzle has {len(cells)} cells{looks}, not the {shape.cells} of {size}")
    tokens = np.array([max(known.index(letter) - len(BLANKS), -1) for letter in cells], np.int64)
    if (large := np.flatnonzero(tokens >= shape.side)).size:
        where = _place(large[0], shape)
        raise UsageError(f"{tokens[large[0]] + 1} in {where}: {size} has the digits 1 to {shape.side}")
    return (tokens + FIRST_DIGIT).astype(np.uint8)[None]


def _only_solution(shape: Shape, inputs: Tokens) -> Tokens:
    from .solver import solve  # compiles with numba

    solved = solve(shape, inputs)
    if solved.solutions[0] != 1:
        many = "no solution" if solved.solutions[0] == 0 else "several solutions"
        raise UsageError(f"the puzzle has {many}; a Sudoku has exactly one")
    return solved.answers


def _place(cell: int, shape: Shape) -> str:
    return f"row {cell // shape.side + 1}, column {cell % shape.side + 1}"

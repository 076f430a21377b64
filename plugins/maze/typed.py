"""A maze that somebody typed, and whether a prediction for it is a shortest path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...harness.api.errors import UsageError
from ...harness.api.puzzles import TaskInfo, Tokens
from ...harness.api.specs import Puzzle, RuleCheck
from .paths import keeps_question, path_moves, shortest_moves
from .scales import CHARSET, GOAL, OPEN, PATH, START

_CODES = {letter: token for token, letter in enumerate(CHARSET, start=1)} | {".": OPEN}


def parse(text: str, info: TaskInfo) -> Sequence[Puzzle]:
    """One maze of ``#``, blank or ``.``, S and G: in lines, or all its cells in one line.

    Blanks at the end of a line may be missing, as editors like to drop them.

    Raises:
        UsageError: it has another size or character, not one S and one G, or no path between them.
    """
    inputs = np.array([[_CODES[cell] for cell in _cells(text, info)]], np.uint8)
    for token in (START, GOAL):
        if (count := int((inputs == token).sum())) != 1:
            raise UsageError(f"the maze has {count} {CHARSET[token - 1]}, not one")
    moves = shortest_moves(inputs[0], info.height, info.width)
    if moves < 0:
        raise UsageError("no path leads from S to G")
    from .grid import solve  # compiles with numba

    targets = solve(inputs[0], info.height, info.width)[None]
    title = f"{info.height}×{info.width} maze, {moves} moves from S to G"
    return [Puzzle(inputs, targets, None, title, truth="the labelled shortest path")]


def check_rules(info: TaskInfo, question: Puzzle, answer: Tokens) -> RuleCheck:
    """A shortest path from S to G that changes nothing else; any of them, not only the label's."""
    asked = question.inputs
    if not keeps_question(asked, answer[None])[0]:
        changed = (asked[0] != answer) & ((asked[0] != OPEN) | (answer != PATH))
        cell = int(np.argmax(changed))
        row, column = divmod(cell, info.width)
        before, after = (_named(tokens[cell]) for tokens in (asked[0], answer))
        return RuleCheck(False, f"changes row {row + 1}, column {column + 1} from {before} to {after}")
    made = path_moves(answer, info.height, info.width)
    least = shortest_moves(asked[0], info.height, info.width)
    if made < 0:
        return RuleCheck(False, "what it marks is not one path from S to G")
    if made > least:
        return RuleCheck(False, f"a path from S to G, but {made} moves where {least} are enough")
    return RuleCheck(True, f"a path from S to G of {made} moves, as short as any")


def _cells(text: str, info: TaskInfo) -> str:
    """The L characters of a maze, row-major."""
    lines = text.splitlines()
    for letter in "".join(lines):
        if letter == CHARSET[PATH - 1]:
            raise UsageError("the maze holds o, which marks a path: give it without its solution")
        if letter not in _CODES:
            raise UsageError(f"{letter!r} in the maze is no cell; write #, blank or ., S and G")
    filled = [line for line in lines if line.strip()]
    if len(filled) == 1 and len(filled[0]) == info.cells:
        return filled[0]
    # Empty lines around a maze say nothing, within it they are rows of open cells.
    while len(lines) > info.height and not lines[-1].strip():
        del lines[-1]
    while len(lines) > info.height and not lines[0].strip():
        del lines[0]
    longest = max((len(line.rstrip()) for line in lines), default=0)
    if len(lines) != info.height or longest > info.width:
        if len(filled) == 1 and info.height > 1:
            found = f"{len(filled[0])} cells in one line"
        else:
            found = f"{len(lines)} lines of up to {longest} cells"
        wanted = f"{info.height} lines of {info.width} cells, or {info.cells} in one line"
        raise UsageError(f"the maze has {found}; this model reads {wanted}")
    return "".join(line.rstrip().ljust(info.width) for line in lines)


def _named(token: int) -> str:
    return repr(CHARSET[token - 1]) if token else "padding"

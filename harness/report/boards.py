"""The predictions for one puzzle after every supervision step, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from ..api.puzzles import PAD, TaskInfo, Tokens
from ..inference.one_puzzle import Solved, changed_cells, wrong_cells

STYLES = {".": "dim", "*": "bold underline yellow", "!": "white on red"}
"""Of given, changed and wrong cells, where colours are shown; of two, the later wins."""
BLANK = "."


def steps_table(solved: Solved, info: TaskInfo, symbols: Sequence[str]) -> Table:
    """The puzzle, then a row for each step, then the solution where it is known.

    A wrong cell has a ``!`` behind it and a changed one a ``*``; see also `STYLES`.
    """
    puzzle = solved.puzzle
    table = Table(show_lines=True)
    for heading in ("step", "prediction"):
        table.add_column(heading, no_wrap=True)
    table.add_row("puzzle", _board(puzzle.inputs[0], info, symbols))
    for place, step in enumerate(solved.steps):
        wrong, changed = wrong_cells(puzzle, step.tokens), changed_cells(solved.steps, place)
        given = (puzzle.inputs[0] == step.tokens).nonzero()[0].tolist()
        lines = [
            str(step.number),
            *([f"{len(wrong)} wrong"] if puzzle.targets is not None else []),
            *([f"{len(changed)} changed"] if place else []),
            *([f"halt {step.halt_probability:.2f}"] if step.halt_probability is not None else []),
            *(["stop"] if step.stops else []),
        ]
        signs = {cell: sign for sign, cells in ((".", given), ("*", changed), ("!", wrong)) for cell in cells}
        table.add_row("\n".join(lines), _board(step.tokens, info, symbols, signs))
    if puzzle.targets is not None:
        table.add_row("solution", _board(puzzle.targets[0], info, symbols))
    return table


def legend(solved: Solved) -> str:
    """What the signs mean that `steps_table` can print; empty where it can print none."""
    known = [f"! wrong (not as in {solved.puzzle.truth})"] if solved.puzzle.targets is not None else []
    return "   ".join(known + ["* changed since the step before"] * (len(solved.steps) > 1))


def _board(tokens: Tokens, info: TaskInfo, symbols: Sequence[str], signs: Mapping[int, str] = {}) -> Text:
    """A grid of symbols, each with the sign of its cell behind it."""
    room = max(map(len, symbols), default=len(str(info.vocab_size - 1)))
    board = Text()
    for cell, token in enumerate(tokens.tolist()):
        if cell and cell % info.width == 0:
            board.append("\n")
        sign = signs.get(cell, "")
        board.append(symbol_of(token, symbols).rjust(room), STYLES.get(sign))
        board.append(sign if sign in ("!", "*") else "" if (cell + 1) % info.width == 0 else " ")
    return board


def symbol_of(token: int, symbols: Sequence[str]) -> str:
    """The symbol of a token: nothing for padding, a dot for other tokens without one."""
    if not symbols:
        return str(token)
    symbol = symbols[token].strip() if token < len(symbols) else str(token)
    return symbol or (" " if token == PAD else BLANK)

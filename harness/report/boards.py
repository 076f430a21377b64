"""The predictions for one puzzle after every supervision step, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ..api.puzzles import PAD, TaskInfo, Tokens
from ..inference.one_puzzle import Solved, changed_cells, wrong_cells

WRONG, CHANGED, GIVEN = "white on red", "bold underline yellow", "dim"
BLANK = "."


def steps_table(solved: Solved, info: TaskInfo, symbols: Sequence[str]) -> Table:
    """The puzzle, then a row for each step, then the solution where it is known.

    Where colours are shown, wrong cells are red, changed ones yellow and given ones dim; the numbers of wrong
    and changed cells have columns of their own.
    """
    puzzle, known = solved.puzzle, solved.puzzle.targets is not None
    table = Table(show_lines=True)
    for heading in ("step", "prediction", "wrong cells", "changed cells", "halt probability"):
        table.add_column(heading, no_wrap=True)
    table.add_row("puzzle", _board(puzzle.inputs[0], info, symbols))
    for place, step in enumerate(solved.steps):
        wrong, changed = wrong_cells(puzzle, step.tokens), changed_cells(solved.steps, place)
        given = (puzzle.inputs[0] == step.tokens).nonzero()[0].tolist()
        board = _board(step.tokens, info, symbols, {GIVEN: given, CHANGED: changed, WRONG: wrong})
        halt = "" if step.halt_probability is None else f"{step.halt_probability:.2f}"
        table.add_row(
            str(step.number),
            board,
            str(len(wrong)) if known else "",
            str(len(changed)) if place else "",
            halt + (" stop" if step.stops else ""),
        )
    if puzzle.targets is not None:
        table.add_row("solution", _board(puzzle.targets[0], info, symbols))
    return table


def _board(
    tokens: Tokens, info: TaskInfo, symbols: Sequence[str], styles: dict[str, list[int]] | None = None
) -> Text:
    """A grid of symbols; the later of two styles of a cell wins."""
    style_of = {cell: style for style, cells in (styles or {}).items() for cell in cells}
    room = max(map(len, symbols), default=len(str(info.vocab_size - 1)))
    board = Text()
    for cell, token in enumerate(tokens.tolist()):
        if cell and cell % info.width == 0:
            board.append("\n")
        board.append(symbol_of(token, symbols).rjust(room), style_of.get(cell))
        board.append(" ")
    return board


def symbol_of(token: int, symbols: Sequence[str]) -> str:
    """The symbol of a token: nothing for padding, a dot for other tokens without one."""
    if not symbols:
        return str(token)
    symbol = symbols[token].strip() if token < len(symbols) else str(token)
    return symbol or (" " if token == PAD else BLANK)

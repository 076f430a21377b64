"""The answers of every supervision step as boards of characters, in colour or with marks beside them.

Owns how a board looks in a terminal or a file; as a picture it is drawn by `strips`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from ..api.puzzles import PAD, TaskInfo, Tokens
from ..api.specs import Puzzle
from ..inference.one_puzzle import Step, changed_cells, wrong_cells

COLOURS = (
    "white", "bright_black", "white", "cyan", "green", "magenta", "blue", "bright_cyan", "bright_green",
    "bright_magenta", "bright_blue", "bright_white",
)  # fmt: skip
"""Of the symbols, by token code; red and yellow are kept for the marks."""
WRONG, CHANGED, KEPT = "on red", "bold underline yellow", "dim"
WRONG_SIGN, CHANGED_SIGN = "!", "*"
BLANK = "."
GAP = 3


@dataclass(frozen=True)
class Marks:
    """Which cells of a board are marked, and how."""

    wrong: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Look:
    """How boards are shown.

    Attributes:
        coloured: whether cells are marked by colour; by signs behind them otherwise.
        width: characters of a line, into which boards go side by side as far as they fit.
    """

    coloured: bool
    width: int

    @classmethod
    def of(cls, console: Console) -> Look:
        """Signs where colours would not be seen: pipes, ``NO_COLOR``, and output that is not UTF-8."""
        coloured = console.color_system is not None and not console.no_color
        return cls(coloured and console.encoding.startswith("utf"), console.width)


def boards(
    question: Puzzle, steps: Sequence[Step], info: TaskInfo, symbols: Sequence[str], look: Look
) -> list[Text]:
    """The question, the answer after every step, and the truth where it is known, as lines of text."""
    asked = question.inputs[0]
    panels = [_panel(["question"], asked, Marks(), info, symbols, look)]
    for place, step in enumerate(steps):
        marks = Marks(
            wrong=frozenset(wrong_cells(question, step.answer)),
            changed=frozenset(changed_cells(steps, place)),
            kept=frozenset((asked == step.answer).nonzero()[0].tolist()),
        )
        panels.append(_panel(heading(question, step), step.answer, marks, info, symbols, look))
    if question.targets is not None:
        panels.append(_panel(["truth"], question.targets[0], Marks(), info, symbols, look))
    return _side_by_side(panels, look.width)


def heading(question: Puzzle, step: Step) -> list[str]:
    """What stands above the answer of a step."""
    lines = [f"step {step.number}"]
    if question.targets is not None:
        lines[0] += f", {len(wrong_cells(question, step.answer))} wrong"
    if step.halt_probability is not None:
        lines.append(f"halt {step.halt_probability:.2f}" + (" stop" if step.wants_to_halt else ""))
    return lines


def legend(question: Puzzle, steps: Sequence[Step], look: Look) -> Text:
    """What the marks mean; only those that these boards may have."""
    wrong = f"wrong (not as in {question.truth})" if question.targets is not None else ""
    changed = "changed since the step before" if len(steps) > 1 else ""
    if look.coloured:
        parts = [(wrong, WRONG), (changed, CHANGED), ("as in the question", KEPT)]
        return Text("  ").join(Text(words, style) for words, style in parts if words)
    parts = [(wrong, WRONG_SIGN), (changed, CHANGED_SIGN)]
    return Text("   ".join(f"{sign} {words}" for words, sign in parts if words))


def _panel(
    lines: Sequence[str],
    tokens: Tokens,
    marks: Marks,
    info: TaskInfo,
    symbols: Sequence[str],
    look: Look,
) -> list[Text]:
    """One board under its heading."""
    room = max(map(len, symbols), default=len(str(info.vocab_size - 1)))
    texts = [symbol_of(int(token), symbols).rjust(room) for token in tokens]
    if look.coloured:
        cells = [_coloured(place, int(tokens[place]), text, marks) for place, text in enumerate(texts)]
    else:
        cells = [_signed(place, text, marks) for place, text in enumerate(texts)]
    rows = [cells[start : start + info.width] for start in range(0, info.cells, info.width)]
    return [Text(line, "bold" if look.coloured else "") for line in lines] + [
        Text("").join(row) for row in rows
    ]


def _signed(place: int, text: str, marks: Marks) -> Text:
    """One cell with room for both signs; cells of more than one character need a space between them."""
    signs = WRONG_SIGN * (place in marks.wrong) + CHANGED_SIGN * (place in marks.changed)
    return Text(f"{text}{signs:<2}" + " " * (len(text) > 1))


def _coloured(place: int, token: int, text: str, marks: Marks) -> Text:
    wrong = place in marks.wrong
    styles = ["white", WRONG] if wrong else [COLOURS[token % len(COLOURS)]]
    if place in marks.changed:
        styles.append(CHANGED)
    elif place in marks.kept and not wrong:
        styles.append(KEPT)
    return Text.assemble((text, " ".join(styles)), " ")


def symbol_of(token: int, symbols: Sequence[str]) -> str:
    """What stands for a token: nothing for padding, a dot for other tokens without a symbol."""
    if not symbols:
        return str(token)
    symbol = symbols[token].strip() if token < len(symbols) else str(token)
    return symbol or (" " if token == PAD else BLANK)


def _side_by_side(panels: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """Panels in as many columns as there is room for, an empty line between the rows of panels."""
    wide = max(line.cell_len for panel in panels for line in panel)
    columns = max(1, (width + GAP) // (wide + GAP))
    lines: list[Text] = []
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        height = max(map(len, row))
        if lines:
            lines.append(Text())
        for line in zip(*(_padded(panel, height, wide) for panel in row), strict=True):
            lines.append(Text(" " * GAP).join(line))
            lines[-1].rstrip()
    return lines


def _padded(panel: Sequence[Text], height: int, wide: int) -> list[Text]:
    """A panel of a given size; what is missing goes beneath the heading's first line."""
    filled = [panel[0], *[Text()] * (height - len(panel)), *panel[1:]]
    padded = []
    for line in filled:
        copy = line.copy()
        copy.pad_right(wide - line.cell_len)
        padded.append(copy)
    return padded

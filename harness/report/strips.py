"""The answers of every supervision step as a picture: a strip of boards, or one board that moves.

A pure function of the steps, drawn by matplotlib (`pip install 'trm-bench[figures]'`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..api.errors import UnavailableError, UsageError
from ..api.puzzles import TaskInfo
from ..api.specs import Puzzle
from ..inference.one_puzzle import Step, changed_cells
from ..store.folders import write_atomically
from .boards import heading
from .figures import as_svg, board

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

SUFFIXES = (".png", ".gif", ".svg")
COLUMNS = 6
CHANGED_EDGE = "#0072b2"
STEP_MS, LAST_MS = 700, 2500
"""How long a GIF shows a step, and the last one."""


def check(path: Path) -> None:
    """Whether a figure can be written there; asked before anything is computed.

    Raises:
        UsageError: the file's name has another suffix than `SUFFIXES`, or there is no such folder.
        UnavailableError: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--figure {path}: name a file that ends in .png (a strip), .gif (moving) or .svg")
    if not path.parent.is_dir():
        raise UsageError(f"--figure {path}: there is no folder {path.parent}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UnavailableError("figures need matplotlib: pip install 'trm-bench[figures]'") from error


def save(
    path: Path, question: Puzzle, steps: Sequence[Step], info: TaskInfo, symbols: Sequence[str], title: str
) -> None:
    """Write a strip or, as ``.gif``, an animation; see `check`."""
    if path.suffix.lower() == ".gif":
        animate(path, question, steps, info, symbols, title)
        return
    figure = strip(question, steps, info, symbols, title)
    if path.suffix.lower() == ".svg":
        write_atomically(path, as_svg(figure).encode())
        return
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=150, bbox_inches="tight", metadata={"Software": None})
    write_atomically(path, png.getvalue())


def strip(
    question: Puzzle, steps: Sequence[Step], info: TaskInfo, symbols: Sequence[str], title: str
) -> Figure:
    """Question, answer after every step, and truth where it is known, `COLUMNS` boards a row.

    Wrong cells are framed in red, cells that changed since the step before in blue.
    """
    count = 1 + len(steps) + (question.targets is not None)
    columns = min(COLUMNS, count)
    figure, grid = _canvas(-(-count // columns), columns, info, title)
    panels = iter(grid)
    _ask(next(panels), question, info, symbols)
    for place in range(len(steps)):
        _answer(next(panels), question, steps, place, info, symbols)
    if question.targets is not None:
        _tell(next(panels), question, info, symbols)
    for empty in panels:
        empty.set_axis_off()
    return figure


def animate(
    path: Path, question: Puzzle, steps: Sequence[Step], info: TaskInfo, symbols: Sequence[str], title: str
) -> None:
    """Write a GIF of one step after another between question and truth, over and over."""
    frames = [_frame(question, steps, place, info, symbols, title) for place in range(len(steps))]
    times = [STEP_MS] * (len(frames) - 1) + [LAST_MS]
    content = io.BytesIO()
    frames[0].save(content, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    write_atomically(path, content.getvalue())


def _frame(
    question: Puzzle,
    steps: Sequence[Step],
    place: int,
    info: TaskInfo,
    symbols: Sequence[str],
    title: str,
) -> Image:
    from PIL import Image  # comes with matplotlib

    figure, panels = _canvas(1, 2 + (question.targets is not None), info, title)
    _ask(panels[0], question, info, symbols)
    _answer(panels[1], question, steps, place, info, symbols)
    if question.targets is not None:
        _tell(panels[2], question, info, symbols)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)  # frames must be of one size, so nothing is cut off
    return Image.open(png).convert("RGB")


def _canvas(rows: int, columns: int, info: TaskInfo, title: str) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    side = max(1.7, 0.09 * max(info.height, info.width))
    size = (max(4.4, side * columns + 0.3), (side + 0.3) * rows + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=8)
    figure.supxlabel("red frame: wrong · blue frame: changed since the step before", fontsize=6)
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def _ask(axes: Axes, question: Puzzle, info: TaskInfo, symbols: Sequence[str]) -> None:
    board(axes, question.inputs[0].tolist(), None, (info.height, info.width), symbols, "question")


def _tell(axes: Axes, question: Puzzle, info: TaskInfo, symbols: Sequence[str]) -> None:
    assert question.targets is not None
    board(axes, question.targets[0].tolist(), None, (info.height, info.width), symbols, "truth")


def _answer(
    axes: Axes, question: Puzzle, steps: Sequence[Step], place: int, info: TaskInfo, symbols: Sequence[str]
) -> None:
    from matplotlib.patches import Rectangle

    target = None if question.targets is None else question.targets[0].tolist()
    title = "\n".join(heading(question, steps[place]))
    board(axes, steps[place].answer.tolist(), target, (info.height, info.width), symbols, title)
    for cell in changed_cells(steps, place):
        row, column = divmod(cell, info.width)
        corner = (column - 0.36, row - 0.36)  # within the frame of a wrong cell
        axes.add_patch(Rectangle(corner, 0.72, 0.72, fill=False, edgecolor=CHANGED_EDGE, linewidth=0.8))

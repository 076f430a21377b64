"""The predictions for one puzzle as an animated GIF, drawn by matplotlib (the ``figures`` extra)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..api.errors import UnavailableError, UsageError
from ..api.puzzles import TaskInfo
from ..inference.one_puzzle import Solved, changed_cells
from ..store.folders import write_atomically
from .figures import draw_board, figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

CHANGED_EDGE = "#0072b2"
STEP_MS, LAST_MS = 700, 2500
"""How long a step is shown, and the last one."""


def check(path: Path) -> None:
    """Whether a GIF can be written there; checked before anything is computed.

    Raises:
        UsageError: the file's name has another suffix, or its folder does not exist.
        UnavailableError: matplotlib is not installed.
    """
    if path.suffix.lower() != ".gif":
        raise UsageError(f"--figure {path}: name a file that ends in .gif")
    if not path.parent.is_dir():
        raise UsageError(f"--figure {path}: there is no folder {path.parent}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UnavailableError("figures need matplotlib: pip install 'trm-bench[figures]'") from error


def animate(path: Path, solved: Solved, info: TaskInfo, symbols: Sequence[str], title: str) -> None:
    """Write a GIF that shows one step after another between puzzle and solution; see `check`."""
    title, symbols = "\n".join(map(figure_text, title.splitlines())), list(map(figure_text, symbols))
    frames = [_frame(solved, place, info, symbols, title) for place in range(len(solved.steps))]
    times = [STEP_MS] * (len(frames) - 1) + [LAST_MS]
    content = io.BytesIO()
    frames[0].save(content, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    write_atomically(path, content.getvalue())


def _frame(solved: Solved, place: int, info: TaskInfo, symbols: Sequence[str], title: str) -> Image:
    from matplotlib.figure import Figure
    from PIL import Image  # comes with matplotlib

    puzzle, step, shape = solved.puzzle, solved.steps[place], (info.height, info.width)
    target = None if puzzle.targets is None else puzzle.targets[0].tolist()
    columns = 2 if target is None else 3
    side = max(1.7, 0.09 * max(shape))
    figure = Figure(figsize=(max(4.4, side * columns + 0.3), side + 0.9), layout="constrained")
    figure.suptitle(title, fontsize=8)
    figure.supxlabel("red frame: wrong · blue frame: changed since the step before", fontsize=6)
    axes = figure.subplots(1, columns)
    draw_board(axes[0], puzzle.inputs[0].tolist(), None, shape, symbols, "puzzle")
    halt = "" if step.halt_probability is None else f", halt {step.halt_probability:.2f}"
    draw_board(axes[1], step.tokens.tolist(), target, shape, symbols, f"step {step.number}{halt}")
    _frame_changes(axes[1], changed_cells(solved.steps, place), info)
    if target is not None:
        draw_board(axes[2], target, None, shape, symbols, "solution")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)  # frames must be of one size, so nothing is cut off
    return Image.open(png).convert("RGB")


def _frame_changes(axes: Axes, cells: Sequence[int], info: TaskInfo) -> None:
    from matplotlib.patches import Rectangle

    for cell in cells:
        row, column = divmod(cell, info.width)
        corner = (column - 0.36, row - 0.36)  # within the frame of a wrong cell
        axes.add_patch(Rectangle(corner, 0.72, 0.72, fill=False, edgecolor=CHANGED_EDGE, linewidth=0.8))

"""Axes as all figures have them: colours, titles, percent, costs, points with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .table import Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000")
"""Safe for colour-blind readers (Okabe and Ito 2008)."""
MARKS = "osD^vP*X"


def axes_of(table: Table, title: str, height: float = 3.2) -> tuple[Figure, Axes]:
    """A figure with one empty plot; ``height`` in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height))
    axes = figure.add_subplot()
    axes.set_title(f"{title}\n{table.task} · {table.scale} · {table.conditions}", fontsize=8, loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def percent_axis(axes: Axes, label: str) -> None:
    """From 0 to the highest point, with a little air; never far beyond 100."""
    axes.set_ylabel(label)
    top = min(100.0, max(1.0, axes.get_ylim()[1]))
    axes.set_ylim(-0.03 * top, 1.03 * top)


def cost_axis(axes: Axes, label: str, values: Sequence[float]) -> None:
    """Few values are their own ticks; far apart they are on a logarithmic axis."""
    from matplotlib.ticker import NullLocator

    axes.set_xlabel(label)
    if max(values) >= 10 * min(values):
        axes.set_xscale("log")
    if all(value == int(value) and value < 1e5 for value in values):
        ticks = sorted(set(values))
        axes.set_xticks(ticks, [f"{int(tick):,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())


def draw_scores(axes: Axes, at: Sequence[float], rows: Sequence[Row], place: int, **style: Any) -> None:
    """The scores of finished rows in percent, with their 95 % intervals, in the colour of a place."""
    summaries = [row.summary for row in rows if row.summary is not None]
    middle = [100 * one.mean for one in summaries]
    around = [
        [m - 100 * one.low for m, one in zip(middle, summaries, strict=True)],
        [100 * one.high - m for m, one in zip(middle, summaries, strict=True)],
    ]
    usual: dict[str, Any] = {"color": COLOURS[place % 8], "marker": MARKS[place % 8], "capsize": 2}
    axes.errorbar(at, middle, around, **{**usual, **style})


def cost_of(row: Row, name: str) -> float:
    """A field of a row's ledger; 0 where nothing is finished."""
    return float(getattr(row.ledger, name)) if row.ledger is not None else 0.0

"""The figures of a report, as matplotlib draws them (`pip install 'trm-bench[figures]'`).

Each is a pure function of a `Table`; a table with nothing to show has no figure of that kind.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..api.errors import UnavailableError
from ..api.puzzles import PAD
from ..api.text import cleaned, file_name, one_line
from ..store.folders import write_atomically
from .axes import COLOURS, MARKS, axes_of, cost_axis, cost_of, draw_scores, percent_axis
from .rollout_curves import noise, rollouts, single_answers, training_name
from .table import Report, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figures(report: Report) -> dict[str, Figure]:
    """Every figure by a name that can be a file's.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UnavailableError("figures need matplotlib: pip install 'trm-bench[figures]'") from error
    drawn: dict[str, Figure] = {}
    for place, table in enumerate(cleaned(report, figure_text).tables, start=1):
        for kind, draw in KINDS.items():
            figure = draw(table)
            if figure is not None:
                drawn[f"{place}-{file_name(table.task)}-{file_name(table.scale)}-{kind}"] = figure
    return drawn


def figure_text(text: str) -> str:
    """Text that matplotlib draws as it is: no control characters, and no formula between dollar signs."""
    return one_line(text).replace("$", r"\$")


def as_svg(figure: Figure) -> str:
    """One figure as SVG; the same figure gives the same text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "trm-bench", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return buffer.getvalue()


def save(report: Report, folder: Path) -> list[Path]:
    """Write every figure as SVG and PNG into a folder.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures(report).items():
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=150, bbox_inches="tight", metadata={"Software": None})
        for suffix, content in (("svg", as_svg(figure).encode()), ("png", png.getvalue())):
            written.append(folder / f"{name}.{suffix}")
            write_atomically(written[-1], content)
    return written


def differences(table: Table) -> Figure | None:
    """Forest plot: Δ of each pair, its interval alone (thick) and in the family (thin); hollow: undecided."""
    pairs = [pair for pair in table.pairs if pair.difference.low is not None]
    if not pairs:
        return None
    figure, axes = axes_of(
        table,
        f"Differences in {table.heading(table.primary)}: 95 % CI alone (thick), in the family (thin)",
        1.2 + 0.35 * len(pairs),
    )
    for place, pair in enumerate(reversed(pairs)):
        low, high = 100 * (pair.difference.low or 0), 100 * (pair.difference.high or 0)
        colour = COLOURS[0] if pair.verdict.is_decided else COLOURS[6]
        axes.plot([low, high], [place, place], color=colour, linewidth=2.5)
        if pair.family is not None:
            ends = [100 * pair.family.low, 100 * pair.family.high]
            axes.plot(ends, [place, place], color=colour, linewidth=0.8)
        face = colour if pair.verdict.is_decided else "white"
        axes.plot(100 * pair.difference.delta, place, "o", color=colour, markerfacecolor=face)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(pairs)), [f"{pair.a} − {pair.b}" for pair in reversed(pairs)], fontsize=8)
    axes.set_xlabel("percentage points, A minus B")
    return figure


def _against(table: Table, title: str, label: str, cost: Callable[[Row], float]) -> Figure | None:
    """Scores with their intervals against a cost above 0, on a logarithmic axis."""
    rows = [
        (place, row) for place, row in enumerate(table.rows) if row.summary and row.ledger and cost(row) > 0
    ]
    if len(rows) < 2:
        return None
    figure, axes = axes_of(table, title)
    for place, row in rows:
        draw_scores(axes, [cost(row)], [row], place, capsize=3, label=row.name)
    cost_axis(axes, label, [cost(row) for _, row in rows])
    percent_axis(axes, table.heading(table.primary))
    axes.legend(fontsize=7)
    return figure


def compute(table: Table) -> Figure | None:
    """Score against training FLOPs."""
    label = "training FLOPs of a run"
    return _against(
        table, "Score against training compute", label, lambda row: cost_of(row, "training_flops")
    )


def depth(table: Table) -> Figure | None:
    """Score against the supervision steps at inference: a line for each model with several depths.

    A model whose puzzles halt has its points, hollow, at the steps that they took in the mean.
    """
    label = "supervision steps at inference"
    several = [
        name for name in dict.fromkeys(map(training_name, table.rows)) if len(_depths(table, name)) > 1
    ]
    if not several:
        title = "Score against inference depth"
        return _against(table, title, label, lambda row: cost_of(row, "inference_steps"))
    figure, axes = axes_of(table, "Score against inference depth, 95 % intervals")
    ticks: list[float] = []
    taken: list[float] = []
    for place, name in enumerate(several):
        for halts, line, face in ((False, "-", COLOURS[place % 8]), (True, ":", "white")):
            rows = [row for row in _depths(table, name) if row.halts is halts]
            steps = [cost_of(row, "steps_taken") or cost_of(row, "inference_steps") for row in rows]
            if rows:
                shown = f"{name}, halting" if halts else name
                draw_scores(axes, steps, rows, place, linestyle=line, markerfacecolor=face, label=shown)
            taken += steps
            ticks += [] if halts else steps
    cost_axis(axes, label, ticks or taken)
    percent_axis(axes, table.heading(table.primary))
    axes.legend(fontsize=7)
    return figure


def _depths(table: Table, name: str) -> list[Row]:
    """The single answers of one training, the shallowest first; of two alike the one after training."""
    rows = [row for row in single_answers(table, name) if row.summary is not None and row.depth]
    distinct = {(row.depth, row.halts): row for row in reversed(rows)}
    return sorted(distinct.values(), key=lambda row: cost_of(row, "steps_taken") or row.depth)


def curves(table: Table) -> Figure | None:
    """Validation against training FLOPs: the mean of the seeds, and a band from the lowest to the highest."""
    rows = [
        (place, row)
        for place, row in enumerate(table.rows)
        if row.validation and cost_of(row, "training_flops") > 0 and cost_of(row, "optimiser_steps") > 0
    ]
    if not rows:
        return None
    figure, axes = axes_of(table, "Validation during training, band of seeds")
    for place, row in rows:
        of_a_step = cost_of(row, "training_flops") / cost_of(row, "optimiser_steps")
        spent = [of_a_step * point.step for point in row.validation]
        low, high = ([100 * getattr(point, end) for point in row.validation] for end in ("low", "high"))
        axes.fill_between(spent, low, high, color=COLOURS[place % 8], alpha=0.15, linewidth=0)
        means = [100 * point.mean for point in row.validation]
        axes.plot(
            spent, means, color=COLOURS[place % 8], marker=MARKS[place % 8], markersize=3, label=row.name
        )
    axes.set_xscale("log")
    axes.set_xlabel("training FLOPs so far")
    percent_axis(axes, "validation puzzles solved, %")
    axes.legend(fontsize=7)
    return figure


def halting(table: Table) -> Figure | None:
    """At which step the model's own rule would have stopped, share of test items."""
    stepping = [(place, row) for place, row in enumerate(table.rows) if cost_of(row, "inference_steps") > 1]
    rows = [(place, row) for place, row in stepping if row.halting]
    if not rows:
        return None
    figure, axes = axes_of(table, "Step at which the model's own rule would have stopped")
    width = 0.8 / len(rows)
    for offset, (place, row) in enumerate(rows):
        at = [step + (offset - (len(rows) - 1) / 2) * width for step in row.halting]
        shares = [100 * share for share in row.halting.values()]
        axes.bar(at, shares, width, color=COLOURS[place % 8], label=row.name)
    axes.set_xticks(range(1, 1 + max(int(cost_of(row, "inference_steps")) for _, row in rows)))
    axes.set_xlabel("supervision step")
    percent_axis(axes, "test items, %")
    axes.legend(fontsize=7)
    return figure


def votes(table: Table) -> Figure | None:
    """The primary metric by the first N votes, all of them last."""
    rows = [(place, row) for place, row in enumerate(table.rows) if len(row.vote_curve) > 1]
    if not rows:
        return None
    figure, axes = axes_of(table, f"{table.heading(table.primary)} by number of votes")
    for place, row in rows:
        points = dict(row.vote_curve)
        if row.summary is not None and table.votes:
            points[table.votes] = row.summary.mean
        scores = [100 * score for _, score in sorted(points.items())]
        axes.plot(sorted(points), scores, color=COLOURS[place % 8], marker=MARKS[place % 8], label=row.name)
    counts = sorted({votes for _, row in rows for votes in row.vote_curve} | {table.votes or 1})
    cost_axis(axes, "votes per test item", [float(count) for count in counts])
    percent_axis(axes, table.heading(table.primary))
    axes.legend(fontsize=7)
    return figure


def difficulty(table: Table) -> Figure | None:
    """The primary metric against what the task knows of each puzzle, in groups of like puzzles."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for row in table.rows for name in row.by_feature))
    if not names:
        return None
    figure = Figure(figsize=(6.4, 2.4 * len(names) + 0.6), layout="constrained")
    title = f"{table.heading(table.primary)} by difficulty, groups of like puzzles"
    figure.suptitle(f"{title}\n{table.task} · {table.scale} · {table.conditions}", fontsize=8)
    panels = figure.subplots(len(names), squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        for place, row in enumerate(table.rows):
            curve = row.by_feature.get(name, {})
            scores = [100 * score for score in curve.values()]
            axes.plot(list(curve), scores, color=COLOURS[place % 8], marker=MARKS[place % 8], label=row.name)
        axes.set_xlabel(name.replace("_", " "))
        axes.grid(alpha=0.25)
        percent_axis(axes, table.heading(table.primary))
    panels[0].legend(fontsize=7)
    return figure


def predictions(table: Table) -> Figure | None:
    """The first test items: puzzle, solution and each model's prediction, wrong cells framed in red."""
    from matplotlib.figure import Figure

    shown = {row.name: row.predictions for row in table.rows if row.predictions is not None}
    first = next(iter(shown.values()), None)
    if first is None:
        return None
    known = {name: dict(zip(one.items, one.predictions, strict=True)) for name, one in shown.items()}
    shared = [item for item in first.items[:SHOWN] if all(item in each for each in known.values())]
    items = [place for place, item in enumerate(first.items) if item in shared]
    if not items:
        return None
    figure = Figure(figsize=(1.7 * (2 + len(known)), 1.9 * len(items)))
    axes = figure.subplots(len(items), 2 + len(known), squeeze=False)
    for line, item in zip(axes, items, strict=True):
        name, target = first.items[item], first.targets[item]
        draw_board(line[0], first.inputs[item], None, first.shape, first.symbols, "puzzle")
        draw_board(line[1], target, None, first.shape, first.symbols, "solution")
        for place, (model, each) in enumerate(known.items(), start=2):
            draw_board(line[place], each[name], target, first.shape, first.symbols, model)
        line[0].set_ylabel(name, fontsize=5)
    figure.suptitle(f"{table.task} · {table.scale}: the first test items, one seed each", fontsize=8)
    return figure


SHOWN = 3
"""Test items of the figure of predictions."""
PALETTE = (
    "#ffffff", "#e8e8e8", "#bcd4e6", "#f6c8a8", "#bfe0c2", "#e6c6df", "#f4e3a1", "#a8dadc", "#d8c3a5",
    "#f2b5b5", "#c9c9f0", "#d4e7a5",
)  # fmt: skip
"""Pale, so that symbols can be read on them; padding is white."""


def draw_board(
    axes: Axes,
    tokens: Sequence[int],
    target: Sequence[int] | None,
    shape: tuple[int, int],
    symbols: Sequence[str],
    title: str,
) -> None:
    """One grid of tokens; with a ``target``, wrong cells are framed and those that do not count are pale."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    width = shape[1]
    colours = [to_rgb(PALETTE[token % len(PALETTE)]) for token in tokens]
    axes.imshow(np.array(colours).reshape(*shape, 3))
    axes.set_title(title, fontsize=6)
    axes.set_xticks([])
    axes.set_yticks([])
    size = min(9.0, 60.0 / max(shape))
    for cell, token in enumerate(tokens):
        row, column = divmod(cell, width)
        text = symbols[token] if token < len(symbols) else "" if symbols else str(token)
        scored = target is None or target[cell] != PAD
        if text.strip() and size >= 3:
            shade = "black" if scored else "#bbbbbb"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=shade)
        if target is not None and scored and token != target[cell]:
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#d00000", linewidth=1.2))


KINDS: Mapping[str, Callable[[Table], Figure | None]] = {
    "differences": differences,
    "compute": compute,
    "depth": depth,
    "rollouts": rollouts,
    "noise": noise,
    "training": curves,
    "halting": halting,
    "votes": votes,
    "difficulty": difficulty,
    "predictions": predictions,
}
"""The kinds of figures, in their order."""

"""Figures of several answers per puzzle: score against inference compute, and against the noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..api.rollouts import Rollouts
from .axes import COLOURS, axes_of, cost_of, draw_scores, percent_axis
from .table import Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOPS = "inference_flops_per_puzzle"
USUAL: Mapping[str, Any] = {
    "linestyle": "none",
    "marker": "*",
    "markersize": 11,
    "color": "black",
    "zorder": 5,
}


@dataclass(frozen=True)
class Curve:
    """Rows that differ in one number alone, in its order."""

    label: str
    rows: tuple[Row, ...]


def single_answers(table: Table, name: str) -> list[Row]:
    """The rows of one training, by `training_name`, with one answer per puzzle and no noise."""
    return [row for row in table.rows if training_name(row) == name and row.rollouts is None]


def sampled(table: Table) -> list[tuple[Row, Rollouts]]:
    """The finished rows with several answers or noise."""
    return [(row, row.rollouts) for row in table.rows if row.rollouts and row.summary and row.ledger]


def training_name(row: Row) -> str:
    """The model, and which of its trainings where there are several."""
    return row.display_name + ("" if row.number is None else f" #{row.number}")


def _noise(settings: Rollouts) -> str:
    """``σ = 0.3 on y``; part and seed are named where the command named them."""
    return f"σ = {settings.noise:g}" + (f" on {settings.on}" if settings.on else "") + _seed(settings)


def _seed(settings: Rollouts) -> str:
    return f", noise seed {settings.seed}" if settings.seed else ""


def _steps(row: Row, rows: Sequence[tuple[Row, Rollouts]]) -> str:
    """The row's depth, where the table has several of its model's."""
    depths = {(one.depth, one.halts) for one, _ in rows if training_name(one) == training_name(row)}
    halting = ", halting" if row.halts else ""
    return f", {row.depth} steps{halting}" if len(depths) > 1 else halting


def over_count(table: Table) -> list[Curve]:
    """A curve over K for each model, depth, σ and rule.

    One answer is the same by every rule, so that it begins each of these curves.
    """
    rows = sampled(table)
    groups: dict[str, dict[str, list[Row]]] = {}
    for row, settings in rows:
        start = f"{training_name(row)}{_steps(row, rows)}, {_noise(settings)}"
        rule = settings.select.value if settings.count > 1 else ""
        groups.setdefault(start, {}).setdefault(rule, []).append(row)
    curves = []
    for start, rules in groups.items():
        ones = rules.pop("", [])
        for rule, several in (rules or {"": []}).items():
            ordered = sorted([*ones, *several], key=_count)
            counts = ", ".join(str(_count(row)) for row in ordered)
            curves.append(Curve(f"{start}{rule and ', '}{rule}, K = {counts}", tuple(ordered)))
    return curves


def over_noise(table: Table) -> list[Curve]:
    """A curve over σ for each model, depth, K and rule that has at least two."""
    rows = sampled(table)
    groups: dict[str, dict[float, Row]] = {}
    for row, settings in rows:
        rule = f", {settings.select.value}" if settings.count > 1 else ""
        part = (f", noise on {settings.on}" if settings.on else "") + _seed(settings)
        label = f"{training_name(row)}{_steps(row, rows)}, K = {settings.count}{rule}{part}"
        groups.setdefault(label, {}).setdefault(settings.noise, row)
    return [
        Curve(label, tuple(row for _, row in sorted(by_noise.items())))
        for label, by_noise in groups.items()
        if len(by_noise) > 1
    ]


def _count(row: Row) -> int:
    return 1 if row.rollouts is None else row.rollouts.count


def _flops(rows: Iterable[Row]) -> list[float]:
    return [cost_of(row, FLOPS) for row in rows]


def rollouts(table: Table) -> Figure | None:
    """Score against inference FLOPs: over K at each σ and rule, and the single answers of several depths."""
    curves = over_count(table)
    names = list(dict.fromkeys(training_name(row) for row, _ in sampled(table)))
    single = {name: _finished(single_answers(table, name)) for name in names}
    rows = [row for group in (*(curve.rows for curve in curves), *single.values()) for row in group]
    if not curves or not all(_flops(rows)):
        return None
    title = "Several answers per puzzle: score against inference compute, 95 % intervals"
    figure, axes = axes_of(table, title, 3.6 + 0.15 * len(curves))
    _frame(axes, _flops(rows), rows, logarithmic=True)
    lines = len(curves) + len(single)
    for place, curve in enumerate(curves):
        _draw(axes, _flops(curve.rows), curve.rows, place, lines, label=curve.label)
        _oracle(axes, curve, place)
    for place, (name, depths) in enumerate(single.items(), start=len(curves)):
        _single(axes, depths, name, place, lines)
    axes.set_xlabel("inference FLOPs per puzzle, all K answers together")
    percent_axis(axes, table.heading(table.primary))
    axes.legend(fontsize=6)
    return figure


def _finished(rows: Sequence[Row]) -> list[Row]:
    """The cheapest first."""
    done = [row for row in rows if row.summary is not None and row.ledger is not None]
    return sorted(done, key=lambda row: cost_of(row, FLOPS))


def _frame(axes: Axes, at: Sequence[float], rows: Sequence[Row], logarithmic: bool) -> None:
    """Limits from the data: matplotlib cannot find those of points that are drawn to the side."""
    low, high = min(at), max(at)
    if logarithmic:
        axes.set_xscale("log")
        air = max(high / low, 1.5) ** 0.1
        axes.set_xlim(low / air, high * air)
    else:
        air = 0.1 * (high - low)
        axes.set_xlim(low - air, high + air)
    axes.set_ylim(0, 100 * max(max(row.summary.high, row.any_right or 0) for row in rows if row.summary))


def _draw(
    axes: Axes, at: Sequence[float], rows: Sequence[Row], place: int, count: int, **style: object
) -> None:
    """One of ``count`` curves, a few points to the side of the others: many rows have one cost or one σ."""
    from matplotlib.transforms import ScaledTranslation

    figure = axes.get_figure(root=True)
    assert figure is not None
    to_the_side = ScaledTranslation(4 * (place - (count - 1) / 2) / 72, 0, figure.dpi_scale_trans)
    draw_scores(axes, at, rows, place, transform=axes.transData + to_the_side, **style)


def _oracle(axes: Axes, curve: Curve, place: int) -> None:
    """What a choice that knows the solution would reach."""
    rows = [row for row in curve.rows if row.any_right is not None]
    if rows:
        shares = [100 * row.any_right for row in rows if row.any_right is not None]
        label = "oracle: any of the K answers is right"
        known = any(text == label for text in axes.get_legend_handles_labels()[1])
        axes.plot(
            _flops(rows), shares, color=COLOURS[place % 8], linestyle="--", linewidth=0.8, marker=".",
            label="_" if known else label,
        )  # fmt: skip


def _single(axes: Axes, rows: Sequence[Row], name: str, place: int, count: int) -> None:
    """One answer at several depths, and the usual evaluation as a point of its own."""
    for halts in (False, True):
        depths = [row for row in rows if row.halts is halts]
        if depths:
            steps = ", ".join(dict.fromkeys(str(row.depth) for row in depths))
            label = f"{name}, one answer of {steps} steps{', halting' if halts else ''}"
            style = {"label": label, "linestyle": ":" if halts else "-"}
            _draw(axes, _flops(depths), depths, place, count, **style)
    if usual := [row for row in rows if not row.evaluation]:
        _draw(axes, _flops(usual), usual, place, count, label=f"{name}, usual evaluation", **USUAL)


def noise(table: Table) -> Figure | None:
    """Score against σ, a line for each K and rule; dotted: one answer of the same depth without noise."""
    curves = over_noise(table)
    if not curves:
        return None
    title = "Several answers per puzzle: score against the noise, 95 % intervals"
    figure, axes = axes_of(table, title, 3.6 + 0.15 * len(curves))
    rows = [row for curve in curves for row in curve.rows]
    values = sorted(set(_noises(rows)))
    without = [
        one
        for row in {(training_name(row), row.depth, row.halts): row for row in rows}.values()
        for one in _finished(single_answers(table, training_name(row)))
        if (one.depth, one.halts) == (row.depth, row.halts)
    ]
    _frame(axes, values, [*rows, *without], logarithmic=values[0] > 0 and values[-1] >= 5 * values[0])
    for place, curve in enumerate(curves):
        _draw(axes, _noises(curve.rows), curve.rows, place, len(curves), label=curve.label)
    for row in without:
        assert row.summary is not None
        label = f"{row.name}, one answer without noise"
        axes.axhline(100 * row.summary.mean, color="black", linestyle=":", linewidth=1, label=label)
    _noise_axis(axes, values)
    percent_axis(axes, table.heading(table.primary))
    axes.legend(fontsize=6)
    return figure


def _noises(rows: Iterable[Row]) -> list[float]:
    return [row.rollouts.noise for row in rows if row.rollouts is not None]


def _noise_axis(axes: Axes, values: Sequence[float]) -> None:
    """Every σ is a tick."""
    from matplotlib.ticker import NullLocator

    axes.set_xlabel("σ of the noise on the state before every supervision step")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.xaxis.set_minor_locator(NullLocator())

"""A comparison of two models in sentences that claim no more than the numbers do."""

from __future__ import annotations

from ..api.text import plural
from ..stats.interval import ScoreSummary
from ..stats.rules import Kind
from ..stats.tests import Verdict
from .table import Pair


def points(value: float, sign: bool = False) -> str:
    """A share as percentage points, ``+3.1``."""
    return f"{100 * value:{'+' if sign else ''}.1f}"


def p_words(p: float) -> str:
    """``p = 0.0312`` or ``p < 0.0001``; never 0."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"


def sentences(pair: Pair) -> list[str]:
    """Sentences about a pair that is a family of its own, most important first."""
    lines = [_scores(pair), _verdict(pair)]
    if pair.difference.kind is Kind.CROSSED:
        lines += [_equivalence(pair), _shares(pair)]
    lines += [f"Treated differently: {difference}." for difference in pair.differs]
    return [sentence for sentence in lines if sentence]


def _scores(pair: Pair) -> str:
    each = [
        f"{name} {points(one.mean)} % ({points(one.low)} to {points(one.high)}, {plural(one.seeds, 'seed')})"
        for name, one in ((pair.a, pair.first), (pair.b, pair.second))
    ]
    return f"{pair.metric}: {', '.join(each)}, {_items(pair.first)}."


def _items(one: ScoreSummary) -> str:
    if one.clusters == one.items:
        return plural(one.items, "puzzle")
    return f"{plural(one.items, 'test item')} in {plural(one.clusters, 'cluster')}"


def _verdict(pair: Pair) -> str:
    difference = pair.difference
    if difference.kind is not Kind.CROSSED or difference.p is None:
        return _untested(pair)
    assert difference.low is not None  # a crossed test has an interval
    assert difference.high is not None
    numbers = (
        f"{points(difference.delta, True)} points, 95 % CI {points(difference.low, True)} to "
        f"{points(difference.high, True)}, {p_words(difference.p)} for this pair alone"
    )
    if pair.verdict is Verdict.A_BETTER:
        return f"{pair.a} beats {pair.b}: {numbers}."
    if pair.verdict is Verdict.B_BETTER:
        return f"{pair.b} beats {pair.a}: {numbers} ({pair.a} minus {pair.b})."
    return f"Undecided: {numbers}. {_what_would_help(pair)}"


def _what_would_help(pair: Pair) -> str:
    """The smallest detectable difference, and what would show the measured one."""
    seeds, puzzles = pair.difference.seeds, _items(pair.first)
    parts = []
    if pair.detectable is not None:
        parts.append(
            f"With {plural(seeds, 'seed')} and {puzzles}, differences below {points(pair.detectable)} points "
            "are not detectable (80 % power)"
        )
    if pair.needed is not None and pair.needed > seeds:
        parts.append(
            f"if the {points(abs(pair.difference.delta))} points are real, "
            f"{plural(pair.needed - seeds, 'more seed')} of each model would show them"
        )
    elif pair.needed is None and pair.shares is not None and pair.difference.delta:
        parts.append(
            f"no number of seeds would show the {points(abs(pair.difference.delta))} points on these puzzles "
            "alone; more puzzles might"
        )
    if pair.difference.note:
        parts.append(pair.difference.note)
    return "; ".join(parts) + "." if parts else ""


def _untested(pair: Pair) -> str:
    start = f"No test between methods ({pair.difference.note})"
    if pair.mcnemar is None:
        return f"{start}: the difference is {points(pair.difference.delta, True)} points."
    only = pair.mcnemar
    return (
        f"{start}. These two checkpoints: only {pair.a} solves {only.a_only}, only {pair.b} solves "
        f"{only.b_only}, exact McNemar {p_words(only.p)}. A claim about methods needs three seeds of each."
    )


def _equivalence(pair: Pair) -> str:
    if pair.equivalence is None or pair.equivalence.p is None:
        return ""
    shown = "Equivalent" if pair.equivalence.equivalent else "Not shown to be equivalent"
    margin, p = points(pair.equivalence.margin), p_words(pair.equivalence.p)
    return f"{shown} within the declared margin of {margin} points (two one-sided tests, {p})."


def _shares(pair: Pair) -> str:
    if pair.shares is None:
        return ""
    shares = pair.shares
    parts = f"{shares.seeds:.0%} seeds, {shares.items:.0%} puzzles, {shares.residual:.0%} residual"
    return (
        f"Variance of the difference: {parts}. Twice the seeds would narrow the interval by "
        f"{shares.twice_the_seeds:.0%}, twice the puzzles by {shares.twice_the_items:.0%}."
    )

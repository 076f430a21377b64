"""A comparison of two models in sentences that claim no more than the numbers do."""

from __future__ import annotations

from dataclasses import dataclass

from ..stats.power import Equivalence, VarianceShares
from ..stats.stats import CellSummary, Difference, Kind, McNemar, Verdict, verdict


@dataclass(frozen=True)
class Comparison:
    """Everything that is known of a pair.

    Attributes:
        a, b: names of the models.
        metric: the primary metric.
        first, second: each model by itself.
        difference: A minus B.
        mcnemar: of two single runs; else None.
        detectable: smallest difference seen with 80 % power, 0 to 1; None without a test.
        shares: what the variance consists of; None without one.
        needed: seeds per model that would show a difference as large as the one seen; None where none would.
        equivalence: with a margin that was declared before the runs; else None.
        differs: in what the two were not treated alike, in words; empty for one study.
    """

    a: str
    b: str
    metric: str
    first: CellSummary
    second: CellSummary
    difference: Difference
    mcnemar: McNemar | None
    detectable: float | None
    shares: VarianceShares | None
    needed: int | None
    equivalence: Equivalence | None
    differs: tuple[str, ...] = ()


def points(value: float, sign: bool = False) -> str:
    """A share as percentage points, ``+3.1``."""
    return f"{100 * value:{'+' if sign else ''}.1f}"


def p_words(p: float) -> str:
    """``p = 0.0312`` or ``p < 0.0001``; never 0."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"


def sentences(found: Comparison) -> list[str]:
    """What may be said, most important first."""
    said = [_scores(found), _verdict(found)]
    if found.difference.kind is Kind.CROSSED:
        said += [_equivalence(found), _shares(found)]
    said += [f"Not treated alike: {difference}." for difference in found.differs]
    return [sentence for sentence in said if sentence]


def _scores(found: Comparison) -> str:
    each = [
        f"{name} {points(one.mean)} % ({points(one.low)} to {points(one.high)}, {_count(one.seeds, 'seed')})"
        for name, one in ((found.a, found.first), (found.b, found.second))
    ]
    return f"{found.metric}: {', '.join(each)}, {_items(found.first)}."


def _items(one: CellSummary) -> str:
    if one.clusters == one.items:
        return _count(one.items, "puzzle")
    return f"{_count(one.items, 'test item')} in {_count(one.clusters, 'cluster')}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _verdict(found: Comparison) -> str:
    difference = found.difference
    if difference.kind is not Kind.CROSSED or difference.p is None:
        return _untested(found)
    assert difference.low is not None  # a crossed test has an interval
    assert difference.high is not None
    seen = (
        f"{points(difference.delta, True)} points, 95 % interval {points(difference.low, True)} to "
        f"{points(difference.high, True)}, {p_words(difference.p)} for this pair alone"
    )
    word = verdict(difference, difference.p)
    if word is Verdict.A_BETTER:
        return f"{found.a} beats {found.b}: {seen}."
    if word is Verdict.B_BETTER:
        return f"{found.b} beats {found.a}: {seen} ({found.a} minus {found.b})."
    return f"Undecided: {seen}. {_what_would_help(found)}"


def _what_would_help(found: Comparison) -> str:
    """The smallest difference that could have been seen, and what would show the one that was."""
    seeds, puzzles = found.difference.seeds, _items(found.first)
    said = []
    if found.detectable is not None:
        said.append(
            f"With {_count(seeds, 'seed')} and {puzzles} a difference under "
            f"{points(found.detectable)} points cannot be seen (80 % power)"
        )
    if found.needed is not None and found.needed > seeds:
        said.append(
            f"if the {points(abs(found.difference.delta))} points are real, "
            f"{_count(found.needed - seeds, 'more seed')} of each model would show them"
        )
    elif found.needed is None and found.shares is not None and found.difference.delta:
        said.append(
            f"no number of seeds would show the {points(abs(found.difference.delta))} points "
            "seen here on these puzzles alone; more puzzles might"
        )
    if found.difference.note:
        said.append(found.difference.note)
    return "; ".join(said) + "." if said else ""


def _untested(found: Comparison) -> str:
    said = f"No test between methods ({found.difference.note})"
    if found.mcnemar is None:
        return f"{said}: the difference is {points(found.difference.delta, True)} points."
    pair = found.mcnemar
    return (
        f"{said}. These two checkpoints: {found.a} alone is right on {pair.a_only}, {found.b} alone on "
        f"{pair.b_only}, exact McNemar {p_words(pair.p)}. A claim about methods needs three seeds of each."
    )


def _equivalence(found: Comparison) -> str:
    if found.equivalence is None or found.equivalence.p is None:
        return ""
    shown = "As" if found.equivalence.equivalent else "Not shown to be as"
    margin, p = points(found.equivalence.margin), p_words(found.equivalence.p)
    tests = f"two one-sided tests, {p}"
    return f"{shown} good as one another within the declared margin of {margin} points ({tests})."


def _shares(found: Comparison) -> str:
    if found.shares is None:
        return ""
    shares = found.shares
    parts = (
        f"{shares.seeds:.0%} seeds, {shares.items:.0%} puzzles, {shares.residual:.0%} single runs on puzzles"
    )
    return (
        f"The uncertainty is {parts}: twice the seeds would narrow the interval by "
        f"{shares.twice_the_seeds:.0%}, twice the puzzles by {shares.twice_the_items:.0%}."
    )

"""A comparison of two models in sentences that claim no more than the numbers do."""

from __future__ import annotations

import re

from ..api.text import plural
from ..stats.interval import ScoreSummary
from ..stats.power import MOST_SEEDS
from ..stats.rules import ALPHA, Kind
from ..stats.tests import Verdict
from .table import Pair

SEEDS = (3, 5, 8, 10, 15, 20)
"""Numbers of seeds that advice speaks of."""


def points(value: float) -> str:
    """A share in percent, or as percentage points, with one decimal: ``3.1``.

    Rounded before: the order in which scores were added up must not tell equal ones apart.
    """
    return f"{round(100 * value, 9):.1f}"


def signed(value: float) -> str:
    """A difference in percentage points, ``+3.1`` or ``−0.02``: an end of an interval near 0 has a side."""
    shown = round(100 * value, 9)
    return f"{shown:+.{2 if 0.005 <= abs(shown) < 0.05 else 1}f}".replace("-", "−")


def p_words(p: float) -> str:
    """``p = 0.0312`` or ``p < 0.0001``; never 0."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"


def answer(asks: str, pair: Pair, a: str, b: str) -> str:
    """The answer to a question of a study: yes, no or undecided, and the numbers behind it."""
    numbers = f"{a} minus {b} is {signed(pair.difference.delta)} points"
    if pair.family is None:
        why = _named(pair.note or pair.difference.note, a, b)
        return f"{asks} Not tested ({why}): {numbers}."
    numbers += f" ({readings(pair)})"
    note = f"; {pair.note}" if pair.note else ""
    among = plural(pair.family.tests, "question")
    word = {
        Verdict.A_BETTER: "Yes",
        Verdict.B_BETTER: "No, the other way round",
        Verdict.EQUIVALENT: "No difference that matters",
        Verdict.ONLY_ALONE_A: f"Undecided among {among}, yes if this were the only one",
        Verdict.ONLY_ALONE_B: f"Undecided among {among}, the other way round if this were the only one",
    }.get(pair.verdict, "Undecided")
    ends = [f"{numbers}{note}", *_within_margin(pair), *(_outlook(pair) if pair.verdict.is_undecided else ())]
    return f"{asks} {word}: {'. '.join(ends)}."


def _named(note: str, a: str, b: str) -> str:
    """A note on a sample without variance, which speaks of A and B, with their names."""
    if not note.startswith(("A solved", "B solved", "every seed of A")):
        return note
    return re.sub(r"\b[AB]\b", lambda found: {"A": a, "B": b}[found[0]], note)


def readings(pair: Pair) -> str:
    """The interval and p of a pair alone, and those in its family."""
    difference, family = pair.difference, pair.family
    if difference.p is None or difference.low is None or difference.high is None:
        return ""
    alone = f"alone 95 % CI {_interval(difference.low, difference.high)}, {p_words(difference.p)}"
    if family is None:
        return alone
    if family.tests == 1:
        return f"{alone}; the only test"
    among = f"among {family.tests} tests {_interval(family.low, family.high)}"
    return f"{alone}; {among}, Holm's {p_words(family.p)}"


def _interval(low: float, high: float) -> str:
    return f"{signed(low)} to {signed(high)}"


def _within_margin(pair: Pair) -> list[str]:
    if (
        pair.verdict is not Verdict.EQUIVALENT
        or pair.equivalence is None
        or pair.equivalence.family_p is None
    ):
        return []
    margin, p = points(pair.equivalence.margin), p_words(pair.equivalence.family_p)
    level = 2 * ALPHA / pair.equivalence.tests
    half = pair.difference.error.half_width(level) if pair.difference.error else 0.0
    delta = pair.difference.delta
    return [
        f"The difference is below the declared margin of {margin} points (two one-sided tests, {p}; "
        f"{100 * (1 - level):.3g} % CI {_interval(delta - half, delta + half)})"
    ]


def _outlook(pair: Pair) -> list[str]:
    """What this family can decide, and how many seeds would decide more."""
    family, seeds = pair.family, pair.difference.seeds
    if family is None:
        return []
    among = f" among {plural(family.tests, 'test')}" if family.tests > 1 else ""
    most = "" if pair.most_seeds == seeds else f" and {pair.most_seeds}"
    now = (
        f"With {seeds}{most} seeds this pair is decided{among} {_from_points(family.decidable)} (80 % power)"
    )
    more = next((count for count in SEEDS if count > pair.most_seeds), None)
    then = None if more is None else pair.decidable_with(more)
    if more is None or then is None or then >= 0.9 * family.decidable:
        return [now]
    return [f"{now}; with {more}, if runs scatter as these, {_from_points(then)}"]


def _from_points(decidable: float) -> str:
    return "by no difference" if decidable > 1 else f"from {in_few_digits(decidable)} points on"


def in_few_digits(decidable: float) -> str:
    """A smallest decidable difference in points: ``12``, and below ten ``2.3``."""
    return f"{100 * decidable:.{0 if decidable >= 0.1 else 1}f}"


def sentences(pair: Pair) -> list[str]:
    """Sentences about a pair, most important first."""
    lines = [_scores(pair), _verdict(pair)]
    if pair.difference.kind is Kind.CROSSED:
        lines += [_equivalence(pair), _shares(pair)]
    lines += [_note(pair)]
    lines += [f"Treated differently: {difference}." for difference in pair.differs]
    return [sentence for sentence in lines if sentence]


def _note(pair: Pair) -> str:
    """What must be printed with the pair, but for what its difference says already."""
    note = pair.note.removeprefix(pair.difference.note).removeprefix("; ")
    return f"{note[:1].upper()}{note[1:]}." if note else ""


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
    if pair.difference.p is None:
        return _untested(pair)
    numbers = f"{signed(pair.difference.delta)} points ({readings(pair)})"
    if pair.family is None:
        return f"Untested ({pair.difference.note}): {numbers}."
    if pair.verdict is Verdict.A_BETTER:
        return f"{pair.a} beats {pair.b}: {numbers}."
    if pair.verdict is Verdict.B_BETTER:
        return f"{pair.b} beats {pair.a}: {numbers} ({pair.a} minus {pair.b})."
    if pair.verdict is Verdict.EQUIVALENT:
        return f"No difference that matters: {numbers}."
    among = f"Undecided among {plural(pair.family.tests, 'test')}"
    winner = {Verdict.ONLY_ALONE_A: pair.a, Verdict.ONLY_ALONE_B: pair.b}.get(pair.verdict)
    word = f"{among}; {winner} would be better if this were the only one" if winner else "Undecided"
    return f"{word}: {numbers}. {_what_would_help(pair)}"


def _what_would_help(pair: Pair) -> str:
    """What can be decided, and what would decide a difference as large as the measured one."""
    parts, measured = _outlook(pair), points(abs(pair.difference.delta))
    if pair.needed is not None and pair.needed > pair.difference.seeds:
        parts.append(
            f"If the {measured} points are real, {pair.needed} seeds of each model would show them; decide "
            "on their number now, for both, and not by looks at the results"
        )
    elif pair.needed is None and pair.shares is not None and pair.difference.delta:
        parts.append(
            f"No number of seeds would show the {measured} points on these puzzles; more puzzles might"
            if pair.limited_by_puzzles
            else f"More than {MOST_SEEDS:,} seeds of each model would be needed to show the {measured} points"
        )
    parts += [pair.difference.note] if pair.difference.note else []
    return ". ".join(parts) + "." if parts else ""


def _untested(pair: Pair) -> str:
    start = f"No test between methods ({_named(pair.difference.note, pair.a, pair.b)})"
    if pair.mcnemar is None:
        return f"{start}: the difference is {signed(pair.difference.delta)} points."
    only = pair.mcnemar
    return (
        f"{start}. These two checkpoints: only {pair.a} solves {only.a_only}, only {pair.b} solves "
        f"{only.b_only}, exact McNemar {p_words(only.p)}. A claim about methods needs three seeds of each."
    )


def _equivalence(pair: Pair) -> str:
    if pair.equivalence is None or pair.equivalence.family_p is None:
        return ""
    if pair.family is None or pair.verdict.is_decided:
        return ""
    shown = "Equivalent" if pair.equivalence.equivalent else "Not shown to be equivalent"
    margin, p = points(pair.equivalence.margin), p_words(pair.equivalence.family_p)
    return f"{shown} within the declared margin of {margin} points (two one-sided tests, {p})."


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"


def _shares(pair: Pair) -> str:
    seeds, puzzles = pair.narrower(seeds=2), pair.narrower(clusters=2)
    if pair.shares is None or seeds is None or puzzles is None:
        return ""
    shares = pair.shares
    parts = (
        f"{_whole(shares.seeds)} seeds, {_whole(shares.items)} puzzles, {_whole(shares.residual)} residual"
    )
    return (
        f"Variance of the difference: {parts}. Twice the seeds would narrow the interval by "
        f"{_whole(seeds)}, twice the puzzles by {_whole(puzzles)}."
    )

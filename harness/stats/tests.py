"""Tests between two models, adjustment for several, and the verdict. Shapes as in `scores`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .rules import ALPHA, METHOD_SEEDS, SINGLE_RUN, Kind
from .scores import Floats, matrix_of
from .split import SplitError
from .variance import Variance, item_variance, parts_of, residual_variance, seed_variance


class Verdict(StrEnum):
    """The word in the report's comparison table."""

    A_BETTER = "A > B"
    B_BETTER = "B > A"
    EQUIVALENT = "equivalent"
    """Within a margin that was declared beforehand."""
    ONLY_ALONE_A = "undecided (alone: A > B)"
    """Among the tests of its family; decided if it were the only one."""
    ONLY_ALONE_B = "undecided (alone: B > A)"
    UNDECIDED = "undecided"
    UNTESTED = "untested"

    @property
    def is_decided(self) -> bool:
        """Whether one model is shown to be better."""
        return self in (Verdict.A_BETTER, Verdict.B_BETTER)

    @property
    def is_undecided(self) -> bool:
        """Whether there was a test that decided nothing."""
        return self in (Verdict.UNDECIDED, Verdict.ONLY_ALONE_A, Verdict.ONLY_ALONE_B)


@dataclass(frozen=True)
class Difference:
    """Model A minus model B on one task.

    Attributes:
        delta: mean of A minus mean of B, -1 to 1.
        low: lower end of the 95 % interval; None where there is no test.
        high: upper end of the 95 % interval; None where there is no test.
        p: two-sided, unadjusted; None where there is no test.
        error: variances of ``delta`` and their degrees of freedom; None where there is no test.
        kind: ``CROSSED``, ``DEGENERATE`` or ``UNTESTED``.
        seeds: of the model that has fewer.
        note: what a reader must know with the number; empty for a plain crossed test.
    """

    delta: float
    low: float | None
    high: float | None
    p: float | None
    error: SplitError | None
    kind: Kind
    seeds: int
    note: str = ""

    @property
    def se(self) -> float | None:
        """Standard error of ``delta``; None where there is no test."""
        return None if self.error is None else self.error.se


@dataclass(frozen=True)
class McNemar:
    """Where two checkpoints disagree.

    Attributes:
        a_only: rows on which A scores higher.
        b_only: rows on which B scores higher.
        p: exact, two-sided.
        kind: always ``CHECKPOINT``: it says nothing of the methods.
        note: what must be printed with it.
    """

    a_only: int
    b_only: int
    p: float
    kind: Kind = Kind.CHECKPOINT
    note: str = SINGLE_RUN


def crossed_test(a: ArrayLike, b: ArrayLike) -> Difference:
    """Is method A better than method B? Seeds and items are both samples.

    Args:
        a: (S_A, C) cluster means of A.
        b: (S_B, C) cluster means of B; the columns are the same clusters as in ``a``, while the
            seeds of A and B have nothing to do with one another.

    Two-way random-effects analysis of variance: V = max(v_A + v_B + v_I - r_A - r_B, v_I, v_A + v_B), and a
    quantile of t for each part of it, see `split.SplitError`. docs/statistics.md has the terms.

    Raises:
        ValueError: the numbers of clusters differ, or a score is not within 0 to 1.
    """
    a_SC, b_SC = matrix_of(a), matrix_of(b)
    if a_SC.shape[1] != b_SC.shape[1]:
        raise ValueError(f"A has {a_SC.shape[1]} clusters, B has {b_SC.shape[1]}")
    seeds, clusters = min(len(a_SC), len(b_SC)), a_SC.shape[1]
    delta = float(a_SC.mean() - b_SC.mean())
    if seeds < 2:
        return _without_test(delta, Kind.UNTESTED, seeds, SINGLE_RUN)
    if clusters < 2:
        return _without_test(delta, Kind.UNTESTED, seeds, "one cluster: how puzzles vary is unknown")
    parts = parts_of(a_SC, b_SC)
    assert parts is not None  # there are two seeds and two clusters
    if parts.total == 0.0:
        return _without_test(delta, Kind.DEGENERATE, seeds, _what_was_seen(a_SC, b_SC))
    return _split_t_test(delta, parts.error, seeds)


def paired_test(a: ArrayLike, b: ArrayLike) -> Difference:
    """Does a change at evaluation alone help? The same training runs, evaluated in two modes.

    Args:
        a: (S, C) cluster means of the runs evaluated in the first mode.
        b: (S, C) of the same runs, row by row, evaluated in the second.

    The differences (S, C) are one sample of seeds × clusters: what a seed and a cluster have in common in
    both modes has gone. V = max(v_S + v_I - r, v_I, v_S), and the test is that of `crossed_test`.

    Raises:
        ValueError: the shapes differ, or a score is not within 0 to 1.
    """
    a_SC, b_SC = matrix_of(a), matrix_of(b)
    if a_SC.shape != b_SC.shape:
        raise ValueError(f"paired scores must have one shape, not {a_SC.shape} and {b_SC.shape}")
    seeds, clusters = a_SC.shape
    d_SC = a_SC - b_SC
    delta = float(d_SC.mean())
    if seeds < 2:
        return _without_test(delta, Kind.UNTESTED, seeds, SINGLE_RUN)
    if seeds < METHOD_SEEDS:
        return _without_test(
            delta, Kind.UNTESTED, seeds, f"{seeds} seeds; a paired test needs {METHOD_SEEDS}"
        )
    if clusters < 2:
        return _without_test(delta, Kind.UNTESTED, seeds, "one cluster: how puzzles vary is unknown")
    seeds_part, residual = seed_variance(d_SC), residual_variance(d_SC)
    items_part = item_variance(d_SC.mean(axis=0))
    total = Variance(seeds_part, items_part, residual).total
    if total == 0.0:
        return _without_test(delta, Kind.DEGENERATE, seeds, _what_was_seen(a_SC, b_SC))
    error = SplitError(((seeds_part, seeds - 1.0),), max(items_part - residual, 0.0), total, clusters - 1.0)
    return _split_t_test(delta, error, seeds)


def _split_t_test(delta: float, error: SplitError, seeds: int) -> Difference:
    half = error.half_width(ALPHA)
    note = "" if seeds >= METHOD_SEEDS else f"{seeds} seeds; a claim on methods needs {METHOD_SEEDS} of each"
    return Difference(delta, delta - half, delta + half, error.p(delta), error, Kind.CROSSED, seeds, note)


def _without_test(delta: float, kind: Kind, seeds: int, note: str) -> Difference:
    return Difference(delta, None, None, None, None, kind, seeds, note)


def _what_was_seen(a_SC: Floats, b_SC: Floats) -> str:
    """Describe a sample without variance, whose p-value would claim more certainty than the data can give."""
    low_a, high_a = a_SC.min(), a_SC.max()
    low_b, high_b = b_SC.min(), b_SC.max()
    if low_a == low_b == 1:
        return "both models solved every puzzle in every seed"
    if high_a == high_b == 0:
        return "neither model solved any puzzle in any seed"
    if low_a == 1 and high_b == 0:
        return "A solved every puzzle in every seed, B solved none in any"
    if low_b == 1 and high_a == 0:
        return "B solved every puzzle in every seed, A solved none in any"
    if np.all(a_SC == a_SC[0]) and np.all(b_SC == a_SC[0]):
        return "every seed of A and of B scored the same on every puzzle"
    return "neither the seeds' means nor the puzzles' differences vary; there is no error to estimate"


def mcnemar(a: ArrayLike, b: ArrayLike) -> McNemar:
    """Do these two checkpoints differ on items like these? Exact test (McNemar 1947).

    Args:
        a: (I,) scores of one checkpoint.
        b: (I,) scores of the other, on the same items in the same order.

    Scores between 0 and 1 count by which side is higher, which makes it a sign test. Rows must be
    independent: where clusters hold several items, pass one seed's cluster means.

    Raises:
        ValueError: the shapes differ.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"scores must be (I,) alike, not {first.shape} and {second.shape}")
    a_only, b_only = int((first > second).sum()), int((second > first).sum())
    if a_only + b_only == 0:
        return McNemar(0, 0, 1.0)
    return McNemar(a_only, b_only, float(stats.binomtest(a_only, a_only + b_only).pvalue))


@dataclass(frozen=True)
class HolmStep:
    """One test of a family under Holm's procedure (1979).

    Attributes:
        p: adjusted; the test decides if it is below 5 %.
        level: at which this test was made: 5 % / (m - rank + 1), rank 1 for the smallest p; after the first
            test that decides nothing, that one's level for all others.
        tests: m, of the family.
    """

    p: float
    level: float
    tests: int


def holm_steps(p_values: Sequence[float | None]) -> list[HolmStep | None]:
    """Holm's procedure over one family, in the given order; None stays None.

    An untested pair (None) does not count towards the size of the family.
    """
    places = [place for place, p in enumerate(p_values) if p is not None]
    tested = np.array([p_values[place] for place in places], np.float64)
    order = np.argsort(tested, kind="stable")
    left = np.arange(len(tested), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(tested[order] * left), 1.0)
    steps: list[HolmStep | None] = [None] * len(p_values)
    level = ALPHA
    stopped = False
    for place, p, remaining in zip(order.tolist(), adjusted.tolist(), left.tolist(), strict=True):
        level = level if stopped else ALPHA / remaining
        stopped = stopped or p >= ALPHA
        steps[places[place]] = HolmStep(p, level, len(tested))
    return steps


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values of one family, see `holm_steps`."""
    return [None if step is None else step.p for step in holm_steps(p_values)]


@dataclass(frozen=True)
class InFamily:
    """A difference as one of several tests.

    Attributes:
        tests: m, tests of the family.
        level: at which this one was tested, see `HolmStep`.
        p: Holm's adjusted p.
        low, high: ends of the interval at that level: 0 is outside exactly where the verdict is decided.
        decidable: smallest true difference, 0 to 1, that is found at that level with 80 % power.
    """

    tests: int
    level: float
    p: float
    low: float
    high: float
    decidable: float


def in_family(difference: Difference, step: HolmStep | None) -> InFamily | None:
    """The difference at its level; None where there is no test."""
    if step is None or difference.error is None:
        return None
    half = difference.error.half_width(step.level)
    return InFamily(
        step.tests,
        step.level,
        step.p,
        difference.delta - half,
        difference.delta + half,
        difference.error.decidable(step.level),
    )


def verdict(difference: Difference, family: InFamily | None) -> Verdict:
    """The word for one pair: of the family, and of the pair alone where only that would be decided."""
    if family is None or difference.p is None:
        return Verdict.UNTESTED
    a_is_higher = difference.delta > 0
    if family.p < ALPHA:
        return Verdict.A_BETTER if a_is_higher else Verdict.B_BETTER
    if difference.p < ALPHA:
        return Verdict.ONLY_ALONE_A if a_is_higher else Verdict.ONLY_ALONE_B
    return Verdict.UNDECIDED


def may_decide(difference: Difference) -> bool:
    """Whether a test counts in its family: with fewer than three seeds of either model it decides nothing."""
    return difference.p is not None and difference.seeds >= METHOD_SEEDS

"""Statistics of the report: intervals, the test between two methods, and the verdict.

Owns the formulas. Which cells are compared and how numbers are printed belong to the report.

Scores run from 0 to 1. Shapes: S seeds (training runs), I items, C clusters. A matrix (S, C) of
cluster means comes from `cluster_means`; where every item is a cluster of its own, C = I.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..api.errors import TrmBenchError

Floats = NDArray[np.float64]

ALPHA = 0.05
"""Two-sided error rate of every test and one minus the coverage of every interval."""
POWER = 0.80
"""Power at which `minimum_detectable` states what a design can see."""
METHOD_SEEDS = 3
"""Seeds each model needs before a difference may be called one between methods."""
SINGLE_RUN = "single training run; checkpoint-level only"
_NO_VARIANCE = 1e-24
"""Squared rounding error of means of numbers up to 1. One of 2·10⁶ scores that differs gives 10⁻¹³."""


class Kind(StrEnum):
    """What a number rests on."""

    CROSSED = "crossed"
    """Seeds and items both vary: speaks of methods."""
    CHECKPOINT = "checkpoint"
    """One training run: items vary, seeds do not."""
    DEGENERATE = "degenerate"
    """The sample holds no variance to estimate an error from."""
    UNTESTED = "untested"
    """Too few seeds or clusters for a test between methods."""


class Verdict(StrEnum):
    """The word in the report's comparison table."""

    A_BETTER = "A > B"
    B_BETTER = "B > A"
    UNDECIDED = "undecided"
    UNTESTED = "untested"


@dataclass(frozen=True)
class ItemScores:
    """Scores of one model on one test set.

    Attributes:
        name: of the model or run, for messages.
        items: (I,) unique item names.
        clusters: (I,) cluster names.
        scores: (S, I), each 0 to 1.
        codes: (I,) the cluster names as numbers, where they are known: sorting names takes long.
        distinct: whether the item names are known to be unique.
    """

    name: str
    items: NDArray[np.str_]
    clusters: NDArray[np.str_]
    scores: Floats
    codes: NDArray[np.int64] | None = None
    distinct: bool = False

    def means(self) -> Floats:
        """(S, C), see `cluster_means`."""
        return cluster_means(self.scores, self.clusters if self.codes is None else self.codes)

    def __post_init__(self) -> None:
        count = len(self.items)
        if self.clusters.shape != (count,) or self.scores.ndim != 2 or self.scores.shape[1] != count:
            raise ValueError(
                f"{self.name}: items {self.items.shape}, clusters {self.clusters.shape} and scores "
                f"{self.scores.shape} must be (I,), (I,) and (S, I)"
            )


@dataclass(frozen=True)
class Difference:
    """Model A minus model B on one task.

    Attributes:
        delta: mean of A minus mean of B, -1 to 1.
        low: lower end of the 95 % interval; None where there is no test.
        high: upper end of the 95 % interval; None where there is no test.
        p: two-sided, unadjusted; None where there is no test.
        df: degrees of freedom of the t distribution; None where there is no test.
        se: standard error of ``delta``; None where there is no test.
        kind: ``CROSSED``, ``DEGENERATE`` or ``UNTESTED``.
        seeds: of the model that has fewer.
        note: what a reader must know beside the number; empty for a plain crossed test.
    """

    delta: float
    low: float | None
    high: float | None
    p: float | None
    df: float | None
    se: float | None
    kind: Kind
    seeds: int
    note: str = ""


@dataclass(frozen=True)
class McNemar:
    """Where two checkpoints disagree.

    Attributes:
        a_only: rows on which A scores higher.
        b_only: rows on which B scores higher.
        p: exact, two-sided.
        kind: always ``CHECKPOINT``: it says nothing of the methods.
        note: the words that must stand beside it.
    """

    a_only: int
    b_only: int
    p: float
    kind: Kind = Kind.CHECKPOINT
    note: str = SINGLE_RUN


@dataclass(frozen=True)
class CellSummary:
    """One model on one task.

    Attributes:
        mean: over seeds and clusters, 0 to 1.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        seed_sd: standard deviation of the seeds' means (ddof 1); None for one seed.
        seeds: S.
        items: I.
        clusters: C.
        kind: ``CROSSED``, ``CHECKPOINT`` (one seed) or ``DEGENERATE`` (no variance seen).
        note: what a reader must know beside the number; empty for a plain crossed interval.
    """

    mean: float
    low: float
    high: float
    seed_sd: float | None
    seeds: int
    items: int
    clusters: int
    kind: Kind
    note: str = ""


def align(a: ItemScores, b: ItemScores) -> tuple[ItemScores, ItemScores]:
    """The same two, with the items of ``b`` in the order of ``a``.

    Raises:
        TrmBenchError: an item is there twice, is missing on one side, or changes its cluster.
    """
    if a.items is b.items and a.clusters is b.clusters and a.distinct:
        return a, b
    index_a, index_b = _index(a), _index(b)
    if index_a.keys() != index_b.keys():
        raise TrmBenchError(_mismatch(a, b, index_a, index_b))
    rows = np.fromiter((index_b[item] for item in index_a), np.int64, len(index_a))
    ordered = replace(
        b, items=b.items[rows], clusters=b.clusters[rows], scores=b.scores[:, rows], codes=None, distinct=True
    )
    moved = np.flatnonzero(a.clusters != ordered.clusters)
    if len(moved):
        at = moved[0]
        raise TrmBenchError(
            f"item {str(a.items[at])!r} is in cluster {str(a.clusters[at])!r} for {a.name} but in "
            f"{str(ordered.clusters[at])!r} for {b.name}; {len(moved)} of {len(a.items)} items differ so"
        )
    return a, ordered


def stack(name: str, runs: Sequence[ItemScores]) -> ItemScores:
    """The seeds of one model in one: scores (S, I), in the item order of the first run.

    Raises:
        TrmBenchError: see `align`.
    """
    if not runs:
        raise ValueError(f"{name}: no runs to stack")
    aligned = [align(runs[0], run)[1] for run in runs]
    return replace(aligned[0], name=name, scores=np.concatenate([run.scores for run in aligned]))


def _index(scores: ItemScores) -> dict[str, int]:
    index = {item: row for row, item in enumerate(scores.items.tolist())}
    if len(index) < len(scores.items):
        twice = next(item for row, item in enumerate(scores.items.tolist()) if index[item] != row)
        raise TrmBenchError(
            f"{scores.name}: {len(scores.items)} scores for {len(index)} items; {twice!r} is there twice"
        )
    return index


def _mismatch(a: ItemScores, b: ItemScores, index_a: dict[str, int], index_b: dict[str, int]) -> str:
    parts = [f"{a.name} has {len(index_a)} items, {b.name} has {len(index_b)}"]
    for has, lacks, name in ((index_a, index_b, b.name), (index_b, index_a, a.name)):
        missing = [item for item in has if item not in lacks]
        if missing:
            parts.append(f"{len(missing)} missing from {name}, the first {missing[0]!r}")
    return "; ".join(parts) + ": compare runs on the same test set"


def cluster_means(scores: ArrayLike, clusters: NDArray[np.str_] | NDArray[np.int64]) -> Floats:
    """Average scores (S, I) within each cluster: (S, C), in the sorted order of clusters.

    Every cluster weighs the same afterwards, whatever its size.

    Raises:
        ValueError: shapes do not fit, or a score is not within 0 to 1.
    """
    values = _matrix(scores)
    if clusters.shape != (values.shape[1],):
        raise ValueError(f"clusters {clusters.shape} must name the {values.shape[1]} items of the scores")
    names, inverse = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(inverse)
    sums = [np.bincount(inverse, weights=row, minlength=len(names)) for row in values]
    # n times 0.1 can sum to more than n · 0.1; a mean above the largest score would be refused later.
    return np.clip(np.stack(sums) / sizes, 0.0, 1.0)


def _matrix(scores: ArrayLike) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"scores must be (seeds, items) and not empty, not {values.shape}")
    if not (values.min() >= 0.0 and values.max() <= 1.0):  # a NaN fails both
        raise ValueError(f"scores must be within 0 to 1, not {values.min()} to {values.max()}")
    return values


@dataclass(frozen=True)
class _Variance:
    """Variance of a mean: ``of_seeds``, ``of_items`` and what both of these hold of the residual."""

    of_seeds: float
    of_items: float
    residual: float

    @property
    def total(self) -> float:
        """V: no smaller than either part, since the subtraction is itself an estimate."""
        crossed = self.of_seeds + self.of_items - self.residual
        total = max(crossed, self.of_items, self.of_seeds)
        return total if total > _NO_VARIANCE else 0.0


def _seed_variance(a_SC: Floats) -> float:
    """v_A, variance of the mean through its seeds."""
    return float(a_SC.mean(axis=1).var(ddof=1)) / len(a_SC)


def _item_variance(a_C: Floats) -> float:
    """v_I, variance of the mean through its clusters."""
    return float(a_C.var(ddof=1)) / len(a_C)


def _residual_variance(a_SC: Floats) -> float:
    """r_A, the seed × cluster interaction that v_A and v_I both hold."""
    S, C = a_SC.shape
    rest = a_SC - a_SC.mean(axis=1, keepdims=True) - a_SC.mean(axis=0) + a_SC.mean()
    return float(np.square(rest).sum() / ((S - 1) * (C - 1)) / (S * C))


def _satterthwaite(total: float, parts: Sequence[tuple[float, int]], floor: int) -> float:
    """Degrees of freedom of a sum of (variance, df) parts (Satterthwaite 1946), at least ``floor``."""
    return max(total**2 / math.fsum(part**2 / df for part, df in parts), float(floor))


def crossed_test(a: ArrayLike, b: ArrayLike) -> Difference:
    """Is method A better than method B? Seeds and items are both samples.

    Args:
        a: (S_A, C) cluster means of A.
        b: (S_B, C) cluster means of B; the columns are the same clusters as in ``a``, while the
            seeds of A and B have nothing to do with one another.

    Two-way random-effects analysis of variance: V = max(v_A + v_B + v_I - r_A - r_B, v_I,
    v_A + v_B), a t test with Satterthwaite's degrees of freedom but no fewer than min(S) - 1.
    docs/statistics.md has the terms.

    Raises:
        ValueError: the numbers of clusters differ, or a score is not within 0 to 1.
    """
    a_SC, b_SC = _matrix(a), _matrix(b)
    if a_SC.shape[1] != b_SC.shape[1]:
        raise ValueError(f"A has {a_SC.shape[1]} clusters, B has {b_SC.shape[1]}")
    seeds, clusters = min(len(a_SC), len(b_SC)), a_SC.shape[1]
    delta = float(a_SC.mean() - b_SC.mean())
    if seeds < 2:
        return _without_test(delta, Kind.UNTESTED, seeds, SINGLE_RUN)
    if clusters < 2:
        return _without_test(delta, Kind.UNTESTED, seeds, "one cluster; how items vary cannot be seen")
    parts = parts_of(a_SC, b_SC)
    assert parts is not None  # there are two seeds and two clusters
    if parts.total == 0.0:
        return _without_test(delta, Kind.DEGENERATE, seeds, _what_was_seen(a_SC, b_SC))
    return _t_test(delta, parts.total**0.5, parts.df, seeds)


def paired_test(a: ArrayLike, b: ArrayLike) -> Difference:
    """Does a change at evaluation alone help? The same training runs, answered in two ways.

    Args:
        a: (S, C) cluster means of the runs answered in the first way.
        b: (S, C) of the same runs, row by row, answered in the second.

    The differences (S, C) are one sample of seeds × clusters: what a seed and a cluster have in common in
    both ways has gone. V = max(v_S + v_I - r, v_I, v_S), by the analysis of variance of `crossed_test`.

    Raises:
        ValueError: the shapes differ, or a score is not within 0 to 1.
    """
    a_SC, b_SC = _matrix(a), _matrix(b)
    if a_SC.shape != b_SC.shape:
        raise ValueError(f"paired scores must have one shape, not {a_SC.shape} and {b_SC.shape}")
    seeds, clusters = a_SC.shape
    d_SC = a_SC - b_SC
    delta = float(d_SC.mean())
    if seeds < 2:
        return _without_test(delta, Kind.UNTESTED, seeds, SINGLE_RUN)
    if seeds < METHOD_SEEDS:  # with two, equal ways would be told apart in one study of ten
        return _without_test(
            delta, Kind.UNTESTED, seeds, f"{seeds} seeds; a paired test needs {METHOD_SEEDS}"
        )
    if clusters < 2:
        return _without_test(delta, Kind.UNTESTED, seeds, "one cluster; how items vary cannot be seen")
    seeds_part, residual = _seed_variance(d_SC), _residual_variance(d_SC)
    items_part = _item_variance(d_SC.mean(axis=0))
    total = _Variance(seeds_part, items_part, residual).total
    if total == 0.0:
        return _without_test(delta, Kind.DEGENERATE, seeds, _what_was_seen(a_SC, b_SC))
    df = _satterthwaite(total, [(seeds_part, seeds - 1), (items_part, clusters - 1)], seeds - 1)
    return _t_test(delta, total**0.5, df, seeds)


@dataclass(frozen=True)
class Parts:
    """What the variance of a difference is computed from.

    Attributes:
        seeds_a, seeds_b: v_A and v_B, variance through the seeds of each model.
        items: v_I, variance through the clusters.
        residual_a, residual_b: r_A and r_B, the seed × cluster interactions, which the others hold twice.
        count_a, count_b: S of each model; clusters: C.
    """

    seeds_a: float
    seeds_b: float
    items: float
    residual_a: float
    residual_b: float
    count_a: int
    count_b: int
    clusters: int

    @property
    def residual(self) -> float:
        """r_A + r_B."""
        return self.residual_a + self.residual_b

    @property
    def total(self) -> float:
        """V, the variance of the difference."""
        return _Variance(self.seeds_a + self.seeds_b, self.items, self.residual).total

    @property
    def df(self) -> float:
        """Degrees of freedom that go with ``total``, which must not be 0."""
        parts = [
            (self.seeds_a, self.count_a - 1),
            (self.seeds_b, self.count_b - 1),
            (self.items, self.clusters - 1),
        ]
        return _satterthwaite(self.total, parts, min(self.count_a, self.count_b) - 1)

    def with_seeds(self, count: int) -> Parts:
        """What would be expected with ``count`` seeds of each model, other things being equal."""
        of_a, of_b = self.count_a / count, self.count_b / count
        residual_a, residual_b = self.residual_a * of_a, self.residual_b * of_b
        return Parts(
            self.seeds_a * of_a,
            self.seeds_b * of_b,
            max(self.items - self.residual, 0.0) + residual_a + residual_b,
            residual_a,
            residual_b,
            count,
            count,
            self.clusters,
        )


def parts_of(a: ArrayLike, b: ArrayLike) -> Parts | None:
    """The parts of the variance of a difference of (S_A, C) and (S_B, C) cluster means.

    None under two seeds of either model or two clusters, where there is nothing to estimate from.
    """
    a_SC, b_SC = _matrix(a), _matrix(b)
    if min(len(a_SC), len(b_SC), a_SC.shape[1]) < 2:
        return None
    return Parts(
        _seed_variance(a_SC),
        _seed_variance(b_SC),
        _item_variance(a_SC.mean(axis=0) - b_SC.mean(axis=0)),
        _residual_variance(a_SC),
        _residual_variance(b_SC),
        len(a_SC),
        len(b_SC),
        a_SC.shape[1],
    )


def _t_test(delta: float, se: float, df: float, seeds: int) -> Difference:
    half = _t_quantile(1 - ALPHA / 2, df) * se
    # A t distribution has no p of 0; only floating point does.
    p = max(2 * float(stats.t.sf(abs(delta) / se, df)), sys.float_info.min)
    note = "" if seeds >= METHOD_SEEDS else f"{seeds} seeds; a claim on methods needs {METHOD_SEEDS} of each"
    return Difference(delta, delta - half, delta + half, p, df, se, Kind.CROSSED, seeds, note)


def _without_test(delta: float, kind: Kind, seeds: int, note: str) -> Difference:
    return Difference(delta, None, None, None, None, None, kind, seeds, note)


def _t_quantile(probability: float, df: float) -> float:
    return float(stats.t.ppf(probability, df))


def _what_was_seen(a_SC: Floats, b_SC: Floats) -> str:
    """Words for a sample without variance, where a p-value would claim a certainty nobody has."""
    low_a, high_a = a_SC.min(), a_SC.max()
    low_b, high_b = b_SC.min(), b_SC.max()
    if low_a == low_b == 1:
        return "both models solved every item in every seed"
    if high_a == high_b == 0:
        return "neither model solved any item in any seed"
    if low_a == 1 and high_b == 0:
        return "A solved every item in every seed, B solved none in any"
    if low_b == 1 and high_a == 0:
        return "B solved every item in every seed, A solved none in any"
    if np.all(a_SC == a_SC[0]) and np.all(b_SC == a_SC[0]):
        return "every seed of A and of B scored the same on every item"
    return "neither the seeds' means nor the items' differences vary; there is no error to estimate"


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


def cell_interval(a: ArrayLike, items: int | None = None) -> CellSummary:
    """Mean and 95 % interval of one model on one task.

    Args:
        a: (S, C) cluster means.
        items: I, where clusters hold several items; C if left out.

    Several seeds: Wilson's interval (1927) for a variance V of the mean and a quantile of its own for each
    part of it. With v_A, v_I and r as in `crossed_test`, z²/n of Wilson's formula becomes h²/(p(1 - p)),
    h² = max(t_A² v_A + t_I² max(v_I - r, 0), t_I² V). t_A has S - 1 degrees of freedom, t_I half as many as
    clusters that are not alike (of those that hold a success, or of those that hold a failure, whichever are
    fewer): a few seeds, or a few rare successes, say little of how much they vary. Neither term in t_I is
    larger than t² p(1 - p)/C with C - 1 degrees of freedom. The simulations of `trm-bench calibrate` are what
    this was made for; docs/statistics.md has their table.
    Where V is 0 the size is C and the degrees of freedom S - 1: repeats that never disagree must not count as
    new items.
    One seed: Wilson's interval over the C clusters, which is too wide rather than too narrow for
    scores between 0 and 1.

    Raises:
        ValueError: ``a`` has no rows or columns, or a score is not within 0 to 1.
    """
    a_SC = _matrix(a)
    S, C = a_SC.shape
    mean = float(a_SC.mean())
    if S == 1:
        low, high = _wilson(mean, float(stats.norm.ppf(1 - ALPHA / 2)) ** 2 / C)
        return CellSummary(mean, low, high, None, S, items or C, C, Kind.CHECKPOINT, SINGLE_RUN)
    ratio, kind = _squared_quantile_over_size(a_SC)
    low, high = _wilson(mean, ratio)
    seed_sd = float(a_SC.mean(axis=1).std(ddof=1))
    note = "" if kind is Kind.CROSSED else f"no variance seen; interval as if {C} items were seen once"
    return CellSummary(mean, low, high, seed_sd, S, items or C, C, kind, note)


def _squared_quantile_over_size(a_SC: Floats) -> tuple[float, Kind]:
    """z²/n of Wilson's interval for several seeds, see `cell_interval`."""
    S, C = a_SC.shape
    t_seeds = _t_quantile(1 - ALPHA / 2, S - 1)
    if C < 2:
        return t_seeds**2 / C, Kind.DEGENERATE
    v_seeds, v_items, residual = (
        _seed_variance(a_SC),
        _item_variance(a_SC.mean(axis=0)),
        _residual_variance(a_SC),
    )
    V = _Variance(v_seeds, v_items, residual).total
    if V == 0.0:
        return t_seeds**2 / C, Kind.DEGENERATE
    t_items = _t_quantile(1 - ALPHA / 2, max(_informative_clusters(a_SC) // 2, 1))
    mean = float(a_SC.mean())
    # No clusters of scores from 0 to 1 vary more than such that are all 0 or 1.
    most = _t_quantile(1 - ALPHA / 2, C - 1) ** 2 * mean * (1 - mean) / C
    items, whole = (min(t_items**2 * part, most) for part in (max(v_items - residual, 0.0), V))
    return max(t_seeds**2 * v_seeds + items, whole) / (mean * (1 - mean)), Kind.CROSSED


def _informative_clusters(a_SC: Floats) -> int:
    """Clusters with a success in any seed, or those with a failure, whichever are fewer."""
    means = a_SC.mean(axis=0)
    return int(min((means > 0).sum(), (means < 1).sum()))


def _wilson(p: float, ratio: float) -> tuple[float, float]:
    """Wilson's score interval (1927, see Brown, Cai and DasGupta 2001) for ``ratio`` = z²/n above 0."""
    shrink = 1 + ratio
    centre = (p + ratio / 2) / shrink
    half = (ratio * p * (1 - p) + ratio**2 / 4) ** 0.5 / shrink
    # Rounding alone could put an end past 0, 1 or the mean.
    return max(min(centre - half, p), 0.0), min(max(centre + half, p), 1.0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values (1979) of one family, in the given order; None stays None.

    An untested pair (None) does not count towards the size of the family.
    """
    from statsmodels.stats.multitest import multipletests  # slow to import, and often not needed

    tested = [p for p in p_values if p is not None]
    if not tested:
        return list(p_values)
    adjusted = iter(multipletests(tested, alpha=ALPHA, method="holm")[1].tolist())
    return [None if p is None else float(next(adjusted)) for p in p_values]


def minimum_detectable(se: float, df: float) -> float:
    """The smallest true difference, 0 to 1, that a design finds with 80 % power at a two-sided 5 %.

    ``se`` and ``df`` are those of a `Difference`: (t_{.975,df} + t_{.80,df}) · se.
    """
    return (_t_quantile(1 - ALPHA / 2, df) + _t_quantile(POWER, df)) * se


def verdict(difference: Difference, holm_p: float | None) -> Verdict:
    """The word for one pair, from the Holm-adjusted p-value.

    Under three seeds of either model the word is never that one is better, whatever the p-value.
    """
    if holm_p is None or difference.kind is not Kind.CROSSED:
        return Verdict.UNTESTED
    if difference.seeds < METHOD_SEEDS or holm_p >= ALPHA:
        return Verdict.UNDECIDED
    return Verdict.A_BETTER if difference.delta > 0 else Verdict.B_BETTER

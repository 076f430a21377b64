"""The interval of one model's score on one task. Shapes as in `scores`."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy import stats

from .rules import ALPHA, SINGLE_RUN, Kind, t_quantile
from .scores import Floats, matrix_of
from .variance import Variance, item_variance, residual_variance, seed_variance


@dataclass(frozen=True)
class ScoreSummary:
    """One model on one task.

    Attributes:
        mean: over seeds and clusters, 0 to 1.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        seed_sd: standard deviation of the seeds' means (ddof 1); None for one seed.
        seeds: S.
        items: I.
        clusters: C.
        kind: ``CROSSED``, ``CHECKPOINT`` (one seed) or ``DEGENERATE`` (no variance).
        note: what a reader must know with the number; empty for a plain crossed interval.
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


def score_interval(a: ArrayLike, items: int | None = None) -> ScoreSummary:
    """Mean and 95 % interval of one model on one task.

    Args:
        a: (S, C) cluster means.
        items: I, where clusters hold several items; C if left out.

    Several seeds: Wilson's interval (1927) for a variance V of the mean and a quantile of its own for each
    part of it. With v_A, v_I and r as in `crossed_test`, z²/n of Wilson's formula becomes h²/(p(1 - p)),
    h² = max(t_A² v_A + t_I² max(v_I - r, 0), t_I² V). t_A has S - 1 degrees of freedom, t_I half as many as
    clusters that are not alike (of those that hold a success, or of those that hold a failure, whichever are
    fewer): a few seeds, or a few rare successes, say little of how much they vary. Neither term in t_I is
    larger than t² p(1 - p)/C with C - 1 degrees of freedom. It was made to hold in the
    simulations of benchmarks/calibrate.py; docs/statistics.md has their table.
    Where V is 0 the size is C and the degrees of freedom C - 1: repeats that never disagree must not count as
    new items.
    One seed: Wilson's interval over the C clusters, which is too wide rather than too narrow for
    scores between 0 and 1.

    Raises:
        ValueError: ``a`` has no rows or columns, or a score is not within 0 to 1.
    """
    a_SC = matrix_of(a)
    S, C = a_SC.shape
    mean = float(a_SC.mean())
    if S == 1:
        low, high = _wilson(mean, float(stats.norm.ppf(1 - ALPHA / 2)) ** 2 / C)
        return ScoreSummary(mean, low, high, None, S, items or C, C, Kind.CHECKPOINT, SINGLE_RUN)
    ratio, kind = _squared_quantile_over_size(a_SC)
    low, high = _wilson(mean, ratio)
    means_S = a_SC.mean(axis=1)
    seed_sd = float(means_S.std(ddof=1)) if means_S.max() > means_S.min() else 0.0  # no rounding
    note = "" if kind is Kind.CROSSED else "one cluster: how puzzles vary is unknown"
    if kind is Kind.DEGENERATE and C > 1:
        counted = f"{C} puzzles" if items in (None, C) else f"{C} clusters of puzzles"
        agree = bool((a_SC == a_SC[0]).all())
        what = (
            "all seeds agree on every puzzle" if agree else "neither the seeds' means nor the puzzles' vary"
        )
        note = f"{what}, so the interval counts the {counted} once"
    return ScoreSummary(mean, low, high, seed_sd, S, items or C, C, kind, note)


def _squared_quantile_over_size(a_SC: Floats) -> tuple[float, Kind]:
    """z²/n of Wilson's interval for several seeds, see `score_interval`."""
    S, C = a_SC.shape
    t_seeds = t_quantile(1 - ALPHA / 2, S - 1)
    if C < 2:
        return t_seeds**2, Kind.DEGENERATE
    v_seeds, v_items, residual = (
        seed_variance(a_SC),
        item_variance(a_SC.mean(axis=0)),
        residual_variance(a_SC),
    )
    V = Variance(v_seeds, v_items, residual).total
    if V == 0.0:
        return t_quantile(1 - ALPHA / 2, C - 1) ** 2 / C, Kind.DEGENERATE
    t_items = t_quantile(1 - ALPHA / 2, max(_informative_clusters(a_SC) // 2, 1))
    mean = float(a_SC.mean())
    # No clusters of scores from 0 to 1 vary more than such that are all 0 or 1.
    most = t_quantile(1 - ALPHA / 2, C - 1) ** 2 * mean * (1 - mean) / C
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

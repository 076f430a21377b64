"""Power of a comparison: the smallest detectable difference, variance shares, and seeds needed.

Shapes: S seeds, C clusters, as in `scores`.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy import stats as distributions

from .rules import ALPHA, POWER, Kind, t_quantile
from .tests import Difference
from .variance import Parts, parts_of

MOST_SEEDS = 1000
"""Seeds per model beyond which more are no advice."""


@dataclass(frozen=True)
class VarianceShares:
    """Shares of the variance of a difference; the three add up to 1.

    Attributes:
        seeds: through the training seeds of both models: more seeds help.
        items: through how the models differ on items: more items help.
        residual: through what a single run makes of an item: more of either helps.
    """

    seeds: float
    items: float
    residual: float

    @property
    def twice_the_seeds(self) -> float:
        """By what share the interval would narrow, 0 to 1."""
        return float(1 - (self.items + (self.seeds + self.residual) / 2) ** 0.5)

    @property
    def twice_the_items(self) -> float:
        """By what share the interval would narrow, 0 to 1."""
        return float(1 - (self.seeds + (self.items + self.residual) / 2) ** 0.5)


def variance_shares(a: ArrayLike, b: ArrayLike) -> VarianceShares | None:
    """Shares of the variance of the difference of (S_A, C) and (S_B, C) cluster means.

    The components of the two-way analysis of variance behind `tests.crossed_test`; one that comes out
    negative counts as 0. None where there are under two seeds or clusters, or nothing varies.
    """
    parts = parts_of(a, b)
    if parts is None:
        return None
    residual = parts.residual
    seeds = max(parts.seeds_a + parts.seeds_b - residual, 0.0)
    items = max(parts.items - residual, 0.0)
    total = seeds + items + residual
    if total <= 0:
        return None
    return VarianceShares(seeds / total, items / total, residual / total)


def seeds_to_see(a: ArrayLike, b: ArrayLike, target: float) -> int | None:
    """How many seeds per model would show a true difference of ``target`` with 80 % power.

    The variances are taken as measured. None where no number of seeds up to `MOST_SEEDS` would, because
    the items alone are too few, or where there is nothing to go by.
    """
    parts = parts_of(a, b)
    if parts is None or target <= 0:
        return None
    low, high = 2, MOST_SEEDS
    if not _sees(parts, high, target):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _sees(parts, middle, target) else (middle + 1, high)
    return low


def _sees(parts: Parts, seeds: int, target: float) -> bool:
    more = parts.with_seeds(seeds)
    variance = more.total
    return variance > 0 and minimum_detectable(variance**0.5, more.df) <= target


@dataclass(frozen=True)
class Equivalence:
    """Whether two models are as good as one another, within a margin.

    Attributes:
        margin: the largest difference that does not matter, 0 to 1, declared before the results.
        p: of the two one-sided tests, the larger one; None where there is no test.
        equivalent: p is below 5 %.
    """

    margin: float
    p: float | None

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown to be smaller than the margin."""
        return self.p is not None and self.p < ALPHA


def equivalence(difference: Difference, margin: float) -> Equivalence:
    """Two one-sided tests (Schuirmann 1987) on the difference, its error and its degrees of freedom.

    Raises:
        ValueError: the margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"a margin of equivalence must be above 0, not {margin}")
    if difference.kind is not Kind.CROSSED or difference.se is None or difference.df is None:
        return Equivalence(margin, None)
    above = distributions.t.sf((difference.delta + margin) / difference.se, difference.df)
    below = distributions.t.sf((margin - difference.delta) / difference.se, difference.df)
    return Equivalence(margin, float(max(above, below)))


def minimum_detectable(se: float, df: float) -> float:
    """The smallest true difference, 0 to 1, that a design finds with 80 % power at a two-sided 5 %.

    ``se`` and ``df`` are those of a `Difference`: (t_{.975,df} + t_{.80,df}) · se.
    """
    return (t_quantile(1 - ALPHA / 2, df) + t_quantile(POWER, df)) * se

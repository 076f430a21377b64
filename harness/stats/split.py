"""The error of a difference of two means, whose parts are each known with degrees of freedom of their own.

A few seeds say little of how much runs vary, many puzzles say well how much puzzles vary. One t distribution
for both, with Satterthwaite's degrees of freedom, finds too much where models scatter unlike each other;
docs/calibration.md has the rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import optimize, special

from .rules import ALPHA, POWER

SMALLEST_P = 1e-80
"""A t distribution has no p of 0; beyond this one its quantiles cannot be computed."""


@dataclass(frozen=True)
class SplitError:
    """Variances of a difference, 0 to 1, and their degrees of freedom.

    Attributes:
        seeds: (variance, degrees of freedom) of each part through seeds: one for both models together where
            they have equally many, else one for each.
        items: variance through the clusters alone, without the residual that the seeds' hold, too.
        whole: V, the variance of the difference.
        items_df: degrees of freedom of the clusters.
    """

    seeds: tuple[tuple[float, float], ...]
    items: float
    whole: float
    items_df: float

    @property
    def se(self) -> float:
        """Standard error of the difference."""
        return math.sqrt(self.whole)

    def half_width(self, alpha: float) -> float:
        """Half of the interval that misses the truth with probability ``alpha``, two-sided.

        h² = max(Σ t² v over the seeds' parts + t_I² v_I, t_I² V), each t for its part's degrees of freedom.
        """
        items = _quantile(self.items_df, alpha) ** 2
        seeds = math.fsum(_quantile(df, alpha) ** 2 * variance for variance, df in self.seeds)
        return math.sqrt(max(seeds + items * self.items, items * self.whole))

    def p(self, distance: float) -> float:
        """The two-sided p of a difference: the ``alpha`` at which half the interval is as long."""
        distance = abs(distance)
        if self.half_width(SMALLEST_P) <= distance:
            return SMALLEST_P
        if self.half_width(1.0) >= distance:
            return 1.0
        found = optimize.brentq(
            lambda log: self.half_width(math.exp(log)) - distance, math.log(SMALLEST_P), 0.0, xtol=1e-13
        )
        return math.exp(found)

    def decidable(self, alpha: float = ALPHA) -> float:
        """The smallest true difference, 0 to 1, that is found at ``alpha`` with 80 % power."""
        return self.half_width(alpha) + self.half_width(2 * (1 - POWER))


def _quantile(df: float, alpha: float) -> float:
    """T that a t distribution exceeds on both sides with probability ``alpha``; 0 for 1."""
    return -float(special.stdtrit(df, alpha / 2))


def pooled(parts: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    """Variances and degrees of freedom as one part (Satterthwaite 1946), with at least the fewest of them."""
    total = math.fsum(variance for variance, _ in parts)
    floor = min(df for _, df in parts)
    if total == 0.0:
        return 0.0, floor
    return total, max(total**2 / math.fsum(variance**2 / df for variance, df in parts), floor)

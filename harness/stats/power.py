"""Power of a comparison: the smallest detectable difference, variance shares, and seeds needed.

Shapes: S seeds, C clusters, as in `scores`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike

from .rules import ALPHA, Kind
from .split import SplitError
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


def narrower(parts: Parts, alpha: float = ALPHA, seeds: int = 1, clusters: int = 1) -> float:
    """By what share the interval at ``alpha`` would narrow with N times the seeds or clusters, 0 to 1.

    The variances are taken as measured; quantiles shrink too, because there are more degrees of freedom. 0
    also where what is left varies so unlike in the two models that there are fewer. The total must not be 0.
    """
    return max(0.0, 1 - parts.times(seeds, clusters).error.half_width(alpha) / parts.error.half_width(alpha))


def seeds_to_see(parts: Parts, target: float, alpha: float = ALPHA) -> int | None:
    """How many seeds per model would show a true difference of ``target`` at ``alpha`` with 80 % power.

    The variances are taken as measured. None where no number of seeds up to `MOST_SEEDS` would, because
    the items alone are too few, or where there is nothing to go by.
    """
    if target <= 0:
        return None
    low, high = 2, MOST_SEEDS
    if not _sees(parts, high, target, alpha):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _sees(parts, middle, target, alpha) else (middle + 1, high)
    return low


def _sees(parts: Parts, seeds: int, target: float, alpha: float) -> bool:
    more = parts.with_seeds(seeds)
    return more.total > 0 and more.error.decidable(alpha) <= target


@dataclass(frozen=True)
class Equivalence:
    """Whether two models are as good as one another, within a margin.

    Attributes:
        margin: the largest difference that does not matter, 0 to 1, declared before the results.
        p: of the two one-sided tests, the larger one; None where there is no test.
        tests: m, tests of equivalence in the family, for which p is multiplied (Bonferroni).
    """

    margin: float
    p: float | None
    tests: int = 1

    @property
    def family_p(self) -> float | None:
        """P adjusted for all tests of the family."""
        return None if self.p is None else min(1.0, self.p * self.tests)

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown to be smaller than the margin, among all tests of the family."""
        return self.family_p is not None and self.family_p < ALPHA


def equivalence(difference: Difference, margin: float) -> Equivalence:
    """Two one-sided tests (Schuirmann 1987) of the difference against either end of the margin.

    Raises:
        ValueError: the margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"a margin of equivalence must be above 0, not {margin}")
    if difference.kind is not Kind.CROSSED or difference.error is None:
        return Equivalence(margin, None)
    inside = margin - abs(difference.delta)
    two_sided = difference.error.p(inside)
    return Equivalence(margin, two_sided / 2 if inside > 0 else 1 - two_sided / 2)


def decidable_from_scatter(seeds: int, tests: int, seed_sd: float, level: float | None = None) -> float:
    """The smallest true difference, 0 to 1, that the first of ``tests`` tests finds with 80 % power.

    Both models have ``seeds`` runs, whose scores have the standard deviation ``seed_sd``; what puzzles add is
    left out. ``level`` of that test is 5 % / ``tests`` where none is given.

    Raises:
        ValueError: under two seeds or one test.
    """
    if seeds < 2 or tests < 1:
        raise ValueError(f"needs two seeds and a test, not {seeds} and {tests}")
    variance = 2 * seed_sd**2 / seeds
    return SplitError(((variance, 2.0 * (seeds - 1)),), 0.0, variance, math.inf).decidable(
        level or ALPHA / tests
    )

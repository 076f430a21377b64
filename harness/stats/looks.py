"""Seeds until decided: looks at fixed numbers of seeds whose tests err in 5 % of the families all together.

Testing again at 5 % after every few seeds more finds differences between equal models in more than 5 % of
studies. Here every look has a smaller level of its own, from an error-spending function; docs/calibration.md
has the rates. The tests are those of `crossed_test`, at each look of all seeds until then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy import optimize
from scipy.stats import norm

from ..api.errors import UsageError
from .rules import ALPHA, METHOD_SEEDS
from .scores import Floats
from .tests import Difference

FEW_SEEDS = 0.85
"""The share of the error that is spent. The levels are exact for normal statistics; p-values of t tests on
few seeds of unlike scatter agree less between looks: at looks of 5, 8 and 10 seeds with all of it spent, two
equal models would be told apart in up to 5.6 % of studies and families of three tests in up to 5.8 %; with
this share in up to 4.8 and 5.0 % (`benchmarks/until_decided.py --t-tests`)."""
_FARTHEST = 38.0
"""The normal distribution has no smaller p in double precision."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)


@dataclass(frozen=True)
class Plan:
    """When to look at the results, fixed before the first one.

    Attributes:
        seeds: of each model at each look, rising.
        alpha: error of the whole family over all looks, two-sided.

    Raises:
        UsageError: the looks do not rise, begin under three seeds, or ``alpha`` is no error rate.
    """

    seeds: tuple[int, ...] = (5, 8, 10)
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        looks = self.seeds
        if not looks or looks[0] < METHOD_SEEDS or any(a >= b for a, b in pairwise(looks)):
            raise UsageError(
                f"looks at {list(looks)} seeds: numbers of seeds must rise and begin with {METHOD_SEEDS} or "
                "more, such as 5, 8, 10"
            )
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha={self.alpha} must lie between 0 and 1")

    def level(self, look: int, tests: int = 1) -> float:
        """The level of a p-value at a look while N tests of the family are undecided.

        The error ``alpha / tests``, or `FEW_SEEDS` of it, is spent as α*(t) = 2 - 2 Φ(z_{a/2} / √t) on each
        side, a being half of it and t = seeds / most seeds (Lan & DeMets 1983): little at first, most at the
        end, much like O'Brien & Fleming (1979). Where puzzles, the same at each look, add to the error, the
        looks agree more than assumed, and err less.

        Args:
            look: 0 for the first.
            tests: not yet decided, this one included.

        Raises:
            ValueError: there is no such look, or no test.
        """
        if not 0 <= look < len(self.seeds) or tests < 1:
            raise ValueError(f"look {look} of {len(self.seeds)} with {tests} tests")
        return _levels(self.seeds, self.alpha * FEW_SEEDS / tests)[look]


@dataclass(frozen=True)
class Decision:
    """What became of one test of a family.

    Attributes:
        decided: whether it found a difference.
        look: at which it did, 0 for the first; the last one made, if it found none.
        seeds: of each model at that look.
        tests: undecided when this one was made, itself included: Holm's step.
        level: of this test. The interval of the same runs at this level, `Difference.error.half_width`,
            excludes 0 exactly where ``decided``.
    """

    decided: bool
    look: int
    seeds: int
    tests: int
    level: float


def decide(plan: Plan, p_values: Sequence[Sequence[float | None]]) -> list[Decision]:
    """Holm's procedure (1979) over a family of tests and over the looks made so far.

    At each look the smallest p of the N undecided tests is held to ``plan.level(look, N)``; if it is below,
    that test is decided, N falls by one and the next smallest follows, and what is decided stays decided.

    The family error holds (Maurer & Bretz 2013): until a true hypothesis is rejected, all T true ones are
    among the N undecided, so that the first false rejection has p < ``level(look, T)``: levels fall with N.
    Each of the T does so at some look with probability ``alpha / T`` at most, any of them with ``alpha``.

    Args:
        plan: fixed before the first look.
        p_values: of each look that was made, of each test, unadjusted; None where there was no test, which
            decides nothing and counts in the family: it may become one.

    Returns:
        One for each test, in the given order. The study is over when all are decided, or with the last look.

    Raises:
        ValueError: there is no look, there are more than planned, or they are not of the same tests.
    """
    if not 0 < len(p_values) <= len(plan.seeds):
        raise ValueError(f"{len(p_values)} looks were made of {len(plan.seeds)} planned")
    if len({len(of_look) for of_look in p_values}) > 1:
        raise ValueError(f"every look has the same tests, not {[len(of_look) for of_look in p_values]}")
    decisions: dict[int, Decision] = {}
    for look, of_look in enumerate(p_values):
        left = [test for test in range(len(of_look)) if test not in decisions]
        decisions |= _decided(plan, look, {test: of_look[test] for test in left})
    last = len(p_values) - 1
    open_tests = len(p_values[-1]) - len(decisions)
    for test in range(len(p_values[-1])):
        decisions.setdefault(test, _decision(plan, False, last, open_tests))
    return [decisions[test] for test in range(len(p_values[-1]))]


def interval(difference: Difference, decision: Decision) -> tuple[float, float] | None:
    """Ends of a repeated confidence interval (Jennison & Turnbull 1989) for the runs of the decision's look.

    It holds the true difference with 95 % at least, whatever made the study stop: any of the intervals at
    ``plan.level(look)`` misses it with 5 % over all looks, and Holm's steps only make them longer. None where
    there is no test.
    """
    if difference.error is None:
        return None
    half = difference.error.half_width(decision.level)
    return difference.delta - half, difference.delta + half


def _decided(plan: Plan, look: int, p_values: dict[int, float | None]) -> dict[int, Decision]:
    """The tests that one look decides, among those that are undecided."""
    found: dict[int, Decision] = {}
    tested = [(p, test) for test, p in p_values.items() if p is not None]
    for p, test in sorted(tested):
        decision = _decision(plan, True, look, len(p_values) - len(found))
        if p >= decision.level:
            break
        found[test] = decision
    return found


def _decision(plan: Plan, decided: bool, look: int, tests: int) -> Decision:
    return Decision(decided, look, plan.seeds[look], tests, plan.level(look, max(tests, 1)))


@dataclass(frozen=True)
class _Inside:
    """A normal process with unit variance at time 1, as long as it has stayed within the bounds.

    Attributes:
        time: 0 to 1.
        points: (N,) values it may have.
        mass: (N,) their probability, as weights of a quadrature.
    """

    time: float
    points: Floats
    mass: Floats

    def leaving(self, z: float, time: float) -> float:
        """The probability that it is beyond ±z standard deviations at a later time, but was never before."""
        step, edge = math.sqrt(time - self.time), z * math.sqrt(time)
        outside = norm.sf((edge - self.points) / step) + norm.cdf((-edge - self.points) / step)
        return float(self.mass @ outside)

    def after(self, z: float, time: float) -> _Inside:
        """The process at a later time, within ±z standard deviations there."""
        step, edge = math.sqrt(time - self.time), z * math.sqrt(time)
        density = norm.pdf((edge * _NODES - self.points[:, None]) / step) / step
        return _Inside(time, edge * _NODES, edge * _WEIGHTS * (self.mass @ density))


@lru_cache(maxsize=256)
def _levels(seeds: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """Nominal two-sided levels, one per look, that spend ``alpha``: recursion by quadrature, as usual.

    Source: Armitage, McPherson & Rowe 1969; Jennison & Turnbull 2000, chapter 19.
    """
    inside = _Inside(0.0, np.zeros(1), np.ones(1))
    spent = 0.0
    levels = []
    for count in seeds:
        time = count / seeds[-1]
        total = float(4 * norm.sf(norm.isf(alpha / 4) / math.sqrt(time)))
        bound = _bound(inside, time, total - spent)
        inside, spent = inside.after(bound, time), total
        levels.append(float(2 * norm.sf(bound)))
    return tuple(levels)


def _bound(inside: _Inside, time: float, share: float) -> float:
    """The z that the process leaves at a time with probability ``share``."""
    return float(optimize.brentq(lambda z: inside.leaving(z, time) - share, 0.0, _FARTHEST, xtol=1e-12))

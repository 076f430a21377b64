"""Variances of mean scores: through seeds, through clusters, and their interaction. Shapes as in `scores`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .scores import Floats, matrix_of
from .split import SplitError, pooled

_NO_VARIANCE = 1e-24
"""Squared rounding error of means of numbers up to 1. One of 2·10⁶ scores that differs gives 10⁻¹³."""


@dataclass(frozen=True)
class Variance:
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


def seed_variance(a_SC: Floats) -> float:
    """v_A, variance of the mean through its seeds."""
    return float(a_SC.mean(axis=1).var(ddof=1)) / len(a_SC)


def item_variance(a_C: Floats) -> float:
    """v_I, variance of the mean through its clusters."""
    return float(a_C.var(ddof=1)) / len(a_C)


def residual_variance(a_SC: Floats) -> float:
    """r_A, the seed × cluster interaction that v_A and v_I both hold."""
    S, C = a_SC.shape
    rest = a_SC - a_SC.mean(axis=1, keepdims=True) - a_SC.mean(axis=0) + a_SC.mean()
    return float(np.square(rest).sum() / ((S - 1) * (C - 1)) / (S * C))


def _shrunk(variance: float, residual: float, alone: float, both: float) -> float:
    """A part that holds some residual, where that shrinks ``both`` times and the rest ``alone`` times."""
    held = min(variance, residual)
    return (variance - held) / alone + held / both


@dataclass(frozen=True)
class Parts:
    """Mean squares, from which the variance of a difference is computed.

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
        return Variance(self.seeds_a + self.seeds_b, self.items, self.residual).total

    @property
    def error(self) -> SplitError:
        """The error of the difference; ``total`` must not be 0."""
        seeds = ((self.seeds_a, self.count_a - 1.0), (self.seeds_b, self.count_b - 1.0))
        return SplitError(
            (pooled(seeds),) if self.count_a == self.count_b else seeds,
            max(self.items - self.residual, 0.0),
            self.total,
            self.clusters - 1.0,
        )

    def times(self, seeds: int = 1, clusters: int = 1) -> Parts:
        """The variance expected with N times the seeds of each model, or the clusters."""
        both = seeds * clusters
        rest_a, rest_b, rest = self.residual_a, self.residual_b, self.residual
        return Parts(
            _shrunk(self.seeds_a, rest_a, seeds, both),
            _shrunk(self.seeds_b, rest_b, seeds, both),
            _shrunk(self.items, rest, clusters, both),
            rest_a / both,
            rest_b / both,
            self.count_a * seeds,
            self.count_b * seeds,
            self.clusters * clusters,
        )

    def with_seeds(self, count: int) -> Parts:
        """The variance expected with ``count`` seeds of each model, other things being equal."""
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
    a_SC, b_SC = matrix_of(a), matrix_of(b)
    if min(len(a_SC), len(b_SC), a_SC.shape[1]) < 2:
        return None
    return Parts(
        seed_variance(a_SC),
        seed_variance(b_SC),
        item_variance(a_SC.mean(axis=0) - b_SC.mean(axis=0)),
        residual_variance(a_SC),
        residual_variance(b_SC),
        len(a_SC),
        len(b_SC),
        a_SC.shape[1],
    )

"""How often the crossed test errs where studies are less even than in `calibrate`: `docs/calibration.md`.

    python benchmarks/hard_designs.py [--studies 12000] [--jobs N] [--json]

Two equal methods whose runs scatter unlike each other, that have unequally many seeds, or whose runs are
skewed or of two kinds; and families of several models under Holm's adjustment. Every difference found is a
false one.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations
from multiprocessing import get_context
from typing import Literal

import numpy as np
from calibrate import CLUSTER_SD, METHOD_SD, RUN_SD, _at_least, _mean
from numpy.typing import NDArray
from scipy.special import expit
from tabulate import tabulate
from trm_bench.harness.api.randomness import named_seed
from trm_bench.harness.stats.rules import ALPHA
from trm_bench.harness.stats.scores import Floats
from trm_bench.harness.stats.tests import crossed_test, holm

SPREAD = (CLUSTER_SD**2 + METHOD_SD**2 + RUN_SD**2) ** 0.5
STRICT = ALPHA / 20
"""The level of the first of twenty tests under Holm."""
ACCURACY = 0.5
ITEMS = 400
COLLAPSE = 0.25
"""The share of runs that collapse, where runs are of two kinds."""


@dataclass(frozen=True)
class Side:
    """The runs of one model.

    Attributes:
        seeds: how many.
        sd: standard deviation of a run's true accuracy, 0 to 1.
        shape: ``normal``; ``skewed``, with an exponential tail below; ``two kinds``, of which one run in four
            is far worse than the others.
    """

    seeds: int
    sd: float = 0.05
    shape: Literal["normal", "skewed", "two kinds"] = "normal"

    def accuracies(self, random: np.random.Generator) -> Floats:
        """The true accuracies (S,) of its runs, whose mean is `ACCURACY`."""
        if self.shape == "two kinds":
            bad = random.random(self.seeds) < COLLAPSE
            step = self.sd / (COLLAPSE * (1 - COLLAPSE)) ** 0.5
            drawn = np.where(bad, -(1 - COLLAPSE) * step, COLLAPSE * step)
        elif self.shape == "skewed":
            drawn = self.sd * (1 - random.exponential(size=self.seeds))
        else:
            drawn = self.sd * random.normal(size=self.seeds)
        return np.clip(ACCURACY + drawn, 0.001, 0.999)

    def __str__(self) -> str:
        return f"{self.seeds} seeds, SD {100 * self.sd:g}" + (
            "" if self.shape == "normal" else f", {self.shape}"
        )


@lru_cache(maxsize=1)
def _locations() -> tuple[Floats, Floats]:
    """Accuracies and the logits that give them."""
    logits = np.linspace(-30, 30, 4001)
    return np.array([_mean(float(at), SPREAD) for at in logits]), logits


def runs(side: Side, shared: NDArray[np.float64], random: np.random.Generator) -> Floats:
    """Scores (S, I) of one model on items whose difficulty (I,) all models share."""
    location = np.interp(side.accuracies(random), *_locations())
    own = shared + random.normal(0, METHOD_SD, len(shared))
    chance = expit(location[:, None] + own + random.normal(0, RUN_SD, (side.seeds, len(shared))))
    return (random.random(chance.shape) < chance).astype(np.float64)


@dataclass(frozen=True)
class Family:
    """Models that are compared pair by pair; two of them are one test.

    Attributes:
        name: what is hard about it.
        sides: the models.
        scatter: logarithmic standard deviation of the factor by which each model's SD is multiplied, drawn
            again in every study.
    """

    name: str
    sides: tuple[Side, ...]
    scatter: float = 0.0


@dataclass(frozen=True)
class Errors:
    """Shares of studies with a false difference at 5 %, and at 5 % / 20 for a single test (else None)."""

    family: Family
    error: float
    strict: float | None
    studies: int


def errors(family: Family, studies: int) -> Errors:
    """Simulate studies of a family of equal models."""
    random = np.random.default_rng(named_seed("hard designs", family))
    found = strict = 0
    for _ in range(studies):
        shared = random.normal(0, CLUSTER_SD, ITEMS)
        factors = np.exp(random.normal(0, family.scatter, len(family.sides)))
        drawn = [
            Side(side.seeds, min(side.sd * float(factor), 0.25), side.shape)
            for side, factor in zip(family.sides, factors, strict=True)
        ]
        scores = [runs(side, shared, random) for side in drawn]
        p_values = [crossed_test(a, b).p for a, b in combinations(scores, 2)]
        smallest = min((p for p in holm(p_values) if p is not None), default=1.0)
        found += smallest < ALPHA
        strict += smallest < STRICT
    return Errors(family, found / studies, strict / studies if len(family.sides) == 2 else None, studies)


def families() -> list[Family]:
    """Every hard design that the report is held to or warns about."""
    listed = [Family("equal", (Side(seeds), Side(seeds))) for seeds in (3, 5, 8, 10)]
    listed += [
        Family("unlike scatter", (Side(seeds, 0.0), Side(seeds, sd)))
        for seeds in (3, 5, 8)
        for sd in (0.05, 0.15)
    ]
    listed += [
        Family("unequal seeds", (Side(few, sd), Side(10, other)))
        for few in (3, 5)
        for sd, other in ((0.05, 0.05), (0.15, 0.0), (0.0, 0.15))
    ]
    unlike = (0.0, 0.02, 0.05, 0.1, 0.15)
    for seeds in (3, 5, 8):
        listed += [
            Family("five models, unlike scatter", tuple(Side(seeds, sd) for sd in unlike)),
            Family("five models, log-normal scatter", (Side(seeds),) * 5, scatter=1.0),
        ]
    listed += [
        Family(shape, (Side(seeds, 0.0), Side(seeds, 0.1, shape)))
        for shape in ("skewed", "two kinds")
        for seeds in (3, 5, 8, 10)
    ]
    return listed


def table(found: Sequence[Errors]) -> str:
    """The rates as a Markdown table, in percent."""
    rows = [
        [
            one.family.name,
            " v ".join(dict.fromkeys(map(str, one.family.sides))),
            f"{100 * one.error:.1f}",
            "" if one.strict is None else f"{100 * one.strict:.2f}",
        ]
        for one in found
    ]
    headers = ["design", "models", "found at 5 %", "found at 0.25 %"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def rates_of(wanted: Sequence[Family], studies: int, jobs: int | None) -> list[Errors]:
    """The rates of every design, several designs at a time."""
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(errors, wanted, [studies] * len(wanted)))


def main(words: Sequence[str] | None = None) -> None:
    """Simulate, and print the table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=_at_least(20), default=12_000, help="studies of each design")
    parser.add_argument("--jobs", type=_at_least(1), help="processes; one per core by default")
    parser.add_argument("--json", action="store_true", help="print the rates as JSON, 0 to 1")
    given = parser.parse_args(words)
    found = rates_of(families(), given.studies, given.jobs)
    print(json.dumps([asdict(one) for one in found], indent=1) if given.json else table(found))


if __name__ == "__main__":
    main()

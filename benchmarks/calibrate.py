"""Are the report's statistics honest? Simulated studies of known truth: `docs/calibration.md`.

    python benchmarks/calibrate.py [--studies 1000] [--quick] [--gain 6.4] [--jobs N] [--json]

A study is drawn from a random-effects logit model: training seeds, clusters, items within clusters, and
what a method makes of an item all vary. Two methods are drawn alike, so that every difference found is
a false one; the truth of a single method's accuracy is known by quadrature.

Prints a Markdown table: false positives at a nominal 5 % of the crossed test and of what papers use instead,
how often the 95 % intervals hold the truth, and the power for a true difference.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions
from scipy.special import expit
from tabulate import tabulate
from trm_bench.harness.api.randomness import named_seed
from trm_bench.harness.stats.interval import score_interval
from trm_bench.harness.stats.rules import ALPHA, Kind
from trm_bench.harness.stats.scores import Floats, cluster_means
from trm_bench.harness.stats.tests import crossed_test, mcnemar

CLUSTER_SD, ITEM_SD, METHOD_SD, RUN_SD = 2.0, 1.0, 1.0, 1.0
"""Logit standard deviations: of clusters, of items within a cluster of several, of what a method makes of a
cluster, and of what a single run makes of an item. Most items are then nearly sure or nearly hopeless, as
in the puzzles that this harness is for."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Design:
    """A study that could be run.

    Attributes:
        seeds: training runs of each model.
        items: test items.
        cluster: mean number of items in a cluster; above 1 the sizes vary from 1 to twice that, less one.
        accuracy: of both models, over all seeds and items there could be.
        seed_sd: standard deviation of a run's true accuracy, 0 to 1; at most half of what the accuracy
            leaves to either side.
        gain: by how much the first model is truly nearer to one half.
    """

    seeds: int
    items: int
    cluster: int = 1
    accuracy: float = 0.5
    seed_sd: float = 0.025
    gain: float = 0.0

    @property
    def possible_seed_sd(self) -> float:
        """``seed_sd``, or what the accuracy leaves room for."""
        return min(self.seed_sd, 0.5 * min(self.accuracy, 1 - self.accuracy))

    def __str__(self) -> str:
        clusters = f" in clusters of {self.cluster}" if self.cluster > 1 else ""
        return (
            f"{self.seeds} seeds, {self.items} items{clusters}, accuracy {100 * self.accuracy:g} %, "
            f"seed SD {100 * self.possible_seed_sd:.2g}"
        )


def _mean(location: float, spread: float) -> float:
    """E of the logistic of a normal."""
    return float(_WEIGHTS @ expit(location + spread * _NODES))


def _bisect(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return (low + high) / 2


@lru_cache(maxsize=512)
def _effects(accuracy: float, seed_sd: float, spread: float) -> tuple[float, float]:
    """Location and seed standard deviation in logits that give an accuracy and a seed SD."""

    def location_of(seed: float) -> float:
        return _bisect(lambda at: _mean(at, (spread**2 + seed**2) ** 0.5) - accuracy, -40, 40)

    def spread_of_runs(seed: float) -> float:
        at = location_of(seed)
        runs = np.array([_mean(at + seed * node, spread) for node in _NODES])
        return float(np.sqrt(_WEIGHTS @ (runs - _WEIGHTS @ runs) ** 2))

    seed = _bisect(lambda value: spread_of_runs(value) - seed_sd, 0, 20) if seed_sd else 0.0
    return location_of(seed), seed


@dataclass(frozen=True)
class Simulated:
    """One simulated study: scores (S, I) of two methods, and the cluster of each item."""

    a: Floats
    b: Floats
    clusters: NDArray[np.str_]


def simulate(design: Design, random: np.random.Generator) -> Simulated:
    """Draw the runs of two methods on one test set."""
    sizes = _cluster_sizes(design, random)
    where = np.repeat(np.arange(len(sizes)), sizes)
    item_sd = ITEM_SD if design.cluster > 1 else 0.0
    shared = random.normal(0, CLUSTER_SD, len(sizes))[where] + random.normal(0, item_sd, len(where))
    spread = (CLUSTER_SD**2 + item_sd**2 + METHOD_SD**2 + RUN_SD**2) ** 0.5

    def runs(accuracy: float) -> Floats:
        location, seed_sd = _effects(accuracy, design.possible_seed_sd, spread)
        own = shared + random.normal(0, METHOD_SD, len(sizes))[where]
        seeds = random.normal(0, 1, (design.seeds, 1)) * seed_sd
        single = random.normal(0, RUN_SD, (design.seeds, len(where)))
        chance = expit(location + own + seeds + single)
        return (random.random(chance.shape) < chance).astype(np.float64)

    names = np.char.add("c", where.astype(np.str_))
    gain = design.gain if design.accuracy <= 0.5 else -design.gain
    return Simulated(runs(design.accuracy + gain), runs(design.accuracy), names)


def _cluster_sizes(design: Design, random: np.random.Generator) -> NDArray[np.int64]:
    if design.cluster == 1:
        return np.ones(design.items, np.int64)
    sizes: list[int] = []
    while sum(sizes) < design.items:
        sizes.append(int(random.integers(1, 2 * design.cluster)))
    sizes[-1] -= sum(sizes) - design.items
    return np.array(sizes, np.int64)


@dataclass(frozen=True)
class Rates:
    """How often the methods of analysis found something, over simulated studies of one design.

    Attributes:
        false_positives: by method of analysis, p below 5 % though both models are equal.
        coverage: share of one model's 95 % intervals that hold its true accuracy.
        difference_coverage: share of the intervals of the difference that hold the true one; a study without
            any variance, in `untested`, states no interval and counts as holding it.
        untested: studies in which the crossed test had no variance to go by.
        power: share of p below 5 % in studies whose first model is truly better.
        studies: how many were simulated for each.
    """

    design: Design
    false_positives: dict[str, float]
    coverage: float
    difference_coverage: float
    untested: float
    power: float
    studies: int


CROSSED, POOLED, ONE_SEED, WELCH, SEEDS_ONLY = (
    "crossed test",
    "McNemar, pooled",
    "McNemar, one seed",
    "Welch on seed means",
    "bootstrap over seeds",
)
METHODS = (CROSSED, ONE_SEED, POOLED, SEEDS_ONLY, WELCH)
_BOOTSTRAPS = 400


def judge(design: Design, studies: int, gain: float, rivals: bool = True) -> Rates:
    """Simulate ``studies`` null studies, and as many with a true ``gain``.

    ``rivals`` analyses the null studies by the usual wrong methods, too.
    """
    random = np.random.default_rng(named_seed("calibration", design))
    found: dict[str, list[float]] = {name: [] for name in (METHODS if rivals else (CROSSED,))}
    covered: list[bool] = []
    held: list[bool] = []
    untested = 0
    for _ in range(studies):
        study = simulate(design, random)
        a, b = cluster_means(study.a, study.clusters), cluster_means(study.b, study.clusters)
        test = crossed_test(a, b)
        untested += test.kind is not Kind.CROSSED
        found[CROSSED].append(1.0 if test.p is None else test.p)
        held.append(test.low is None or test.high is None or test.low <= 0 <= test.high)
        for one in (a, b):
            interval = score_interval(one)
            covered.append(interval.low <= design.accuracy <= interval.high)
        if rivals:
            for name, p in _rivals(study, random):
                found[name].append(p)
    better = Design(design.seeds, design.items, design.cluster, design.accuracy, design.seed_sd, gain)
    powers = [_p(simulate(better, random)) < ALPHA for _ in range(studies if gain else 0)]
    return Rates(
        design,
        {name: float(np.mean(np.array(ps) < ALPHA)) for name, ps in found.items()},
        float(np.mean(covered)),
        float(np.mean(held)),
        untested / studies,
        float(np.mean(powers)) if powers else 0.0,
        studies,
    )


def _p(study: Simulated) -> float:
    p = crossed_test(cluster_means(study.a, study.clusters), cluster_means(study.b, study.clusters)).p
    return 1.0 if p is None else p


def _rivals(study: Simulated, random: np.random.Generator) -> Iterator[tuple[str, float]]:
    """P-values of the analyses that papers use on such data."""
    yield ONE_SEED, mcnemar(study.a[0], study.b[0]).p
    yield POOLED, mcnemar(study.a.ravel(), study.b.ravel()).p
    means_a, means_b = study.a.mean(axis=1), study.b.mean(axis=1)
    if means_a.var() + means_b.var() == 0:
        same = 1.0 if means_a[0] == means_b[0] else 0.0
        yield WELCH, same
        yield SEEDS_ONLY, same
        return
    yield WELCH, float(distributions.ttest_ind(means_a, means_b, equal_var=False).pvalue)
    picks = random.integers(0, len(means_a), (2, _BOOTSTRAPS, len(means_a)))
    differences = means_a[picks[0]].mean(axis=1) - means_b[picks[1]].mean(axis=1)
    tail = min(float((differences <= 0).mean()), float((differences >= 0).mean()))
    yield SEEDS_ONLY, min(1.0, 2 * tail)


def designs(full: bool = True) -> Sequence[Design]:
    """The studies that the calibration is about; the short list is for a quick look."""
    if not full:
        return [Design(3, 400), Design(5, 400, seed_sd=0.05), Design(5, 400, cluster=4)]
    grid = [
        Design(seeds, items, cluster, accuracy, seed_sd)
        for seeds in (2, 3, 5, 10)
        for items, cluster in ((120, 1), (400, 1), (1000, 1), (400, 4))
        for accuracy in (0.01, 0.1, 0.5, 0.9, 0.99)
        for seed_sd in (0.0, 0.025, 0.05)
    ]
    distinct = {(d.seeds, d.items, d.cluster, d.accuracy, d.possible_seed_sd): d for d in grid}
    return list(distinct.values())


def rates_of(wanted: Sequence[Design], studies: int, gain: float, jobs: int | None) -> list[Rates]:
    """The rates of every design, several designs at a time."""
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(judge, wanted, [studies] * len(wanted), [gain] * len(wanted)))


def table(rates: Sequence[Rates], gain: float) -> str:
    """The rates as a Markdown table, in percent."""
    headers = ["design", *METHODS, "score intervals", "difference intervals", f"power at {gain:g}"]
    rows = [
        [
            str(one.design),
            *(f"{100 * one.false_positives[name]:.1f}" for name in METHODS),
            f"{100 * one.coverage:.1f}",
            f"{100 * one.difference_coverage:.1f}",
            f"{100 * one.power:.0f}",
        ]
        for one in rates
    ]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, not {text}")
        return int(text)

    return number


def main(words: Sequence[str] | None = None) -> None:
    """Simulate, and print the table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=_at_least(20), default=1000, help="studies of each design")
    parser.add_argument("--quick", action="store_true", help="three designs instead of all")
    parser.add_argument("--gain", type=float, default=6.4, help="true difference for the power, points")
    parser.add_argument("--jobs", type=_at_least(1), help="processes; one per core by default")
    parser.add_argument("--json", action="store_true", help="print the rates as JSON, 0 to 1")
    given = parser.parse_args(words)
    rates = rates_of(designs(full=not given.quick), given.studies, given.gain / 100, given.jobs)
    print(json.dumps([asdict(one) for one in rates], indent=1) if given.json else table(rates, given.gain))


if __name__ == "__main__":
    main()

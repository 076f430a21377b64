"""What looking at 5, 8 and 10 seeds costs in errors and saves in runs: `docs/calibration.md`.

    python benchmarks/until_decided.py [--studies 4000] [--jobs N] [--json | --t-tests]

Families of models are tested at three looks, whose runs contain those of the look before: at 5 % every time
(naive), by `stats.looks` (plan), and at the last look alone (fixed ten). Among equal models every difference
found is a false one; among others those that are there should be found.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import combinations
from multiprocessing import get_context

import numpy as np
from calibrate import CLUSTER_SD, _at_least
from hard_designs import ITEMS, Family, Side, runs
from scipy.special import stdtr
from tabulate import tabulate
from trm_bench.harness.api.randomness import named_seed
from trm_bench.harness.stats.looks import FEW_SEEDS, Plan, decide, interval
from trm_bench.harness.stats.rules import ALPHA
from trm_bench.harness.stats.scores import Floats
from trm_bench.harness.stats.tests import Difference, crossed_test, holm

PLAN = Plan()
MOST = PLAN.seeds[-1]
BATCH = 50_000
"""Studies of t tests that are drawn at a time."""
RATIOS = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.0)
"""Of the standard deviations of two models, for t tests."""


@dataclass(frozen=True)
class Better(Side):
    """Runs whose true accuracies have a mean of one half plus ``gain``, 0 to 1."""

    gain: float = 0.0

    def accuracies(self, random: np.random.Generator) -> Floats:
        """The true accuracies (S,) of its runs."""
        return np.clip(super().accuracies(random) + self.gain, 0.001, 0.999)


@dataclass(frozen=True)
class Study:
    """A family of models and its tests.

    Attributes:
        family: the models; each has the seeds of the last look.
        baseline: whether the first is compared with each of the others, or else all pairs.
    """

    family: Family
    baseline: bool = False

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The models of each test."""
        return [
            pair for pair in combinations(range(len(self.family.sides)), 2) if not (self.baseline and pair[0])
        ]

    @property
    def truths(self) -> list[float]:
        """The true difference of each test."""
        gains = [side.gain if isinstance(side, Better) else 0.0 for side in self.family.sides]
        return [gains[a] - gains[b] for a, b in self.pairs]


@dataclass(frozen=True)
class Rates:
    """What was found over simulated studies; shares are 0 to 1.

    Attributes:
        naive, planned, fixed: shares of studies with a false difference; None where all are true.
        power, fixed_power: shares of the true differences that were found by the plan and with all seeds;
            None where there is none.
        seeds: mean number of runs of each model until the plan's study was over.
        coverage: share of the repeated confidence intervals that hold the true difference; one that does not
            exist counts as if it did.
    """

    study: Study
    naive: float | None
    planned: float | None
    fixed: float | None
    power: float | None
    fixed_power: float | None
    seeds: float
    coverage: float
    studies: int


def looks_at(study: Study, random: np.random.Generator) -> list[list[Difference]]:
    """Simulate one study: every test (T) at every look."""
    shared = random.normal(0, CLUSTER_SD, ITEMS)
    scores = [runs(side, shared, random) for side in study.family.sides]
    return [
        [crossed_test(scores[a][:seeds], scores[b][:seeds]) for a, b in study.pairs] for seeds in PLAN.seeds
    ]


def rates(study: Study, studies: int) -> Rates:
    """Simulate studies of one design."""
    random = np.random.default_rng(named_seed("until decided", study))
    truths = np.array(study.truths)
    true = np.array(truths != 0)
    false = ~true
    errors, powers = np.zeros(3), np.zeros(2)
    seeds, covered = 0, 0
    for _ in range(studies):
        looks = looks_at(study, random)
        p_values = [[test.p for test in look] for look in looks]
        at_five = np.array([[p is not None and p < ALPHA for p in holm(look)] for look in p_values])
        decisions = decide(PLAN, p_values)
        found = np.array([one.decided for one in decisions])
        at_any = np.array([column.any() for column in at_five.T])
        errors += [method[false].any() for method in (at_any, found, at_five[-1])]
        powers += [found[true].sum(), at_five[-1][true].sum()]
        seeds += max(one.seeds for one in decisions)
        ends = [interval(looks[one.look][test], one) for test, one in enumerate(decisions)]
        covered += sum(
            end is None or end[0] <= truth <= end[1] for end, truth in zip(ends, truths, strict=True)
        )
    naive, planned, fixed = (errors / studies).tolist() if false.any() else (None, None, None)
    powers /= studies * max(true.sum(), 1)
    power, fixed_power = powers.tolist() if true.any() else (None, None)
    coverage = float(covered / studies / len(truths))
    return Rates(study, naive, planned, fixed, power, fixed_power, seeds / studies, coverage, studies)


def designs() -> list[Study]:
    """Equal models, also of unlike scatter, then true differences."""

    def family(name: str, *gains: float, sd: float = 0.05, baseline: bool = False) -> Study:
        return Study(Family(name, tuple(Better(MOST, sd, gain=gain) for gain in gains)), baseline)

    listed: list[Study] = []
    for sd in (0.0, 0.025, 0.05, 0.1):
        listed += [
            family("two equal", 0, 0, sd=sd),
            family("three equal", 0, 0, 0, sd=sd),
            family("baseline, three equal to it", 0, 0, 0, 0, sd=sd, baseline=True),
        ]
    for sds, baseline in (
        ((0.0, 0.05), False),
        ((0.0, 0.1), False),
        ((0.0, 0.05, 0.1), False),
        ((0.1, 0.0, 0.025, 0.05), True),
        ((0.0, 0.025, 0.05, 0.1), True),
    ):
        name = {2: "two equal", 3: "three equal", 4: "baseline, three equal to it"}[len(sds)]
        listed.append(Study(Family(name, tuple(Side(MOST, sd) for sd in sds)), baseline))
    for gain in (0.05, 0.1, 0.2):
        listed += [family("two", 0, gain, sd=sd) for sd in (0.025, 0.05, 0.1)]
        listed += [
            family("three, each better than the last", -gain, 0, gain),
            family("three, one of them better", 0, 0, gain),
            family("baseline, three better", 0, gain, gain, gain, baseline=True),
            family("baseline, one of three better", 0, 0, 0, gain, baseline=True),
        ]
    return listed


def table(found: Sequence[Rates]) -> str:
    """The rates as a Markdown table: percent, and runs of each model."""

    def percent(share: float | None) -> str:
        return "" if share is None else f"{100 * share:.1f}"

    rows = [
        [
            one.study.family.name,
            " / ".join(dict.fromkeys(f"{100 * side.sd:g}" for side in one.study.family.sides)),
            f"{100 * min((abs(truth) for truth in one.study.truths if truth), default=0):g}",
            *map(percent, (one.naive, one.planned, one.fixed, one.power, one.fixed_power)),
            f"{one.seeds:.1f}",
            percent(one.coverage),
        ]
        for one in found
    ]
    headers = ["models", "seed SD", "gain", "false: naive", "plan", "fixed ten", "found: plan", "fixed ten"]
    headers += ["runs per model", "intervals hold"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def t_error(ratio: float, tests: int, alpha: float, studies: int) -> float:
    """The most that N t tests of normal scores without puzzles can err in a plan of this ``alpha``.

    Args:
        ratio: of the standard deviations of two equal models.
        tests: N; each is tested as the first of them.
        alpha: of the plan, of which `FEW_SEEDS` is spent.
        studies: how many to draw, rounded up to a multiple of `BATCH`.
    """
    random = np.random.default_rng(named_seed("t tests until decided", ratio))
    batches = -(-studies // BATCH)
    plan = Plan(alpha=alpha)
    found = 0
    for _ in range(batches):
        a, b = random.normal(size=(2, BATCH, MOST)) * np.array([1.0, ratio])[:, None, None]
        at_look = [
            _t_test(a[:, :seeds], b[:, :seeds]) < plan.level(look, tests)
            for look, seeds in enumerate(plan.seeds)
        ]
        found += int(np.any(at_look, axis=0).sum())
    return tests * found / (batches * BATCH)


def _t_test(a: Floats, b: Floats) -> Floats:
    """Two-sided p (N,) of N differences of (N, S) scores, with Satterthwaite's degrees of freedom."""
    seeds = a.shape[1]
    of_a, of_b = (scores.var(axis=1, ddof=1) / seeds for scores in (a, b))
    df = np.maximum((of_a + of_b) ** 2 / ((of_a**2 + of_b**2) / (seeds - 1)), seeds - 1)
    t = np.abs(a.mean(axis=1) - b.mean(axis=1)) / np.sqrt(of_a + of_b)
    p: Floats = 2 * stdtr(df, -t)
    return p


def t_table(studies: int) -> str:
    """The errors of t tests as a Markdown table, in percent."""
    alphas = (ALPHA / FEW_SEEDS, ALPHA)
    rows = [
        [
            f"{ratio:g}",
            *(
                f"{100 * t_error(ratio, tests, alpha, studies):.2f}"
                for alpha in alphas
                for tests in (1, 2, 3)
            ),
        ]
        for ratio in RATIOS
    ]
    headers = ["ratio of SDs", "all spent: one test", "two", "three"]
    headers += [f"{FEW_SEEDS:g} of it: one test", "two", "three"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def rates_of(wanted: Sequence[Study], studies: int, jobs: int | None) -> list[Rates]:
    """The rates of every design, several designs at a time."""
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(rates, wanted, [studies] * len(wanted)))


def main(words: Sequence[str] | None = None) -> None:
    """Simulate, and print the table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=_at_least(20), default=4000, help="studies of each design")
    parser.add_argument("--jobs", type=_at_least(1), help="processes; one per core by default")
    parser.add_argument("--json", action="store_true", help="print the rates as JSON, 0 to 1")
    parser.add_argument("--t-tests", action="store_true", help="only what few degrees of freedom cost")
    given = parser.parse_args(words)
    if given.t_tests:
        print(t_table(given.studies))
        return
    found = rates_of(designs(), given.studies, given.jobs)
    print(json.dumps([asdict(one) for one in found], indent=1) if given.json else table(found))


if __name__ == "__main__":
    main()

"""How often the paired test finds a difference between two equal evaluations: `docs/statistics.md`.

    python benchmarks/paired_calibration.py [--studies 1000]

The same weights are evaluated twice: a puzzle's logit, and the chance that decides, are common to both.
What the change at evaluation does to a seed and to a puzzle is random with mean 0.
"""

from __future__ import annotations

import argparse

import numpy as np
from tabulate import tabulate
from trm_bench.harness.stats.tests import crossed_test, paired_test

DESIGNS = (
    (3, 500, 0.2, 0.5),
    (3, 500, 0.0, 0.5),
    (3, 500, 0.5, 0.2),
    (3, 100, 0.3, 0.3),
    (5, 500, 0.2, 0.5),
    (5, 100, 0.1, 1.0),
)
"""Seeds, puzzles, and the standard deviations of what the change does to a seed's and a puzzle's logit."""


def study(
    rng: np.random.Generator, seeds: int, puzzles: int, of_seed: float, of_puzzle: float
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (S, C) of both evaluations."""
    logit = rng.normal(0.4, 1.5, puzzles) + rng.normal(0, 0.3, (seeds, 1))
    change = rng.normal(0, of_seed, (seeds, 1)) + rng.normal(0, of_puzzle, puzzles)
    chance = rng.random((seeds, puzzles))
    first, second = (chance < 1 / (1 + np.exp(-(logit + sign * change / 2))) for sign in (1, -1))
    return first.astype(float), second.astype(float)


def rates(design: tuple[int, int, float, float], studies: int) -> tuple[float, float]:
    """Shares of studies in which the paired and the crossed test find a difference at 5 %."""
    rng = np.random.default_rng(0)
    found = np.zeros(2)
    for _ in range(studies):
        scores = study(rng, *design)
        for place, test in enumerate((paired_test, crossed_test)):
            p = test(*scores).p
            found[place] += p is not None and p < 0.05
    return float(found[0] / studies), float(found[1] / studies)


def main() -> None:
    """Print both rates for every design."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000, help="of each design")
    studies = parser.parse_args().studies
    rows = []
    for design in DESIGNS:
        paired, crossed = rates(design, studies)
        name = f"{design[0]} seeds, {design[1]} puzzles"
        rows.append([name, design[2], design[3], f"{100 * paired:.1f} %", f"{100 * crossed:.1f} %"])
    headers = ["design", "seeds react by", "puzzles react by", "paired test", "crossed test"]
    print(tabulate(rows, headers=headers, tablefmt="github"))


if __name__ == "__main__":
    main()

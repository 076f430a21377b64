"""How often the paired test finds a difference between two equal ways to answer: `docs/statistics.md`.

The same weights answer twice: what a puzzle's logit is, and the chance that decides, are common to both ways.
What the change at evaluation does to a seed and to a puzzle is random with mean 0.
"""

from __future__ import annotations

import numpy as np
from tabulate import tabulate
from trm_bench.harness.stats.tests import crossed_test, paired_test

STUDIES = 1000
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
    """Scores (S, C) of both ways."""
    logit = rng.normal(0.4, 1.5, puzzles) + rng.normal(0, 0.3, (seeds, 1))
    change = rng.normal(0, of_seed, (seeds, 1)) + rng.normal(0, of_puzzle, puzzles)
    chance = rng.random((seeds, puzzles))
    first, second = (chance < 1 / (1 + np.exp(-(logit + sign * change / 2))) for sign in (1, -1))
    return first.astype(float), second.astype(float)


def rates(design: tuple[int, int, float, float]) -> tuple[float, float]:
    """Shares of studies in which the paired and the crossed test find a difference at 5 %."""
    rng = np.random.default_rng(0)
    found = np.zeros(2)
    for _ in range(STUDIES):
        scores = study(rng, *design)
        for place, test in enumerate((paired_test, crossed_test)):
            p = test(*scores).p
            found[place] += p is not None and p < 0.05
    return float(found[0] / STUDIES), float(found[1] / STUDIES)


if __name__ == "__main__":
    rows = []
    for design in DESIGNS:
        paired, crossed = rates(design)
        name = f"{design[0]} seeds, {design[1]} puzzles"
        rows.append([name, design[2], design[3], f"{100 * paired:.1f} %", f"{100 * crossed:.1f} %"])
    headers = ["design", "seeds react by", "puzzles react by", "paired test", "crossed test"]
    print(tabulate(rows, headers=headers, tablefmt="github"))

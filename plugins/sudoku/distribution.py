"""Print givens and difficulty of the generated 9×9 training puzzles and those of CSV files.

Usage: ``python -m trm_bench.plugins.sudoku.distribution [FILE ...]``; makes the table of
docs/tasks/sudoku.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import Tokens
from .augment import SudokuSymmetries
from .board import BLANK
from .generate import RECIPES, generate
from .official import SHAPE, load_sudokus
from .solver import solve

TURNS = 4


def difficulty(questions: Tokens) -> NDArray[np.float64]:
    """(N,) guesses, averaged over `TURNS` random symmetries of each question."""
    items = np.arange(len(questions))
    turned = [
        SudokuSymmetries(SHAPE).transforms(0, items, np.full(len(items), k)).apply(questions)
        for k in range(1, TURNS + 1)
    ]
    return np.asarray(np.mean([solve(SHAPE, one).guesses for one in turned], axis=0))


def describe(name: str, questions: Tokens) -> str:
    """One row of the table."""
    givens = (questions != BLANK).sum(axis=1)
    guesses = difficulty(questions)
    quantiles = " | ".join(f"{value:.1f}" for value in np.quantile(guesses, (0.1, 0.25, 0.5, 0.75, 0.9)))
    shares = " | ".join(f"{share:.1%}" for share in ((guesses == 0).mean(), (guesses >= 24).mean()))
    spread = f"{givens.mean():.2f} | {givens.std():.2f} | {givens.min()}–{givens.max()}"
    return f"| {name} | {len(questions)} | {spread} | {guesses.mean():.1f} | {quantiles} | {shares} |"


def main(files: Sequence[str]) -> None:
    """Print the table."""
    print("| puzzles | n | givens | sd | range | guesses | p10 | p25 | p50 | p75 | p90 | none | 24 or more |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in files:
        print(describe(Path(name).name, load_sudokus([Path(name)]).questions))
    recipe = replace(RECIPES["lite"], validation=0, test=0)
    print(describe("generated, seed 0, train", generate(recipe, 0).train.inputs))


if __name__ == "__main__":
    main(sys.argv[1:])

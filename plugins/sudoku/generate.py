"""Generated Sudoku puzzles: random grids, stripped to puzzles with one solution.

Owns how many puzzles of which difficulty there are and that no two of them are symmetric. Puzzle
i of a split is a pure function of (seed, split, i), whatever the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...harness.api.augment import Ints
from ...harness.api.errors import DataError
from ...harness.api.puzzles import PuzzleSet, Tokens
from ...harness.api.randomness import hashed, named_seed
from ...harness.api.specs import Progress, no_progress
from . import kernels
from .board import Ints32, Shape
from .solver import tokens_of
from .symmetry import invariants
from .threads import for_chunks

VERSION = 1
CHUNK = 4
BLANKS_6X6 = 18
FUTILE = 100
"""Candidates per wanted puzzle after which a split is given up."""

GUESSES = (
    # (low, high, how many of the official 1000 training rows have low <= mean guesses < high)
    (0, 1, 115),
    (1, 2, 51),
    (2, 4, 56),
    (4, 8, 40),
    (8, 16, 12),
    # Half of the official rows need 94 guesses or more. A walk that far takes many seconds
    # for each puzzle, so hard here means hard enough that a full set still takes minutes.
    (24, 100_000, 726),
)
"""The difficulties 9×9 puzzles are drawn from: guesses, averaged over orders of the cells."""


@dataclass(frozen=True)
class Recipe:
    """Recipe of the puzzles to make.

    Attributes:
        shape: of the board.
        givens: their exact number; None for minimal puzzles of the difficulties `GUESSES`.
        train: number of training puzzles.
        validation: number of validation puzzles.
        test: number of test puzzles.
    """

    shape: Shape
    givens: int | None
    train: int
    validation: int
    test: int

    @property
    def notes(self) -> tuple[str, ...]:
        """The note on a score on such puzzles."""
        if self.givens is not None:
            return (f"every puzzle has {self.givens} givens",)
        return ("generated 9×9 puzzles are easier than Sudoku-Extreme, see docs/tasks/sudoku.md",)

    def at_most(self, count: int | None) -> Recipe:
        """The same with no more than ``count`` puzzles in a split."""
        if count is None:
            return self
        train, validation, test = (min(count, split) for split in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)


RECIPES = {
    "mini": Recipe(Shape(2, 3), 36 - BLANKS_6X6, train=1000, validation=200, test=500),
    "small": Recipe(Shape(3, 3), None, train=1000, validation=200, test=500),
    "lite": Recipe(Shape(3, 3), None, train=1000, validation=100, test=2000),
    "paper": Recipe(Shape(3, 3), None, train=1000, validation=100, test=2000),
}
"""By scale. Scales of one shape share their puzzles, a longer split begins with the shorter one."""


@dataclass(frozen=True)
class Splits:
    """The generated puzzles; no two of them, in one split or in two, are symmetric."""

    train: PuzzleSet
    validation: PuzzleSet
    test: PuzzleSet


def generate(recipe: Recipe, seed: int, progress: Progress = no_progress, workers: int = 0) -> Splits:
    """Make the three splits, in the order of their names in `Splits`.

    Raises:
        DataError: there are too few puzzles that are not symmetric; never for `RECIPES`.
    """
    seen: set[int] = set()
    return Splits(
        _split(recipe, seed, "train", recipe.train, seen, progress, workers),
        _split(recipe, seed, "validation", recipe.validation, seen, progress, workers),
        _split(recipe, seed, "test", recipe.test, seen, progress, workers),
    )


def _split(
    recipe: Recipe, seed: int, split: str, count: int, seen: set[int], progress: Progress, workers: int
) -> PuzzleSet:
    """The first ``count`` candidates of the split that are symmetric to none in ``seen``."""
    stream = named_seed("sudoku-extreme", VERSION, recipe.shape.side, recipe.givens, split, seed)
    questions: list[Tokens] = []
    answers: list[Tokens] = []
    ids: list[str] = []
    tried = 0
    while len(ids) < count:
        if tried > count * FUTILE:
            raise DataError(f"only {len(ids)} of {count} {split} puzzles that are not symmetric were found")
        indices = np.arange(tried, tried + count - len(ids))
        tried += len(indices)
        made, grids = candidates(recipe, stream, indices, progress, f"sudoku {split}", workers)
        for index, value in enumerate(invariants(recipe.shape, made).tolist()):
            if value not in seen:
                seen.add(value)
                questions.append(made[index])
                answers.append(grids[index])
                ids.append(f"{split}/{indices[index]}")
    empty = np.empty((0, recipe.shape.cells), np.uint8)
    return PuzzleSet.single_identity(np.array(questions or empty), np.array(answers or empty), ids)


def candidates(
    recipe: Recipe, stream: int, indices: Ints, progress: Progress, what: str, workers: int
) -> tuple[Tokens, Tokens]:
    """Questions and answers (N, L) of the candidates ``indices`` of a stream."""
    shape = recipe.shape
    states = hashed(stream, indices, np.array(0))[:, None]
    ranges = guess_ranges(stream, indices)
    puzzles: Ints32 = np.zeros((len(indices), shape.cells), dtype=np.int32)
    grids = np.zeros_like(puzzles)

    def work(rows: slice) -> None:
        for n in range(rows.start, rows.stop):
            place = shape.units, shape.peers
            if recipe.givens is not None:
                kernels.with_givens(states[n], *place, recipe.givens, puzzles[n], grids[n])
            else:
                low, high = ranges[n].tolist()
                kernels.minimal_of_difficulty(states[n], *place, low, high, puzzles[n], grids[n])

    for_chunks(work, len(indices), CHUNK, progress, what, workers)
    return tokens_of(puzzles), tokens_of(grids)


def guess_ranges(stream: int, indices: Ints) -> NDArray[np.int64]:
    """(N, 2) the range of guesses each candidate must have, drawn in the proportions of `GUESSES`."""
    table = np.array(GUESSES)
    draws = hashed(stream, indices, np.array(1)) % np.uint64(table[:, 2].sum())
    bins = np.searchsorted(np.cumsum(table[:, 2]), draws.astype(np.int64), side="right")
    return np.asarray(table[bins, :2])

"""Solve puzzles, count their solutions up to a limit, and say how hard they were.

Difficulty: the number of guesses a solver with naked and hidden singles needs until it knows every
solution (or two of them). It guesses at the first cell with the fewest candidates and tries its
digits in rising order, so the number belongs to the puzzle as it lies, not to its symmetry class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import Tokens
from ...harness.api.specs import Progress, no_progress
from . import kernels
from .board import FIRST_DIGIT, Ints32, Shape
from .threads import for_chunks

CHUNK = 64


@dataclass(frozen=True)
class Solved:
    """Results of the solver for N questions.

    Attributes:
        answers: (N, L) token codes of the first solution; meaningless where there is none.
        solutions: (N,) their number, not counted beyond the limit.
        guesses: (N,) the difficulty, see the module.
    """

    answers: Tokens
    solutions: NDArray[np.int64]
    guesses: NDArray[np.int64]


def solve(
    shape: Shape, questions: Tokens, limit: int = 2, progress: Progress = no_progress, workers: int = 0
) -> Solved:
    """Solve (N, L) questions made of blanks and digits."""
    puzzles = digits_of(questions)
    answers = np.zeros_like(puzzles)
    counts = np.zeros((len(puzzles), 2), dtype=np.int32)

    def work(rows: slice) -> None:
        kernels.solve_all(puzzles[rows], limit, shape.units, shape.peers, answers[rows], counts[rows])

    for_chunks(work, len(puzzles), CHUNK, progress, "solving", workers)
    solutions, guesses = counts.T.astype(np.int64)
    return Solved(tokens_of(answers), solutions, guesses)


def digits_of(tokens: Tokens) -> Ints32:
    """Token codes of blanks and digits as the digits of the kernels, 0 for a blank."""
    return np.maximum(tokens.astype(np.int32) - (FIRST_DIGIT - 1), 0)


def tokens_of(digits: Ints32) -> Tokens:
    """The inverse of `digits_of`."""
    return (digits + (FIRST_DIGIT - 1)).astype(np.uint8)

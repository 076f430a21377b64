"""Predictions of a model: plain arrays, so that an evaluator needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .puzzles import Tokens
from .voting import Ballots


@dataclass(frozen=True)
class Predictions:
    """Predictions for N puzzles.

    Attributes:
        tokens: (N, L) predicted token codes after the last supervision step, for the puzzle as it is.
        steps: supervision steps that were run, the same for every puzzle unless ``halted``.
        halt_steps: (N,) the first step at which the model's own halting rule said stop;
            ``steps`` where it never did.
        halt_probability: (N,) sigmoid of the last halt logit; NaN for a model without one.
        halted: whether each puzzle was stopped at its halt step, and predicted there.
        ballots: the predictions under every augmentation, for a task with voting.
    """

    tokens: Tokens
    steps: int
    halt_steps: NDArray[np.int64]
    halt_probability: NDArray[np.float64]
    ballots: Ballots | None = None
    halted: bool = False

    @property
    def steps_taken(self) -> NDArray[np.int64]:
        """(N,) supervision steps that each puzzle had."""
        return self.halt_steps if self.halted else np.full(len(self.tokens), self.steps)

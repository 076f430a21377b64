"""Predictions of a model: plain arrays, so that an evaluator needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .puzzles import Tokens
from .voting import Ballots

KEPT_ANSWERS = 10
"""Best voted answers of an item that are kept with a run."""


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
        ballots: the predictions under every augmentation, for a task with voting; None where predictions
            were read from a run's folder, which keeps `best` alone.
        kept: (N, `KEPT_ANSWERS`, L) what such a folder keeps of the votes.
        rollouts: (N, K, L) the answers of all rollouts, where there are several and no votes; no folder keeps
            them.
        rollout_digests: (V, K) of all rollouts under each vote of ``ballots``, where there are several: a
            number for each answer, its view undone (`inference.rollouts.digests`); no folder keeps them.
    """

    tokens: Tokens
    steps: int
    halt_steps: NDArray[np.int64]
    halt_probability: NDArray[np.float64]
    ballots: Ballots | None = None
    halted: bool = False
    kept: Tokens | None = None
    rollouts: Tokens | None = None
    rollout_digests: NDArray[np.uint64] | None = None

    def best(self, k: int) -> Tokens:
        """(N, k, L) the k answers of each item with most votes, best first; all padding where it has fewer.

        Raises:
            DataError: the items were not voted on, or not as many answers were kept.
        """
        if self.ballots is not None:
            return self.ballots.best(k)
        if self.kept is None:
            raise DataError("these predictions were not voted on")
        if k > self.kept.shape[1]:
            raise DataError(f"a run keeps the {self.kept.shape[1]} answers with most votes, not {k}")
        return self.kept[:, :k]

    def every_vote(self) -> Ballots:
        """The ballots.

        Raises:
            DataError: the items were not voted on, or only the best answers were kept.
        """
        if self.ballots is None:
            kept = "was not voted on" if self.kept is None else "keeps only the answers with most votes"
            raise DataError(f"this needs every vote, and the run {kept}")
        return self.ballots

    @property
    def steps_taken(self) -> NDArray[np.int64]:
        """(N,) supervision steps that each puzzle had."""
        return self.halt_steps if self.halted else np.full(len(self.tokens), self.steps)

"""Several answers per puzzle: how many, with what noise, and which of them counts."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Select(StrEnum):
    """Which rollout of a puzzle gives the answer.

    Source: PTRM (arXiv 2605.19943) has ``q`` and ``mode``, EqR (arXiv 2605.21488) ``residual``.
    """

    FIRST = "first"
    """Number 0."""
    MODE = "mode"
    """The most frequent whole answer; of equally frequent ones the one with the larger mean halt
    probability, then the one that came first."""
    Q = "q"
    """The largest halt logit."""
    RESIDUAL = "residual"
    """The smallest change of the logits over the last steps, see `RESIDUAL_STEPS`."""


RESIDUAL_STEPS = 3
"""The residual is the mean, over that number of last steps and all cells, of the Euclidean norm of the change
of a cell's logits (EqR's evaluator)."""


class Rollouts(BaseModel):
    """How a puzzle is answered several times; the first of 100 rollouts are those of 10.

    Attributes:
        count: K, rollouts of each puzzle, or of each of its views.
        noise: σ of the normal noise that is added to the state before every supervision step.
        on: the part of the state that gets it, or ``both``.
        select: which one counts.
        seed: of the noise, and of what a stochastic model draws at evaluation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(1, ge=1)
    noise: float = Field(0.0, ge=0, allow_inf_nan=False)
    on: str = ""
    select: Select = Select.FIRST
    seed: int = 0

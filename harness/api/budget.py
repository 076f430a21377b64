"""The budget that models share, and the ledger of what was spent."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Match(StrEnum):
    """The axis on which the models of a grid are made equal."""

    STEPS = "steps"
    """Optimiser steps at the same batch, as in the papers."""
    EXAMPLES = "examples"
    """Draws taken from the stream."""
    FLOPS = "flops"
    """Training compute by the rule of `harness.training.costs`."""


class Budget(BaseModel):
    """The budget of every model of a grid. Part of a run's identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Match = Match.STEPS
    amount: float = Field(gt=0, description="optimiser steps, draws or FLOPs, by `match`")
    batch_size: int = Field(gt=0, description="supervision slots")
    augmentations: int = Field(gt=0, description="A, augmentations per puzzle, itself included")

    def spent(self, steps: int, draws: int, flops: float) -> float:
        """The share of the budget that is used up; training stops at 1."""
        used = {Match.STEPS: steps, Match.EXAMPLES: draws, Match.FLOPS: flops}[self.match]
        return used / self.amount

    def flops(self, training_step: float, supervision_steps: int) -> float:
        """FLOPs of the whole training, at most: with ``match=examples`` every draw may take all N_sup steps.

        ``training_step`` are those of one puzzle in one of them.
        """
        if self.match is Match.FLOPS:
            return self.amount
        puzzles = self.batch_size if self.match is Match.STEPS else supervision_steps
        return self.amount * puzzles * training_step

    @property
    def shown_amount(self) -> str:
        """The amount as it is printed, e.g. ``1,600`` or ``3.21e+12``."""
        return f"{self.amount:,.0f}" if self.amount < 1e9 else f"{self.amount:.3g}"

    def describe(self) -> str:
        """One phrase, e.g. ``matched on steps: 1,600, batch 32, augmentations per puzzle A = 1``."""
        return (
            f"matched on {self.match.value}: {self.shown_amount}, batch {self.batch_size}, "
            f"augmentations per puzzle A = {self.augmentations}"
        )


def described(budget: Budget | None) -> str:
    """`Budget.describe`, or that the budget of external weights is unknown."""
    return "external weights: the training budget is unknown" if budget is None else budget.describe()


class Ledger(BaseModel):
    """Costs of one run, on every axis.

    Units: FLOPs by the rule of `harness.training.costs`; seconds of wall time; bytes of peak memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimiser_steps: int = 0
    draws: int = 0
    distinct_augmentations: int = Field(0, description="distinct pairs of puzzle and augmentation drawn")
    supervision_steps: int = 0
    training_flops: float = 0.0
    inference_flops_per_puzzle: float = Field(0.0, description="all votes together")
    core_parameters: int = 0
    io_parameters: int = Field(0, description="token embedding and output heads")
    puzzle_embedding_parameters: int = Field(0, description="table of puzzle embeddings")
    inference_steps: int = Field(0, description="supervision steps that a puzzle may take at evaluation")
    steps_taken: float = Field(0.0, description="supervision steps that it took, mean")
    training_seconds: float = Field(0.0, description="without validating and saving")
    validation_seconds: float = Field(0.0, description="of validating and saving during training")
    processes: int = Field(1, description="that trained together, at the end")
    device_seconds: float = Field(
        0.0, description="of training, validating and saving, all processes together; 0: seconds × processes"
    )
    evaluation_seconds: float = 0.0
    puzzles_per_second: float = Field(0.0, description="at `evaluation_batch`")
    evaluation_batch: int = 0
    milliseconds_per_puzzle: float = Field(
        0.0, description="one puzzle alone, one vote: median of tries, with halting mean of 20 puzzles"
    )
    peak_memory_bytes: int = 0
    votes_per_puzzle: float = Field(1.0, description="predictions per test item, mean")
    augmentations_of: dict[str, int] = Field(
        {}, description="distinct augmentations of each puzzle identity, where puzzles have one"
    )

    @property
    def device_hours(self) -> float:
        """Hours of all devices together: of training and validation, and of evaluation times the processes.

        A run that was resumed may have had another number of processes before.
        """
        training = self.device_seconds or (self.training_seconds + self.validation_seconds) * self.processes
        return (training + self.evaluation_seconds * self.processes) / 3600

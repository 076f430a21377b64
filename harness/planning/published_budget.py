"""The training budget that a model was published with, and the note where a grid gives another one."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..api.budget import Budget, Match
from ..api.specs import steps_of_epochs

_UNITS = {Match.STEPS: "optimiser steps", Match.EXAMPLES: "draws", Match.FLOPS: "training FLOPs"}


class PublishedBudget(BaseModel):
    """The section ``published`` of a recipe: on a task, at a scale."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int | None = Field(None, gt=0, description="optimiser steps")
    epochs: int | None = Field(None, gt=0, description="passes over the training puzzles")
    source: str = Field(min_length=1, description="where the budget was published")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self

    def note(self, model: str, task: str, budget: Budget, puzzles: int) -> tuple[str, ...]:
        """A note where the ``budget`` on N training ``puzzles`` is another one; else nothing."""
        if self.epochs is None:
            steps, published = self.steps, f"{self.steps:,} optimiser steps"
        else:
            steps = steps_of_epochs(self.epochs, puzzles, budget.batch_size)
            published = f"{self.epochs:,} epochs"
        if (budget.match, budget.amount) == (Match.STEPS, steps):
            return ()
        given = f"{budget.shown_amount} {_UNITS[budget.match]}"
        where = f"{published} on {task} ({self.source})"
        return (f"{model} was published with {where}; here every model gets {given}",)

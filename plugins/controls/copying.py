"""Copies the input unchanged: the floor any model must beat."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from ...harness.api.puzzles import TaskInfo
from ...harness.api.reasoner import Output, Reasoner, State


class Copy(Reasoner):
    """Logits 1 for the token of the input, 0 elsewhere."""

    def __init__(self, task: TaskInfo):
        super().__init__()
        self.vocab_size = task.vocab_size

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """See `Reasoner.forward`."""
        del puzzle_ids
        return state, Output(functional.one_hot(inputs, self.vocab_size).float())

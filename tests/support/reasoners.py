"""A small model with which nothing is wrong, to change a line of, and what its checks find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from trm_bench.testing import Finding
from trm_bench.testing.models import find_in_model

from trm_bench import Halting, ModelSpec, Output, Reasoner, TaskInfo

from .findings import failed

HIDDEN = 8


class Config(BaseModel):
    pass


class Correct(Reasoner):
    """A small recurrent model with which nothing is wrong; the others each change a line of it."""

    supervision_steps = 3
    halting = Halting.HALT_LOGIT

    def __init__(self, task: TaskInfo):
        super().__init__()
        self.cells = task.cells
        self.embed = nn.Embedding(task.vocab_size, HIDDEN)
        self.mix = nn.Linear(task.cells, task.cells)
        self.head = nn.Linear(HIDDEN, task.vocab_size)
        self.halt = nn.Linear(HIDDEN, 1)

    def initial_state(self, batch: int) -> Any:
        return (torch.zeros(batch, self.cells, HIDDEN, device=self.halt.weight.device),)

    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return torch.tanh(self.mix((before + self.embed(inputs)).transpose(1, 2)).transpose(1, 2))

    def q(self, y: Tensor) -> Tensor:
        return self.halt(y.mean(1)).squeeze(1).float()

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        y = self.mixed(state[0], inputs)
        return (y.detach(),), Output(self.head(y), q_halt=self.q(y))


def spec(kind: Callable[[TaskInfo], Any], **fields: Any) -> ModelSpec:
    """Of a class of models."""
    return ModelSpec(
        "tried", "a model", **{"config": Config, "build": lambda config, task: kind(task), **fields}
    )


def caught(kind: Callable[[TaskInfo], Any]) -> dict[str, Finding]:
    return failed(find_in_model(spec(kind)))

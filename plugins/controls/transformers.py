"""Two transformers with the same blocks: one that does not recurse, one that carries its state.

`Transformer` is the "direct prediction" of the HRM paper (arXiv 2506.21734), in no public repository.
`LoopedTransformer` is what the TRM repository calls its transformer baseline; it recurses over
supervision steps. Shapes: B batch, S = P + L, D hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ...harness.api.puzzles import TaskInfo
from ...harness.api.reasoner import HALTING_OPTIONS, Halting, Output, Reasoner, State
from ...harness.nn.blocks import Stack
from ...harness.nn.embedding import InputEmbedding, OutputHeads
from ...harness.nn.init import truncated_normal_
from .config import LoopedConfig, TransformerConfig


class Transformer(Reasoner):
    """One pass, one supervision step, no carried state, nothing to halt."""

    def __init__(self, config: TransformerConfig, task: TaskInfo):
        super().__init__()
        self.repeats = config.repeats
        self.embed = InputEmbedding(config, task)
        self.net = Stack(config, config.blocks, config.prefix + task.cells)
        self.heads = OutputHeads(config, task, q=False)

    def compiled_parts(self) -> Iterable[nn.Module]:
        """See `Reasoner.compiled_parts`."""
        return [self.net]

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """See `Reasoner.forward`."""
        x = self.net.arranged(self.embed(inputs, puzzle_ids))
        y = torch.zeros_like(x)
        for _ in range(self.repeats):
            y = self.net(y, x)
        return state, self.heads(y)


class LoopedTransformer(Reasoner):
    """``y = net(y, x)`` once per supervision step (or ``repeats`` times), y carried over."""

    y_init: Tensor

    def __init__(self, config: LoopedConfig, task: TaskInfo):
        super().__init__()
        self.repeats = config.repeats
        self.halting = HALTING_OPTIONS[config.halting]
        self.supervision_steps = config.supervision
        self.positions = config.prefix + task.cells
        self.embed = InputEmbedding(config, task)
        self.net = Stack(config, config.blocks, self.positions)
        self.heads = OutputHeads(config, task, q=self.halting is not Halting.NONE)
        self.register_buffer("y_init", truncated_normal_(torch.empty(config.hidden), 1.0))

    def initial_state(self, batch: int) -> State:
        """(y,): one fixed random vector, the same at every position."""
        return (self.y_init.to(self.embed.dtype).expand(batch, self.positions, len(self.y_init)),)

    def compiled_parts(self) -> Iterable[nn.Module]:
        """See `Reasoner.compiled_parts`."""
        return [self.net]

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """See `Reasoner.forward`."""
        x = self.embed(inputs, puzzle_ids)
        x, y = (self.net.arranged(part.to(x.dtype)) for part in (x, *state))
        for _ in range(self.repeats):
            y = self.net(y, x)
        return (y.detach(),), self.heads(y)

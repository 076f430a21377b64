"""Two transformers with the same blocks: one without any recursion, one that carries its state.

`Transformer` is the "direct prediction" of the HRM paper (arXiv 2506.21734), in no public repository.
`LoopedTransformer` is what the TRM repository calls its transformer baseline; it recurses over
supervision steps. B batch, S = P + L, D hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...harness.nn.blocks import AttentionBlock, Stack
from ...harness.nn.embedding import InputEmbedding, OutputHeads
from ...harness.nn.init import truncated_normal_
from ...harness.puzzles import TaskInfo
from ...harness.reasoner import Halting, Output, Reasoner, State
from .config import LoopedConfig, TransformerConfig

PREFIX = 1


def _embedding(config: TransformerConfig, task: TaskInfo) -> InputEmbedding:
    return InputEmbedding(task.vocab_size, config.hidden, PREFIX, task.identifiers, puzzle_size=config.hidden)


def _stack(config: TransformerConfig, positions: int) -> Stack:
    sizes = (config.hidden, config.heads, positions, config.expansion, config.multiple)
    return Stack([AttentionBlock(*sizes) for _ in range(config.blocks)])


class Transformer(Reasoner):
    """One pass, one supervision step, no carried state, nothing to halt."""

    def __init__(self, config: TransformerConfig, task: TaskInfo):
        super().__init__()
        self.embed = _embedding(config, task)
        self.net = _stack(config, PREFIX + task.cells)
        self.heads = OutputHeads(config.hidden, task.vocab_size, PREFIX, q=False)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """See `Reasoner.forward`."""
        x = self.embed(inputs, puzzle_ids)
        return state, self.heads(self.net(x, torch.zeros_like(x)))


class LoopedTransformer(Reasoner):
    """``y = net(y, x)`` once per supervision step, y carried over."""

    y_init: Tensor
    halting = Halting.Q_COMPARE

    def __init__(self, config: LoopedConfig, task: TaskInfo):
        super().__init__()
        self.supervision_steps = config.supervision
        self.positions = PREFIX + task.cells
        self.embed = _embedding(config, task)
        self.net = _stack(config, self.positions)
        self.heads = OutputHeads(config.hidden, task.vocab_size, PREFIX)
        self.register_buffer("y_init", truncated_normal_(torch.empty(config.hidden), 1.0))

    def initial_state(self, batch: int) -> State:
        """(y,): one fixed random vector, the same at every position."""
        return (self.y_init.expand(batch, self.positions, len(self.y_init)),)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """See `Reasoner.forward`."""
        y = self.net(state[0], self.embed(inputs, puzzle_ids))
        return (y.detach(),), self.heads(y)

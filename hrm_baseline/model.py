"""HRM, the Hierarchical Reasoning Model (arXiv 2506.21734): a slow and a fast network, one-step gradient.

x the embedded puzzle, z_H the slow state (the answer), z_L the fast one; B batch, S = P + L, D hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..harness.nn.blocks import AttentionBlock, Stack
from ..harness.nn.embedding import InputEmbedding, OutputHeads
from ..harness.nn.init import truncated_normal_
from ..harness.puzzles import TaskInfo
from ..harness.reasoner import Halting, Output, Reasoner, State
from .config import HRMConfig

PREFIX = 1  # P = ceil(puzzle-embedding size / D), and the two are equal


class HRM(Reasoner):
    """Figure 4 of the paper, with the one-step gradient of its section 2."""

    z_H_init: Tensor
    z_L_init: Tensor
    halting = Halting.Q_LEARNING

    def __init__(self, config: HRMConfig, task: TaskInfo):
        super().__init__()
        self.H, self.L = config.h_cycles, config.l_cycles
        self.supervision_steps = config.supervision
        self.positions = PREFIX + task.cells
        self.embed = InputEmbedding(
            task.vocab_size, config.hidden, PREFIX, task.identifiers, puzzle_size=config.hidden
        )
        self.f_H = self._stack(config, config.h_blocks)
        self.f_L = self._stack(config, config.l_blocks)
        self.heads = OutputHeads(config.hidden, task.vocab_size, PREFIX)
        self.register_buffer("z_H_init", truncated_normal_(torch.empty(config.hidden), 1.0))
        self.register_buffer("z_L_init", truncated_normal_(torch.empty(config.hidden), 1.0))

    def _stack(self, config: HRMConfig, blocks: int) -> Stack:
        sizes = (config.hidden, config.heads, self.positions, config.expansion, config.multiple)
        return Stack([AttentionBlock(*sizes) for _ in range(blocks)])

    def initial_state(self, batch: int) -> State:
        """(z_H, z_L): two fixed random vectors, the same at every position."""
        shape = (batch, self.positions, len(self.z_H_init))
        return self.z_H_init.expand(shape), self.z_L_init.expand(shape)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """H · L fast and H slow updates; only the last of each carries a gradient."""
        x = self.embed(inputs, puzzle_ids)
        z_H, z_L = state
        with torch.no_grad():
            for slow in range(self.H):
                last = slow == self.H - 1
                for _ in range(self.L - 1 if last else self.L):
                    z_L = self.f_L(z_L, z_H + x)
                if not last:
                    z_H = self.f_H(z_H, z_L)
        z_L = self.f_L(z_L, z_H + x)
        z_H = self.f_H(z_H, z_L)
        return (z_H.detach(), z_L.detach()), self.heads(z_H)

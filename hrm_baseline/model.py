"""HRM, the Hierarchical Reasoning Model (arXiv 2506.21734): a slow and a fast network, one-step gradient.

x the embedded puzzle, z_H the slow state (the answer), z_L the fast one; B batch, S = P + L, D hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..harness.api.puzzles import TaskInfo
from ..harness.api.reasoner import HALTING_OPTIONS, Halting, Output, Reasoner, State
from ..harness.nn.blocks import Stack, stack, working
from ..harness.nn.embedding import InputEmbedding, OutputHeads
from ..harness.nn.init import truncated_normal_
from .config import HRMConfig


class HRM(Reasoner):
    """Figure 4 of the paper, with the one-step gradient of its section 2."""

    z_H_init: Tensor
    z_L_init: Tensor

    def __init__(self, config: HRMConfig, task: TaskInfo):
        super().__init__()
        self.H, self.L = config.h_cycles, config.l_cycles
        self.one_step = config.gradient == "one-step"
        self.halting = HALTING_OPTIONS[config.halting]
        self.supervision_steps = config.supervision
        self.positions = config.prefix + task.cells
        self.embed = InputEmbedding(
            task.vocab_size,
            config.hidden,
            config.prefix,
            task.identifiers,
            puzzle_size=config.puzzle_size or config.hidden,
        )
        self.f_H = self._stack(config, config.h_blocks)
        self.f_L = self._stack(config, config.l_blocks) if config.networks == 2 else self.f_H
        self.heads = OutputHeads(
            config.hidden, task.vocab_size, config.prefix, q=self.halting is not Halting.NONE
        )
        self.register_buffer("z_H_init", truncated_normal_(torch.empty(config.hidden), 1.0))
        self.register_buffer("z_L_init", truncated_normal_(torch.empty(config.hidden), 1.0))

    def _stack(self, config: HRMConfig, blocks: int) -> Stack:
        return stack(
            config.mixer,
            blocks,
            hidden=config.hidden,
            heads=config.heads,
            positions=self.positions,
            expansion=config.expansion,
            multiple=config.multiple,
        )

    def initial_state(self, batch: int) -> State:
        """(z_H, z_L): two fixed random vectors, the same at every position."""
        shape = (batch, self.positions, len(self.z_H_init))
        return self.z_H_init.expand(shape), self.z_L_init.expand(shape)

    def compiled_parts(self) -> Iterable[nn.Module]:
        """See `Reasoner.compiled_parts`."""
        return {self.f_H, self.f_L}

    def update(self, i: int, x: Tensor, state: State) -> State:
        """Update i of a supervision step: of every L + 1, L are of the fast state, the last of the slow."""
        z_H, z_L = state
        if i % (self.L + 1) < self.L:
            return z_H, self.f_L(z_L, z_H + x)
        return self.f_H(z_H, z_L), z_L

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """H · L fast and H slow updates; only the last of each carries a gradient."""
        x, state = self.embed(inputs, puzzle_ids), tuple(working(latent) for latent in state)
        updates = self.H * (self.L + 1)
        carrying = 2 if self.one_step else self.L + 1
        with torch.no_grad():
            for i in range(updates - carrying):
                state = self.update(i, x, state)
        for i in range(updates - carrying, updates):
            state = self.update(i, x, state)
        return tuple(latent.detach() for latent in state), self.heads(state[0])

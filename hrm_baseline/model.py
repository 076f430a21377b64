"""HRM, the Hierarchical Reasoning Model (arXiv 2506.21734): a slow high-level and a fast low-level network.

Read next to Figure 4 of the paper. Shapes: B batch, L cells, P prefix positions, S = P + L, D hidden size;
x the embedded puzzle, z_H the high-level state (the output is read from it), z_L the low-level state, all
(B, S, D).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..harness.api.puzzles import TaskInfo
from ..harness.api.reasoner import HALTING_OPTIONS, Halting, Output, Reasoner, State
from ..harness.nn.blocks import Stack
from ..harness.nn.embedding import InputEmbedding, OutputHeads
from ..harness.nn.init import truncated_normal_
from .config import HRMConfig


class HRM(Reasoner):
    """N high-level cycles of T low-level timesteps a step, with the one-step gradient (section 2)."""

    z_H_init: Tensor
    z_L_init: Tensor

    def __init__(self, config: HRMConfig, task: TaskInfo):
        super().__init__()
        self.N, self.T = config.cycles, config.timesteps
        self.tracked = 1 if config.gradient == "one-step" else config.timesteps
        self.halting = HALTING_OPTIONS[config.halting]
        self.supervision_steps = config.supervision
        self.positions = config.prefix + task.cells
        self.embed = InputEmbedding(config, task)
        self.f_H = Stack(config, config.high_blocks, self.positions)
        self.f_L = Stack(config, config.low_blocks, self.positions) if config.networks == 2 else self.f_H
        self.heads = OutputHeads(config, task, q=self.halting is not Halting.NONE)
        self.register_buffer("z_H_init", truncated_normal_(torch.empty(config.hidden), 1.0))
        self.register_buffer("z_L_init", truncated_normal_(torch.empty(config.hidden), 1.0))

    def initial_state(self, batch: int) -> State:
        """(z_H, z_L): two fixed random vectors, the same at every position."""
        shape = (batch, self.positions, len(self.z_H_init))
        return tuple(start.to(self.embed.dtype).expand(shape) for start in (self.z_H_init, self.z_L_init))

    def compiled_parts(self) -> Iterable[nn.Module]:
        """See `Reasoner.compiled_parts`."""
        return dict.fromkeys((self.f_H, self.f_L))

    def timestep(self, i: int, x: Tensor, z_H: Tensor, z_L: Tensor) -> tuple[Tensor, Tensor]:
        """Low-level timestep i; the last of every T is followed by a high-level update."""
        z_L = self.f_L(z_L, z_H + x)
        if (i + 1) % self.T == 0:
            z_H = self.f_H(z_H, z_L)
        return z_H, z_L

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """N · T timesteps, of which the last has a gradient; see `Reasoner.forward`."""
        x = self.embed(inputs, puzzle_ids)
        x, z_H, z_L = (self.f_L.arranged(part.to(x.dtype)) for part in (x, *state))
        untracked = self.N * self.T - self.tracked
        with torch.no_grad():
            for i in range(untracked):
                z_H, z_L = self.timestep(i, x, z_H, z_L)
        for i in range(untracked, self.N * self.T):
            z_H, z_L = self.timestep(i, x, z_H, z_L)
        return (z_H.detach(), z_L.detach()), self.heads(z_H)

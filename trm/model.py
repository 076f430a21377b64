"""TRM, the Tiny Recursive Model (arXiv 2510.04871): one small network, a cycle of updates, two latents.

x the embedded puzzle, y the answer, z the scratch pad; B batch, L cells, S = P + L, D hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..harness.nn.blocks import AttentionBlock, MixerBlock, Stack
from ..harness.nn.embedding import InputEmbedding, OutputHeads
from ..harness.nn.init import truncated_normal_
from ..harness.puzzles import TaskInfo
from ..harness.reasoner import Halting, Output, Reasoner, State
from .config import TRMConfig


class TRM(Reasoner):
    """Figure 3 of the paper: `latent recursion` is `cycle`, `deep recursion` is `forward`."""

    y_init: Tensor
    z_init: Tensor
    halting = Halting.HALT_LOGIT

    def __init__(self, config: TRMConfig, task: TaskInfo):
        super().__init__()
        self.T, self.n = config.cycles, config.updates
        self.supervision_steps = config.supervision
        self.positions = config.prefix + task.cells
        self.embed = InputEmbedding(
            task.vocab_size, config.hidden, config.prefix, task.identifiers, puzzle_size=config.hidden
        )
        self.net = Stack([self._block(config) for _ in range(config.blocks)])
        self.heads = OutputHeads(config.hidden, task.vocab_size, config.prefix)
        self.register_buffer("y_init", truncated_normal_(torch.empty(config.hidden), 1.0))
        self.register_buffer("z_init", truncated_normal_(torch.empty(config.hidden), 1.0))

    def _block(self, config: TRMConfig) -> nn.Module:
        if config.mixer == "mlp":
            return MixerBlock(config.hidden, self.positions, config.expansion, config.multiple)
        return AttentionBlock(config.hidden, config.heads, self.positions, config.expansion, config.multiple)

    def initial_state(self, batch: int) -> State:
        """(y, z): two fixed random vectors, the same at every position."""
        shape = (batch, self.positions, len(self.y_init))
        return self.y_init.expand(shape), self.z_init.expand(shape)

    def cycle(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """N updates of the scratch pad from puzzle and answer, then one of the answer."""
        for _ in range(self.n):
            z = self.net(z, y + x)
        return self.net(y, z), z

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """T − 1 cycles without gradient, one with; see `Reasoner.forward`."""
        x = self.embed(inputs, puzzle_ids)
        y, z = state
        with torch.no_grad():
            for _ in range(self.T - 1):
                y, z = self.cycle(x, y, z)
        y, z = self.cycle(x, y, z)
        return (y.detach(), z.detach()), self.heads(y)

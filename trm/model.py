"""TRM, the Tiny Recursive Model (arXiv 2510.04871): one small network refines a latent z and an answer y.

Read next to Figure 3 of the paper. Shapes: B batch, L cells, P prefix positions, S = P + L, D hidden size;
x the embedded puzzle, y and z are (B, S, D).
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
from .config import RecursionConfig


class TRM(Reasoner):
    """T latent recursions of n updates per supervision step, the last one with a gradient (section 4).

    A subclass may override `initial_state`, `update`, `latent_recursion` or `deep_recursion`. It then has all
    the rest: embedding, network, heads, halting.

    Args:
        config: sizes and cycles.
        task: the shape of its puzzles.
    """

    y_init: Tensor
    z_init: Tensor
    perturbable: tuple[str, ...] = ("y", "z")
    usual_noise = "z"  # PTRM's algorithm adds noise to the scratch pad (arXiv 2605.19943)

    def __init__(self, config: RecursionConfig, task: TaskInfo):
        super().__init__()
        self.T, self.n = config.cycles, config.updates
        self.halting = HALTING_OPTIONS[config.halting]
        self.supervision_steps = config.supervision
        self.positions = config.prefix + task.cells
        self.embed = InputEmbedding(config, task)
        self.build_networks(config)
        self.heads = OutputHeads(config, task, q=self.halting is not Halting.NONE)
        self.register_buffer("y_init", truncated_normal_(torch.empty(config.hidden), 1.0))
        self.register_buffer("z_init", truncated_normal_(torch.empty(self.z_shape(config)), 1.0))

    def build_networks(self, config: RecursionConfig) -> None:
        """One network for both latents."""
        self.net = Stack(config, config.blocks, self.positions)

    def z_shape(self, config: RecursionConfig) -> tuple[int, ...]:
        """Shape of the initial z, the same at every position."""
        return (config.hidden,)

    def initial_state(self, batch: int) -> State:
        """(y, z): two fixed random vectors, the same at every position."""
        shape = (batch, self.positions, len(self.y_init))
        return tuple(start.to(self.embed.dtype).expand(shape) for start in (self.y_init, self.z_init))

    def compiled_parts(self) -> Iterable[nn.Module]:
        """See `Reasoner.compiled_parts`."""
        return [self.net]

    def update(self, latent: Tensor, inject: Tensor) -> Tensor:
        """One update of z or of y: the network of the latent and of what is added to it, all (B, S, D)."""
        return self.net(latent, inject)  # type: ignore[no-any-return]

    def latent_recursion(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Refine z n times given x and y, then y given z."""
        context = y + x
        for _ in range(self.n):
            z = self.update(z, context)
        y = self.update(y, z)
        return y, z

    def deep_recursion(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """T latent recursions, of which the last is back-propagated in full."""
        with torch.no_grad():
            for _ in range(self.T - 1):
                y, z = self.latent_recursion(x, y, z)
        return self.latent_recursion(x, y, z)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """One supervision step; see `Reasoner.forward`."""
        x, y, z = self.arranged(self.embed(inputs, puzzle_ids), *state)
        y, z = self.deep_recursion(x, y, z)
        return (y.detach(), z.detach()), self.heads(y)

    def arranged(self, x: Tensor, *latents: Tensor) -> tuple[Tensor, ...]:
        """X and the latents in one precision and order in memory."""
        return tuple(self.net.arranged(part.to(x.dtype)) for part in (x, *latents))

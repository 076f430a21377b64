"""TRM, the Tiny Recursive Model (arXiv 2510.04871): one small network, a cycle of updates, two latents.

x the embedded puzzle, y the answer, z the scratch pad; B batch, L cells, S = P + L, D hidden size.
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
from .config import TRMConfig


class TRM(Reasoner):
    """Figure 3 of the paper: `forward` is its deep recursion, `update` one line of its latent recursion."""

    y_init: Tensor
    z_init: Tensor

    def __init__(self, config: TRMConfig, task: TaskInfo):
        super().__init__()
        self.T, self.n, self.pads = config.cycles, config.updates, config.scratch_pads
        self.one_step = config.gradient == "one-step"
        self.halting = HALTING_OPTIONS[config.halting]
        self.supervision_steps = config.supervision
        self.positions = config.registers + task.cells
        self.embed = InputEmbedding(
            task.vocab_size,
            config.hidden,
            config.registers,
            task.identifiers,
            puzzle_size=config.puzzle_size or config.hidden,
        )
        self.net = self._network(config)
        self.answer_net = self._network(config) if config.networks == 2 else None
        self.heads = OutputHeads(
            config.hidden, task.vocab_size, config.registers, q=self.halting is not Halting.NONE
        )
        self.register_buffer("y_init", truncated_normal_(torch.empty(config.hidden), 1.0))
        pads = (config.hidden,) if self.pads == 1 else (self.pads, config.hidden)
        self.register_buffer("z_init", truncated_normal_(torch.empty(pads), 1.0))

    def _network(self, config: TRMConfig) -> Stack:
        return stack(
            config.mixer,
            config.blocks,
            hidden=config.hidden,
            heads=config.heads,
            positions=self.positions,
            expansion=config.expansion,
            multiple=config.multiple,
        )

    def initial_state(self, batch: int) -> State:
        """(y, z, …): fixed random vectors, the same at every position; ``latents`` says how many."""
        shape = (batch, self.positions, len(self.y_init))
        pads = self.z_init.view(-1, len(self.y_init))
        return tuple(start.expand(shape) for start in (self.y_init, *pads))

    def compiled_parts(self) -> Iterable[nn.Module]:
        """See `Reasoner.compiled_parts`."""
        return [net for net in (self.net, self.answer_net) if net is not None]

    def update(self, i: int, x: Tensor, state: State) -> State:
        """Update i of a supervision step: of every n + 1, n refine the scratch pad, the last the answer."""
        y, *z = state
        if not z:  # a single latent (section 4.2, Figure 4): there is nothing but the answer to refine
            return (self.net(y, x),)
        turn = i % (self.n + 1)
        if turn == self.n:
            return (self.answer_net or self.net)(y, _sum(z)), *z
        pad = turn % len(z)  # with several z's (Figure 5) each update refines the next one and sees all
        z[pad] = self.net(z[pad], _sum([y + x, *z[:pad], *z[pad + 1 :]]))
        return y, *z

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """T cycles, of which the last carries a gradient; see `Reasoner.forward`."""
        x, state = self.embed(inputs, puzzle_ids), tuple(working(latent) for latent in state)
        updates = self.T * (self.n + 1)
        carrying = min(2, len(state)) if self.one_step else self.n + 1
        with torch.no_grad():
            for i in range(updates - carrying):
                state = self.update(i, x, state)
        for i in range(updates - carrying, updates):
            state = self.update(i, x, state)
        return tuple(latent.detach() for latent in state), self.heads(state[0])


def _sum(tensors: list[Tensor]) -> Tensor:
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total

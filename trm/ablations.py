"""The ablations of the TRM paper that change the recursion itself; names and shapes as in `model`.

One-step gradient (section 4.1), one or several latents (section 4.2, Figures 4 and 5), two networks
(section 4.3). They combine, so that the recursion is written update by update here.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor, nn

from ..harness.api.puzzles import TaskInfo
from ..harness.api.reasoner import Output, State
from ..harness.nn.blocks import Stack
from .config import RecursionConfig, TRMConfig
from .model import TRM


def build(config: TRMConfig, task: TaskInfo) -> TRM:
    """TRM as published, or with ablations."""
    plain = config.gradient == "full" and config.networks == 1 and config.scratch_pads == 1
    return TRM(config, task) if plain else AblatedTRM(config, task)


class AblatedTRM(TRM):
    """The state is (y, z_1, …, z_k), k ≥ 0."""

    answer_net: Stack | None

    def __init__(self, config: TRMConfig, task: TaskInfo):
        super().__init__(config, task)
        self.one_step = config.gradient == "one-step"
        pads = config.scratch_pads
        names = ["z"] if pads == 1 else [f"z{pad + 1}" for pad in range(pads)]
        self.perturbable = ("y", *names)
        self.usual_noise = self.perturbable[-1]

    def build_networks(self, config: RecursionConfig) -> None:
        """One network for z and y, or one for each."""
        assert isinstance(config, TRMConfig)  # see `__init__`
        super().build_networks(config)
        two = config.networks == 2
        self.answer_net = Stack(config, config.blocks, self.positions) if two else None

    def z_shape(self, config: RecursionConfig) -> tuple[int, ...]:
        """(D,) for one z as in `TRM`, else (k, D)."""
        assert isinstance(config, TRMConfig)  # see `__init__`
        pads = config.scratch_pads
        return (config.hidden,) if pads == 1 else (pads, config.hidden)

    def initial_state(self, batch: int) -> State:
        """(y, z_1, …): fixed random vectors, the same at every position."""
        shape = (batch, self.positions, len(self.y_init))
        starts = (self.y_init, *self.z_init.view(-1, len(self.y_init)))
        return tuple(start.to(self.embed.dtype).expand(shape) for start in starts)

    def compiled_parts(self) -> Iterable[nn.Module]:
        """See `Reasoner.compiled_parts`."""
        return [self.net] if self.answer_net is None else [self.net, self.answer_net]

    def numbered_update(self, i: int, x: Tensor, state: State) -> State:
        """Update i of a supervision step: of every n + 1, n refine a z, the last one y."""
        y, *z = state
        if not z:  # a single latent (Figure 4): y alone is refined
            return (self.net(y, x),)
        turn = i % (self.n + 1)
        if turn == self.n:
            return (self.answer_net or self.net)(y, _sum(z)), *z
        pad = turn % len(z)  # several z's (Figure 5): each update refines the next one and sees all
        z[pad] = self.net(z[pad], _sum([y + x, *z[:pad], *z[pad + 1 :]]))
        return y, *z

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """One supervision step; see `Reasoner.forward`."""
        x, *latents = self.arranged(self.embed(inputs, puzzle_ids), *state)
        state = tuple(latents)
        updates = self.T * (self.n + 1)
        tracked = min(2, len(state)) if self.one_step else self.n + 1
        with torch.no_grad():
            for i in range(updates - tracked):
                state = self.numbered_update(i, x, state)
        for i in range(updates - tracked, updates):
            state = self.numbered_update(i, x, state)
        return tuple(latent.detach() for latent in state), self.heads(state[0])


def _sum(tensors: list[Tensor]) -> Tensor:
    return reduce(torch.add, tensors)

"""URM, the Universal Reasoning Model (arXiv 2512.14693): one latent, and a short convolution in every block.

Shapes: B batch, L cells, P prefix positions, S = P + L, D hidden size, M inner size of the SwiGLU; x the
embedded puzzle and the latent h are (B, S, D).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from trm_bench import Halting, Output, Reasoner, State, TaskInfo
from trm_bench.nn import (
    HALTING_OPTIONS,
    AttentionBlock,
    InputEmbedding,
    OutputHeads,
    Stack,
    SwiGLU,
    truncated_normal_,
)

from .config import URMConfig


class ConvSwiGLU(SwiGLU):
    """``down(silu(conv(silu(gate) * up)))``: position i of the convolution sees i − 1 and i.

    One filter of two numbers and a bias for each of the M channels. They are vectors, so that Muon leaves
    them to the other optimiser, and start uniform in ±1/√2, as torch's convolutions do.
    """

    def __init__(self, size: int, expansion: float, multiple: int):
        super().__init__(size, expansion, multiple)
        inner = self.down.in_features
        self.before, self.here, self.bias = (
            nn.Parameter(torch.empty(inner).uniform_(-(2**-0.5), 2**-0.5)) for _ in range(3)
        )

    def forward(self, x_BSD: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        gate, up = self.gate_up(x_BSD).chunk(2, dim=-1)
        return self.down(self.mixed(functional.silu(gate) * up))  # type: ignore[no-any-return]

    def mixed(self, a_BSM: Tensor) -> Tensor:
        """The convolution and what follows it."""
        return functional.silu(self.convolved(a_BSM))

    def convolved(self, a_BSM: Tensor) -> Tensor:
        """``before * a[i − 1] + here * a[i] + bias``, with a zero before position 0."""
        before, here, bias = (part.to(a_BSM.dtype) for part in (self.before, self.here, self.bias))
        previous = functional.pad(a_BSM, (0, 0, 1, 0))[:, :-1]
        return torch.addcmul(bias, a_BSM, here) + previous * before


class ConvBlock(AttentionBlock):
    """``x = rms(x + attention(x)); x = rms(x + conv_swiglu(x))``."""

    feed_forward = ConvSwiGLU
    draws_nothing = True


class URM(Reasoner):
    """``h = net(h + x)`` M times a supervision step, the first N times without a gradient."""

    h_init: Tensor
    perturbable = ("h",)
    usual_noise = "h"

    def __init__(self, config: URMConfig, task: TaskInfo):
        super().__init__()
        self.loops, self.untracked = config.loops, config.untracked
        self.halting = HALTING_OPTIONS[config.halting]
        self.supervision_steps = config.supervision
        self.positions = config.prefix + task.cells
        self.embed = InputEmbedding(config, task)
        block = ConvBlock if config.conv else AttentionBlock
        self.net = Stack(config, config.blocks, self.positions, block)
        self.heads = OutputHeads(config, task, q=self.halting is not Halting.NONE)
        self.register_buffer("h_init", truncated_normal_(torch.empty(config.hidden), 1.0))

    def initial_state(self, batch: int) -> State:
        """(h,): one fixed random vector, the same at every position."""
        return (self.h_init.to(self.embed.dtype).expand(batch, self.positions, len(self.h_init)),)

    def compiled_parts(self) -> Iterable[nn.Module]:
        """See `Reasoner.compiled_parts`."""
        return [self.net]

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """One supervision step; see `Reasoner.forward`."""
        x = self.embed(inputs, puzzle_ids)
        x, h = (self.net.arranged(part.to(x.dtype)) for part in (x, *state))
        with torch.no_grad():
            for _ in range(self.untracked):
                h = self.net(h, x)
        for _ in range(self.untracked, self.loops):
            h = self.net(h, x)
        return (h.detach(),), self.heads(h)

"""The post-norm block of HRM and TRM: a mixer over positions, then a SwiGLU over features.

Shapes: B batch, S positions, D hidden size, H heads, K = D / H.
Source: public reference code of both papers; TRM (arXiv 2510.04871) section 2, HRM (2506.21734) section 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import BlockConfig
from .init import linear

EPS = 1e-5
ROTARY_BASE = 10_000.0


def rms_norm(x: Tensor, axis: int = -1) -> Tensor:
    """RMS norm over an axis without a weight, computed in float32, in the precision of x.

    Spelled out as in the reference code: the fused one rounds otherwise, and over the steps of an evaluation
    that grows past 1e-4.
    """
    x_f32 = x.float()
    return (x_f32 * torch.rsqrt(x_f32.square().mean(axis, keepdim=True) + EPS)).to(x.dtype)


class SwiGLU(nn.Module):
    """``down(silu(gate) * up)`` without biases; gate and up share one matrix."""

    def __init__(self, size: int, expansion: float, multiple: int):
        super().__init__()
        inner = -(-round(expansion * size * 2 / 3) // multiple) * multiple
        self.gate_up = linear(size, 2 * inner)
        self.down = linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """Over the last axis: (..., size) to (..., size)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)

    def left(self, x: Tensor) -> Tensor:
        """Over the first axis: (size, N) to (size, N)."""
        gate, up = self.gate_up.left(x).chunk(2, dim=0)
        return self.down.left(functional.silu(gate) * up)


class Rotary(nn.Module):
    """Rotary positions over a flat index, half-split rotation."""

    cos: Tensor
    sin: Tensor

    def __init__(self, positions: int, head_size: int):
        super().__init__()
        frequency = ROTARY_BASE ** -(torch.arange(0, head_size, 2, dtype=torch.float32) / head_size)
        angle_SK = torch.outer(torch.arange(positions, dtype=torch.float32), frequency).repeat(1, 2)
        self.register_buffer("cos", angle_SK.cos(), persistent=False)
        self.register_buffer("sin", angle_SK.sin(), persistent=False)

    def forward(self, x_BHSK: Tensor) -> Tensor:
        """Rotate queries or keys (B, H, S, K)."""
        low, high = x_BHSK.chunk(2, dim=-1)
        rotated = torch.cat((-high, low), dim=-1)
        return (x_BHSK * self.cos + rotated * self.sin).to(x_BHSK.dtype)


class Attention(nn.Module):
    """Bidirectional self-attention with rotary positions and no biases.

    The head size is ``hidden // heads``; where that leaves a rest, the projections are narrower
    than the hidden size, as in the reference code.
    """

    def __init__(self, hidden: int, heads: int, positions: int):
        super().__init__()
        self.heads, self.head_size = heads, hidden // heads
        if self.head_size < 2 or self.head_size % 2:
            raise ValueError(
                f"hidden={hidden} over heads={heads} must give an even head size, not {self.head_size}"
            )
        self.qkv = linear(hidden, 3 * heads * self.head_size)
        self.out = linear(heads * self.head_size, hidden)
        self.rotary = Rotary(positions, self.head_size)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        B, S, _ = x_BSD.shape
        qkv = self.qkv(x_BSD).view(B, S, 3 * self.heads, self.head_size).transpose(1, 2)
        q, k, v = qkv.chunk(3, dim=1)
        mixed = functional.scaled_dot_product_attention(self.rotary(q), self.rotary(k), v)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """``x = rms(x + attention(x)); x = rms(x + swiglu(x))``."""

    def __init__(self, config: BlockConfig, positions: int):
        super().__init__()
        self.mixer = Attention(config.hidden, config.heads, positions)
        self.mlp = SwiGLU(config.hidden, config.expansion, config.multiple)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        x_BSD = rms_norm(x_BSD + self.mixer(x_BSD))
        return rms_norm(x_BSD + self.mlp(x_BSD))


class MixerBlock(nn.Module):
    """The block of TRM-MLP: a SwiGLU over positions takes the place of attention.

    The first residual and norm run over positions too, as in the reference code.
    """

    def __init__(self, config: BlockConfig, positions: int):
        super().__init__()
        self.mixer = SwiGLU(positions, config.expansion, config.multiple)
        self.mlp = SwiGLU(config.hidden, config.expansion, config.multiple)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        x_BDS = x_BSD.transpose(1, 2)
        x_BSD = rms_norm(x_BDS + self.mixer(x_BDS)).transpose(1, 2)
        return rms_norm(x_BSD + self.mlp(x_BSD))

    def positions_first(self, x_SBD: Tensor) -> Tensor:
        """(S, B, D) to (S, B, D): the same, and both mixers are plain products; nothing is transposed or copied."""
        x_SN = x_SBD.flatten(1)
        x_SBD = rms_norm(x_SN + self.mixer.left(x_SN), axis=0).view(x_SBD.shape)
        return rms_norm(x_SBD + self.mlp(x_SBD))


class Stack(nn.Module):
    """``net(a, inject)`` of the papers: blocks applied to ``a + inject``.

    Both are in the layout of the blocks, into which `enter` brings them, and from which `leave` does: positions first
    for the MLP mixer where speed is wanted (compiled, or in bf16), else (B, S, D), whose sums are the reference's.
    """

    def __init__(self, config: BlockConfig, blocks: int, positions: int):
        super().__init__()
        kind = MixerBlock if config.mixer == "mlp" else AttentionBlock
        self.mlp = config.mixer == "mlp"
        self.blocks = nn.ModuleList(kind(config, positions) for _ in range(blocks))

    def forward(self, a: Tensor, inject: Tensor) -> Tensor:
        """Two tensors in the layout of the blocks to another."""
        x = a + inject
        for block in self.blocks:
            x = block.positions_first(x) if self._transposed(x) else block(x)
        return x

    def enter(self, x_BSD: Tensor) -> Tensor:
        """(B, S, D) in the layout of the blocks."""
        return x_BSD.transpose(0, 1).contiguous() if self._transposed(x_BSD) else x_BSD

    def leave(self, x: Tensor) -> Tensor:
        """The layout of the blocks as (B, S, D)."""
        return x.transpose(0, 1) if self._transposed(x) else x

    def _transposed(self, x: Tensor) -> bool:
        return self.mlp and (torch.compiler.is_compiling() or x.dtype is not torch.float32)

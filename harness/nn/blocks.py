"""The post-norm block of HRM and TRM: a mixer over positions, then a SwiGLU over features.

Shapes: B batch, S positions, D hidden size, H heads, K = D / H.
Source: public reference code of both papers; TRM (arXiv 2510.04871) section 2, HRM (2506.21734) section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .config import BlockConfig
from .init import linear

EPS = 1e-5
FUSED_FROM = 256
"""Positions from which torch's fused attention is faster on a CPU in float32 (measured: 97 and 916)."""
ROTARY_BASE = 10_000.0


def rms_norm(x: Tensor, axis: int = -1) -> Tensor:
    """RMS norm of x (any shape) over an axis without a weight, computed in float32, in the precision of x.

    Spelled out as in the reference code: the fused one rounds otherwise, and over the steps of an evaluation
    that grows past 1e-4. In bf16 on CUDA it is fused, either by the compiler or by torch.
    """
    low = x.is_cuda and x.dtype is not torch.float32
    if low and axis == -1 and not torch.compiler.is_compiling():
        with torch.autocast("cuda", enabled=False):  # which would give the result in float32
            return functional.rms_norm(x, x.shape[-1:], eps=EPS)
    x_f32 = x.float()
    return (x_f32 * torch.rsqrt(x_f32.square().mean(axis, keepdim=True) + EPS)).to(x.dtype)


class SwiGLU(nn.Module):
    """``down(silu(gate) * up)`` without biases; gate and up share one matrix.

    Its inner size is ``expansion * size * 2 / 3``, rounded up to a multiple of ``multiple``.
    Source: N. Shazeer, arXiv 2002.05202; sizes as in the reference code of both papers.
    """

    def __init__(self, size: int, expansion: float, multiple: int):
        super().__init__()
        inner = -(-round(expansion * size * 2 / 3) // multiple) * multiple
        self.gate_up = linear(size, 2 * inner)
        self.down = linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """Over the last axis: (..., size) to (..., size)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)  # type: ignore[no-any-return]

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

    Raises:
        ValueError: the head size is below 2 or odd, which rotary positions cannot have.
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
        self.fused = True

    def forward(self, x_BSD: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        B, S, _ = x_BSD.shape
        qkv = self.qkv(x_BSD).view(B, S, 3 * self.heads, self.head_size).transpose(1, 2)
        q, k, v = qkv.chunk(3, dim=1)
        # In float32 the fused one is slow in its backward pass alone.
        fused = self.fused or (q.dtype is torch.float32 and not torch.is_grad_enabled())
        mix = functional.scaled_dot_product_attention if fused else attention
        mixed = mix(self.rotary(q), self.rotary(k), v)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def attention(q_BHSK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor) -> Tensor:
    """Two products and a softmax in float32: on a CPU several times as fast as torch's fused attention."""
    scores_BHSS = (q_BHSK @ k_BHSK.transpose(-1, -2)).float() * q_BHSK.shape[-1] ** -0.5
    mixed_BHSK: Tensor = scores_BHSS.softmax(-1).to(v_BHSK.dtype) @ v_BHSK
    return mixed_BHSK


class AttentionBlock(nn.Module):
    """``x = rms(x + attention(x)); x = rms(x + swiglu(x))``.

    Attributes:
        feed_forward: the kind of the second part; a subclass may have another.
        draws_nothing: that it draws no random numbers, which counts for this very class alone.
    """

    feed_forward: type[SwiGLU] = SwiGLU
    draws_nothing = True

    def __init__(self, config: BlockConfig, positions: int):
        super().__init__()
        self.mixer = Attention(config.hidden, config.heads, positions)
        self.mlp = self.feed_forward(config.hidden, config.expansion, config.multiple)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        x_BSD = rms_norm(x_BSD + self.mixer(x_BSD))
        return rms_norm(x_BSD + self.mlp(x_BSD))


class MixerBlock(nn.Module):
    """The block of TRM-MLP: a SwiGLU over positions takes the place of attention.

    The first residual and norm run over positions too, as in the reference code.
    """

    draws_nothing = True

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
        """(S, B, D) to (S, B, D): the same in plain products; nothing is transposed or copied."""
        x_SN = x_SBD.flatten(1)
        x_SBD = rms_norm(x_SN + self.mixer.left(x_SN), axis=0).view(x_SBD.shape)
        return rms_norm(x_SBD + self.mlp(x_SBD))


class Stack(nn.Module):
    """``net(a, inject)`` of the papers: blocks applied to ``a + inject``.

    Args:
        config: sizes of a block.
        blocks: how many.
        positions: S, prefix and cells.
        block: ``block(config, positions)`` gives a block, (B, S, D) to (B, S, D); by default the one that
            ``config.mixer`` names.

    Attributes:
        positions_first: whether the MLP mixer computes on (S, B, D), where its products need no copies. That
            rounds otherwise than the reference, as unfused attention does: plain float32 has neither.
        recompute: whether the backward pass computes each block again instead of keeping what is inside it.
    """

    def __init__(
        self,
        config: BlockConfig,
        blocks: int,
        positions: int,
        block: Callable[[BlockConfig, int], nn.Module] | None = None,
    ):
        super().__init__()
        kind = block or (MixerBlock if config.mixer == "mlp" else AttentionBlock)
        self.mixes_by_mlp = kind is MixerBlock
        self.blocks = nn.ModuleList(kind(config, positions) for _ in range(blocks))
        self.positions = positions
        self.positions_first = self.recompute = self.compiled = False
        self.dtype = torch.float32
        self._work: Callable[[Tensor, Tensor], Tensor] = self._refine

    def set_precision(self, dtype: torch.dtype) -> None:
        """Choose the fastest way for a precision; plain float32 keeps to the sums of the reference."""
        self.dtype = dtype
        self.arrange(next(self.parameters()).device.type == "cpu")

    def arrange(self, on_cpu: bool) -> None:
        """Choose the way for the present precision on a device, which need not be that of the weights."""
        low = self.dtype is not torch.float32
        self.positions_first = self.mixes_by_mlp and (self.compiled or (on_cpu and low))
        unfused = on_cpu and (low or (self.compiled and self.positions <= FUSED_FROM))
        for module in self.modules():
            if isinstance(module, Attention):
                module.fused = not unfused

    def forward(self, a_BSD: Tensor, inject_BSD: Tensor) -> Tensor:
        """(B, S, D) and what is added to it, to (B, S, D)."""
        if not self.positions_first:
            return self._work(a_BSD, inject_BSD)
        return self._work(_positions_first(a_BSD), _positions_first(inject_BSD)).transpose(0, 1)

    def arranged(self, x_BSD: Tensor) -> Tensor:
        """The same tensor in the order in memory that `forward` would bring it into at every call."""
        return _positions_first(x_BSD).transpose(0, 1) if self.positions_first else x_BSD

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the blocks; see `torch.compile`. One size of batch is compiled at a time."""
        self.compiled = True
        self.set_precision(self.dtype)
        self._work = torch.compile(self._refine, *args, dynamic=False, **options)

    def _refine(self, a: Tensor, inject: Tensor) -> Tensor:
        x = a + inject
        for block in self.blocks:
            work: Any = block.positions_first if self.positions_first else block
            if self.recompute and x.requires_grad:
                x = checkpoint(work, x, use_reentrant=False, preserve_rng_state=may_draw(block))
            else:
                x = work(x)
        return x


def may_draw(block: nn.Module) -> bool:
    """Whether a block may draw random numbers, whose state must be kept for computing it again.

    That is refused while a CUDA graph is captured, so a class that draws none declares that: it itself, as a
    subclass may have dropout.
    """
    return not vars(type(block)).get("draws_nothing", False)


def _positions_first(x_BSD: Tensor) -> Tensor:
    """(S, B, D); no copy where the memory is in this order already."""
    return x_BSD.transpose(0, 1).contiguous()

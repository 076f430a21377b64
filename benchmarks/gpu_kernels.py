"""Parts of a training step alone on a CUDA device: forms of TRM-MLP's mixer, and attention kernels.

bf16 at the papers' size: batch 768, 97 positions, width 512. Median of ten calls after three, by CUDA events.

    python benchmarks/gpu_kernels.py FILE.json
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

BATCH, POSITIONS, HIDDEN, INNER, MLP_INNER = 768, 97, 512, 512, 1536


class Block(nn.Module):
    """A mixer and a SwiGLU; the mixer works on a transposed view, or multiplies its weights from the left.

    ``padded`` is the number of positions of the input, of which those beyond 97 are zero and stay so.
    """

    def __init__(self, transposed: bool, padded: int):
        super().__init__()
        self.transposed, self.padded = transposed, padded
        self.mixer_in, self.mixer_out = weight(2 * INNER, POSITIONS), weight(POSITIONS, INNER)
        self.mlp_in, self.mlp_out = weight(2 * MLP_INNER, HIDDEN), weight(HIDDEN, MLP_INNER)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        mixed = self.mix_transposed(x_BSD) if self.transposed else self.mix_left(x_BSD)
        gate, up = functional.linear(mixed, self.mlp_in).chunk(2, -1)
        fed = mixed + functional.linear(functional.silu(gate) * up, self.mlp_out)
        return functional.rms_norm(fed, (HIDDEN,), eps=1e-5)

    def mix_transposed(self, x_BSD: Tensor) -> Tensor:
        """As linear layers over the last axis of (B, D, S)."""
        x_BDS = x_BSD.transpose(1, 2)
        gate, up = functional.linear(x_BDS, self.mixer_in).chunk(2, -1)
        mixed = x_BDS + functional.linear(functional.silu(gate) * up, self.mixer_out)
        return functional.rms_norm(mixed, (POSITIONS,), eps=1e-5).transpose(1, 2)

    def mix_left(self, x_BSD: Tensor) -> Tensor:
        """As products from the left, without a copy of x."""
        extra = self.padded - POSITIONS
        into, out = (
            functional.pad(self.mixer_in, (0, extra)),
            functional.pad(self.mixer_out, (0, 0, 0, extra)),
        )
        gate, up = torch.matmul(into, x_BSD).chunk(2, 1)
        wide = (x_BSD + torch.matmul(out, functional.silu(gate) * up)).float()
        scale = torch.rsqrt(wide.square().sum(1, keepdim=True) / POSITIONS + 1e-5)
        return (wide * scale).to(x_BSD.dtype)


def weight(*shape: int) -> nn.Parameter:
    """A random matrix of about unit gain."""
    return nn.Parameter(torch.randn(*shape, device="cuda", dtype=torch.bfloat16) / shape[-1] ** 0.5)


def milliseconds(work: Callable[[], object]) -> float:
    """Median of ten calls after three."""
    times = []
    for call in range(13):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        work()
        after.record()
        torch.cuda.synchronize()
        times += [before.elapsed_time(after)] * (call > 2)
    return statistics.median(times)


def mixer(transposed: bool, padded: int, compiled: bool) -> dict[str, float]:
    """Two blocks, forward without gradient, and forward and backward."""
    net = nn.Sequential(Block(transposed, padded), Block(transposed, padded))
    if compiled:
        net.compile()
    x_BSD = torch.randn(BATCH, padded, HIDDEN, device="cuda", dtype=torch.bfloat16)
    tracked = x_BSD.clone().requires_grad_()

    def forward() -> None:
        with torch.no_grad():
            net(x_BSD)

    return {
        "forward_ms": milliseconds(forward),
        "both_ms": milliseconds(lambda: net(tracked).backward(x_BSD)),
    }


def attention(batch: int, positions: int, backend: SDPBackend) -> float:
    """Forward and backward of 8 heads of 64."""
    q, k, v = (
        torch.randn(batch, 8, positions, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    )
    with sdpa_kernel([backend]):
        return milliseconds(
            lambda: functional.scaled_dot_product_attention(q, k, v).backward(v.detach())  # type: ignore[no-untyped-call]
        )


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, metavar="FILE.json")
    file = parser.parse_args().file
    cases: dict[str, Callable[[], object]] = {}
    for name, transposed, padded in (("transposed", True, 97), ("left", False, 97), ("left", False, 104)):
        for compiled in (False, True):
            way = "compiled" if compiled else "eager"
            cases[f"{name} {padded} {way}"] = partial(mixer, transposed, padded, compiled)
    for batch, positions in ((768, 97), (64, 916)):
        for kernel in ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"):
            cases[f"sdpa {positions} {kernel}"] = partial(
                attention, batch, positions, getattr(SDPBackend, kernel)
            )
    found = {name: measure() for name, measure in cases.items()}
    file.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

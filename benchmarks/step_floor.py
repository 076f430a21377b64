"""What a training step must do at least: operations over a rate, bytes over the bandwidth.

    python benchmarks/step_floor.py [--batch N] [--peak FLOP/s] [--aligned FLOP/s] [--unaligned FLOP/s]

Counted with shapes alone, at the papers' sizes and as on CUDA: nothing is computed, so any batch fits any
machine. A step is forward, backward and the second pass, without the optimiser. Its matrix products are
counted one by one: operations, bytes read and written, and alignment, which is whether the contiguous rows of
both operands and the result are multiples of 16 bytes (8 numbers in bf16), as tensor cores want them. All
else is counted as bytes of PyTorch's eager kernels, one per operation. Three times follow:

- floor: all operations at the data sheet's peak, or all bytes of the products if that takes longer;
- products: each product at the rate of its alignment, or of its bytes, one after another;
- eager: the products as eager mode arranges them, and the rest in turn with them.

Floor and products are those of a compiled step, where TRM-MLP multiplies its mixer's weights from the left.
Defaults are those of an NVIDIA H200 (SXM). By its data sheet: 989 TFLOP/s of dense bf16, 4.8 TB/s. Measured:
767 TFLOP/s in products (results/gpu/h200-speed.json), aligned or not, because compiled mixers of 97 and of
104 positions took the same time (results/gpu/h200-kernels.json).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.host.host import host
from trm_bench.harness.nn.blocks import Stack
from trm_bench.harness.nn.loss import step_loss
from trm_bench.harness.nn.precision import refresh, set_precision
from trm_bench.harness.planning.models import ResolvedModel, resolve_model
from trm_bench.harness.training.device import autocast
from trm_bench.harness.training.supervision import Slots, continue_target

CPU = torch.device("cpu")
SUDOKU = TaskInfo("sudoku-extreme", "paper", 9, 9, 11)
MAZE = TaskInfo("maze-hard", "paper", 30, 30, 6)
CASES = [
    ("trm-mlp", SUDOKU),
    ("trm-att", SUDOKU),
    ("hrm", SUDOKU),
    ("transformer", SUDOKU),
    ("transformer-looped", SUDOKU),
    ("trm-att", MAZE),
]
ALIGNMENT = 16
"""Bytes."""


@dataclass(frozen=True)
class Product:
    """A matrix product, or a whole attention."""

    flops: int
    bytes: int
    aligned: bool


@dataclass(frozen=True)
class Rates:
    """FLOP/s of products, and bytes/s."""

    aligned: float
    unaligned: float
    bandwidth: float

    def seconds(self, product: Product) -> float:
        """Of a product alone."""
        rate = self.aligned if product.aligned else self.unaligned
        return max(product.flops / rate, product.bytes / self.bandwidth)


@dataclass(frozen=True)
class Step:
    """One training step: its products, and the bytes that everything else moves."""

    products: list[Product]
    others: int

    @property
    def flops(self) -> int:
        """Of all products; fused attention computes its scores again in the backward pass."""
        return sum(product.flops for product in self.products)

    @property
    def bytes(self) -> int:
        """Of all products."""
        return sum(product.bytes for product in self.products)

    @property
    def unaligned(self) -> float:
        """Share of the operations that are not aligned."""
        return sum(product.flops for product in self.products if not product.aligned) / self.flops

    def seconds(self, rates: Rates) -> float:
        """Of the products, one after another."""
        return sum(map(rates.seconds, self.products))


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps products, and adds up the bytes that all other operations read and write, views left out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[Product] = []
        self.others = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.is_view or func.namespace == "prim" or func.__name__.startswith("_unsafe_view"):
            return result
        tensors = list(_tensors((args, kwargs, result)))
        moved = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        flops = _flops(func, args, result)
        if flops is None:
            self.others += moved
        else:
            self.products.append(Product(flops, moved, all(map(_aligned, tensors))))
        return result


def _tensors(tree: object) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _flops(func: Any, args: tuple[Any, ...], result: object) -> int | None:
    """Operations of a product; None of anything else. A CPU's fused attention counts as that of CUDA."""
    if "scaled_dot_product" in func.__name__:
        backward = "backward" in func.__name__
        shapes = [tensor.shape for tensor in args[: 4 if backward else 3]]
        attention: Any = sdpa_backward_flop_count if backward else sdpa_flop_count
        return int(attention(*shapes))
    formula = flop_registry.get(func.overloadpacket)
    return None if formula is None else int(formula(*args, out_val=result))


def _aligned(tensor: Tensor) -> bool:
    """Whether the dimension that is contiguous in memory is a multiple of 16 bytes; so is a single number."""
    rows = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride == 1]
    return tensor.numel() == 1 or max(rows, default=1) * tensor.element_size() % ALIGNMENT == 0


def count(model: ResolvedModel, info: TaskInfo, batch: int, precision: str, compiled: bool) -> Step:
    """The products and bytes of a training step of ``batch`` puzzles, arranged as on CUDA."""
    probe, fake = model.build(info).train(), FakeTensorMode()
    for module in probe.modules():
        kinds: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for tensors in kinds:
            for name, tensor in tensors.items():
                tensors[name] = None if tensor is None else fake.from_tensor(tensor)
    with fake:
        set_precision(probe, precision)
        for stack in (module for module in probe.modules() if isinstance(module, Stack)):
            stack.compiled = compiled
            stack.arrange(on_cpu=False)
        slots = Slots(probe, batch, info.cells, CPU)
        with Traffic() as seen:
            refresh(probe)
            with autocast(CPU, precision):
                state, output = probe(slots.state, slots.inputs, slots.puzzle_ids)
                target = continue_target(slots, state)
            step_loss(output, slots.targets, target).total.backward()  # type: ignore[no-untyped-call]
    return Step(seen.products, seen.others)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=768)
    parser.add_argument("--peak", type=float, default=989e12, help="FLOP/s, for the floor")
    parser.add_argument("--aligned", type=float, default=767e12, help="FLOP/s of aligned products")
    parser.add_argument("--unaligned", type=float, default=767e12, help="FLOP/s of the other products")
    parser.add_argument("--bandwidth", type=float, default=4.8e12, help="bytes/s")
    parser.add_argument("--precision", default="bf16", choices=("bf16", "float32"))
    given = parser.parse_args()
    rates = Rates(given.aligned, given.unaligned, given.bandwidth)
    rows = []
    for name, info in CASES:
        model = resolve_model(host(), name, info, {}, (1, 1))
        eager, compiled = (
            count(model, info, given.batch, given.precision, compiled) for compiled in (False, True)
        )
        floor = max(compiled.flops / given.peak, compiled.bytes / given.bandwidth)
        turns = eager.seconds(rates) + eager.others / given.bandwidth
        rows.append(
            [
                f"{name}, {info.task}",
                f"{compiled.flops / 1e12:.3g}",
                f"{eager.unaligned:.0%}, {compiled.unaligned:.0%}",
                f"{compiled.bytes / 1e9:.3g}",
                f"{eager.others / 1e9:.3g}",
                f"{1000 * floor:.3g}",
                f"{1000 * compiled.seconds(rates):.3g}",
                f"{1000 * turns:.3g}",
            ]
        )
    print(
        f"batch {given.batch}, {given.precision}; floor at {given.peak:.3g} FLOP/s; products at "
        f"{given.aligned:.3g} FLOP/s, not aligned at {given.unaligned:.3g}; {given.bandwidth:.3g} B/s"
    )
    headers = ["", "TFLOP", "not aligned: eager, compiled", "GB products", "GB rest, eager"]
    print(tabulate(rows, headers=[*headers, "floor ms", "products ms", "eager ms"]))


if __name__ == "__main__":
    main()

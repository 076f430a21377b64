"""What a training step must do at least: operations over the peak, bytes over the bandwidth.

    python benchmarks/step_floor.py [--batch N] [--peak FLOP/s] [--bandwidth B/s]

Counted with shapes alone, at the paper's sizes: nothing is computed, so any batch fits any machine. Three
counts: operations of the matrix products (`harness.training.costs`); bytes that those products read and
write; bytes that all the other operations of PyTorch's eager mode read and write, each as a kernel of its
own. From them two times: the floor, if everything between the products were fused into them, and what eager
mode comes to if products and the rest take turns. The default peak and bandwidth are the data sheet's of an
NVIDIA H200 (SXM: 989 TFLOP/s of dense bf16, 4.8 TB/s); give those that `trm-bench speed` measured on yours.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Reasoner
from trm_bench.harness.host.host import host
from trm_bench.harness.nn.loss import step_loss
from trm_bench.harness.planning.models import resolve_model
from trm_bench.harness.training.costs import count_flops
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
PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "scaled_dot_product")


class Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.products = self.others = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        written = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        read = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        if not (func.is_view or func.namespace == "prim" or func.__name__.startswith("_unsafe_view")):
            moved = sum(one.numel() * one.element_size() for one in (*read, *written))
            if any(name in func.__name__ for name in PRODUCTS):
                self.products += moved
            else:
                self.others += moved
        return result


@dataclass(frozen=True)
class Step:
    """Of one training step, forward and backward, without the optimiser."""

    flops: float
    products: int
    others: int


def count(model: Reasoner, cells: int, batch: int, precision: str) -> Step:
    """Operations and bytes of a training step of ``batch`` puzzles."""
    flops = batch * count_flops(model, cells).training_step
    fake = FakeTensorMode()
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                tensors[name] = None if tensor is None else fake.from_tensor(tensor)
    probe = model.train()
    with fake:
        slots = Slots(probe, batch, cells, CPU)
        with Traffic() as seen:
            with autocast(CPU, precision):
                state, output = probe(slots.state, slots.inputs, slots.puzzle_ids)
                target = continue_target(slots, state)
            step_loss(output, slots.targets, target).total.backward()
    return Step(flops, seen.products, seen.others)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=768)
    parser.add_argument("--peak", type=float, default=989e12)
    parser.add_argument("--bandwidth", type=float, default=4.8e12)
    parser.add_argument("--precision", default="bf16", choices=("bf16", "float32"))
    given = parser.parse_args()
    rows = []
    for name, info in CASES:
        resolved = resolve_model(host(), name, info, {}, (1, 1))
        step = count(resolved.build(info), info.cells, given.batch, given.precision)
        work, moved = step.flops / given.peak, step.products / given.bandwidth
        floor, eager = max(work, moved), work + step.others / given.bandwidth
        rows.append(
            [
                f"{name}, {info.task}",
                f"{step.flops / 1e12:.3g}",
                f"{step.products / 1e9:.3g}",
                f"{step.others / 1e9:.3g}",
                f"{1000 * floor:.3g}",
                f"{1000 * eager:.3g}",
                f"{work / eager:.0%}",
            ]
        )
    print(f"batch {given.batch}, {given.precision}, {given.peak:.3g} FLOP/s, {given.bandwidth:.3g} B/s")
    print(
        tabulate(
            rows,
            headers=["", "TFLOP", "GB products", "GB rest, eager", "floor ms", "eager ms", "eager of peak"],
        )
    )


if __name__ == "__main__":
    main()

"""The processes that train one run together, and what they tell each other.

Each process has the whole model and a part of the slots: rank r of W those from rB/W to (r + 1)B/W. They add
up their gradients before every update, so that all of them hold the same weights, and decide together what
depends on one of them: to save, to stop, to give up. One process alone is a group of one, which never waits.

A model that draws random numbers in training draws the same ones in every process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..api.errors import TrmBenchError, UsageError

T = TypeVar("T")
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_INTERFACE = "lo0" if sys.platform == "darwin" else "lo"


class RankLost(Exception):
    """Another process of the run ended, or cannot be reached."""


class Group:
    """A group of one: whatever it is asked is known already.

    Attributes:
        rank: number of this process, from 0.
        size: W, the number of processes.
    """

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def claim(self, drawn: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        """The number of this process's next draw, and how many draws all processes take.

        Args:
            drawn: () draws taken until now, by all.
            free: () draws that this process takes.
        """
        return drawn, free

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over all processes into each tensor; the same bits everywhere."""

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (n, …) of all processes by rank, (W·n, …)."""
        return rows

    def own(self, rows: Tensor) -> Tensor:
        """This process's part of the rows (W·n, …) of all."""
        count = len(rows) // self.size
        return rows[self.rank * count : (self.rank + 1) * count]

    def total(self, number: float) -> float:
        """The sum of a number over all processes."""
        return number

    def either(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag, true where it is for any process."""
        return flags

    def exchange(self, item: T) -> list[T]:
        """The items of all processes by rank; they can be pickled."""
        return [item]

    def require_equal(self, model: nn.Module, step: int) -> None:
        """Compare the weights of all processes after an optimiser step.

        Raises:
            TrmBenchError: they are not the same to the bit; names the step.
        """


ALONE = Group()


class Processes(Group):
    """One of several processes that have joined (`joined`)."""

    def __init__(self, rank: int, size: int):
        self.rank, self.size = rank, size

    def claim(self, drawn: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        """See `Group.claim`."""
        counts = self.gather(free.view(1))
        return drawn + counts[: self.rank].sum(), counts.sum()

    @torch.no_grad()
    def add(self, tensors: Sequence[Tensor]) -> None:
        """See `Group.add`; sent as one message."""
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _talking():
            dist.all_reduce(flat)
        sums = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, sums, strict=True):
            tensor.copy_(part.view_as(tensor))

    @torch.no_grad()
    def gather(self, rows: Tensor) -> Tensor:
        """See `Group.gather`; sent as bytes, because gloo does not know every type."""
        rows = rows.contiguous()
        everything = rows.new_empty(self.size * len(rows), *rows.shape[1:])
        with _talking():
            # Newer versions of torch have another name for it, and warn about the old one.
            gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
            gather(everything.view(torch.uint8), rows.view(torch.uint8))
        return everything

    def total(self, number: float) -> float:
        """See `Group.total`."""
        there = torch.tensor([number], dtype=torch.float64)
        with _talking():
            dist.all_reduce(there)
        return float(there)

    def either(self, *flags: bool) -> tuple[bool, ...]:
        """See `Group.either`."""
        counts = torch.tensor([int(flag) for flag in flags])
        with _talking():
            dist.all_reduce(counts)
        return tuple(count > 0 for count in counts.tolist())

    def exchange(self, item: T) -> list[T]:
        """See `Group.exchange`."""
        items: list[T] = [item] * self.size
        with _talking():
            dist.all_gather_object(items, item)
        return items

    def require_equal(self, model: nn.Module, step: int) -> None:
        """See `Group.require_equal`; compares a checksum of each tensor, the sum of its numbers' bits."""
        weights = model.state_dict()
        sums = self.gather(torch.stack([_checksum(weight) for weight in weights.values()])[None]).cpu()
        for rank in range(1, self.size):
            differ = (sums[rank] != sums[0]).tolist()
            if any(differ):
                raise TrmBenchError(
                    f"process {rank} of {self.size} has other weights than process 0 after optimiser step "
                    f"{step} ({list(weights)[differ.index(True)]}): the machine is at fault, or the model's "
                    "code; rerun the same command to resume from the last checkpoint, with --set processes=1 "
                    "if it happens again"
                )


def _checksum(weight: Tensor) -> Tensor:
    """() int64."""
    bits = weight.detach().contiguous().reshape(-1).view(_BITS[weight.element_size()])
    return bits.sum(dtype=torch.int64)


@contextmanager
def _talking() -> Iterator[None]:
    """Turn an error of communication, for which torch has no class of its own, into `RankLost`."""
    try:
        yield
    except RuntimeError as error:
        raise RankLost(str(error).splitlines()[0]) from error


@contextmanager
def joined(rank: int, size: int, file: Path, device: str) -> Iterator[Group]:
    """The group of ``size`` processes that call this with the same file, each with its own rank.

    They talk by gloo in main memory and by NCCL between GPUs, where rank r uses GPU r of those that it sees.

    Raises:
        RankLost: the others cannot be reached.
    """
    os.environ.setdefault("GLOO_SOCKET_IFNAME", _INTERFACE)  # all of them are on this machine
    backend = "gloo"
    if device == "cuda":
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(rank)
    with _talking():
        store = dist.FileStore(str(file), size)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield Processes(rank, size)
    finally:
        dist.destroy_process_group()


def check_processes(processes: int, batch: int | None, device: str) -> None:
    """Refuse a number of processes that a run cannot be divided among.

    Args:
        processes: W.
        batch: supervision slots; None where nothing is trained.
        device: kind of the device.

    Raises:
        UsageError: it does not divide the batch, or the device is not one on which processes can talk.
    """
    if processes == 1:
        return
    if device not in ("cpu", "cuda"):
        raise UsageError(
            f"setting processes={processes} goes with --device cpu or cuda, not with --device {device}"
        )
    if batch is None or batch % processes == 0:
        return
    divisors = [number for number in range(1, batch + 1) if batch % number == 0]
    near = sorted(sorted(divisors, key=lambda number: abs(number - processes))[:2])
    raise UsageError(
        f"setting processes={processes} does not divide the batch of {batch}: choose "
        f"{' or '.join(map(str, near))}, or another batch_size (which is another budget)"
    )

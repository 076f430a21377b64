"""The machine's own peak, measured: a model's speed is compared with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..store.provenance import processor
from ..training.device import synchronize

TRIES = 5


@dataclass(frozen=True)
class Machine:
    """A device with the number of threads that a run gets.

    Attributes:
        name: of the processor or the accelerator.
        threads: on a CPU.
        flops: per second, of a large square matrix product of random numbers in the precision measured.
        bytes: per second, read and written, of a large copy.
    """

    name: str
    threads: int
    flops: float
    bytes: float


def product_rate(device: torch.device, precision: str) -> float:
    """FLOP/s of a large square matrix product of random numbers: the best of a few tries."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    size = 8192 if device.type == "cuda" else 1024
    own = torch.Generator(device).manual_seed(0)  # a run's own random numbers stay as they are
    a, b = (torch.randn(size, size, device=device, generator=own).to(dtype) for _ in range(2))
    return 2 * size**3 / _fastest(lambda: torch.mm(a, b), device)


def measure_machine(device: torch.device, precision: str) -> Machine:
    """The best of a few tries, with the threads that torch has now; takes a few seconds."""
    megabytes = 4096 if device.type == "cuda" else 256
    source = torch.zeros(megabytes << 18, device=device)
    target = torch.empty_like(source)
    copy = _fastest(lambda: target.copy_(source), device)
    return Machine(
        name=_name(device),
        threads=torch.get_num_threads(),
        flops=product_rate(device, precision),
        bytes=2 * source.nbytes / copy,
    )


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest try; on an accelerator each try is several calls, so that it fills the queue."""
    calls = 10 if device.type == "cuda" else 1
    work()
    times = []
    for _ in range(TRIES):
        synchronize(device)
        started = time.perf_counter()
        for _ in range(calls):
            work()
        synchronize(device)
        times.append((time.perf_counter() - started) / calls)
    return min(times)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor() or device.type

"""Which GPUs a request uses, and how a process is started that sees one of them alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from ..api.errors import UnavailableError, UsageError
from .device import resolve_device

VISIBLE = "CUDA_VISIBLE_DEVICES"
Gpus = str | int | Sequence[int]
"""The value of ``--gpus``: numbers by comma, a number, or several."""


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process sees.

    Attributes:
        index: its number in this process, as in ``cuda:1``.
        name: of the model.
        uuid: ``GPU-…`` or ``MIG-…``; None where it is not known.
        entry: value of CUDA_VISIBLE_DEVICES with which a process sees this GPU alone; None for the only one,
            which every process sees already.
    """

    index: int
    name: str
    uuid: str | None = None
    entry: str | None = None

    def __str__(self) -> str:
        return f"{self.index} ({self.name})"


@dataclass(frozen=True)
class Placement:
    """Where the runs of a request are carried out.

    Attributes:
        kind: cpu, cuda or mps, as in a run's identity.
        gpus: on CUDA, the GPUs to use; empty elsewhere.
        named: whether the user chose them.
    """

    kind: str
    gpus: tuple[Gpu, ...] = ()
    named: bool = False

    def single(self, verb: str) -> Gpu | None:
        """The GPU of a verb that uses one: the first of those that are visible, or the named one.

        Raises:
            UsageError: several are named.
        """
        if self.named and len(self.gpus) > 1:
            numbers = ",".join(str(gpu.index) for gpu in self.gpus)
            raise UsageError(f"--gpus {numbers}: {verb} uses one GPU; name one")
        return next(iter(self.gpus), None)


def visible_gpus() -> tuple[Gpu, ...]:
    """The GPUs that CUDA shows to this process, in its order; empty where there are none."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(_gpu(index, count) for index in range(count))


def _gpu(index: int, count: int) -> Gpu:
    properties = torch.cuda.get_device_properties(index)
    entries = [entry.strip() for entry in os.environ.get(VISIBLE, "").split(",")]
    entry = entries[index] if index < len(entries) and entries[index] else str(index)
    # An instance of a divided GPU (MIG) has a name of its own; torch may know that of the whole GPU alone.
    uuid = entry if entry.startswith("MIG-") else _uuid(properties)
    return Gpu(index, properties.name, uuid, None if count == 1 else uuid or entry)


def _uuid(properties: object) -> str | None:
    known = getattr(properties, "uuid", None)
    return None if known is None else f"GPU-{str(known).removeprefix('GPU-')}"


def choose_device(device: str | None = None, gpus: Gpus | None = None) -> Placement:
    """The device of ``--device``, and the GPUs of ``--gpus``; ``cuda:1`` is the same as ``--gpus 1``.

    Raises:
        UsageError: a value cannot be read, a GPU is named twice, or the two options contradict each other.
        UnavailableError: the device or a GPU is not on this machine; names those that are.
    """
    device = str(device or "auto")
    texts = [] if gpus is None else _texts(gpus)
    option = f"--device {device}" if gpus is None else f"--gpus {','.join(texts)}"
    numbers = None if gpus is None else _numbers(option, texts)
    if device.startswith("cuda:"):
        number = _numbers(f"--device {device}", [device.removeprefix("cuda:")])
        if numbers not in (None, number):
            raise UsageError(f"--device {device} and {option} name different GPUs; leave one of them out")
        device, numbers = "cuda", number
    if numbers is None:
        kind = resolve_device(device).type
        return Placement(kind, visible_gpus() if kind == "cuda" else ())
    if device not in ("auto", "cuda"):
        raise UsageError(f"{option} goes with --device cuda, not with --device {device}")
    return Placement("cuda", _found(option, numbers), named=True)


def _texts(gpus: Gpus) -> list[str]:
    if isinstance(gpus, str):
        return gpus.split(",")
    return [str(number) for number in gpus] if isinstance(gpus, Sequence) else [str(gpus)]


def _numbers(option: str, texts: list[str]) -> list[int]:
    """The numbers of GPUs; nine digits are enough for any.

    Raises:
        UsageError: there are none, one is no number, or one comes twice.
    """
    if not texts or not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", text) for text in texts):
        raise UsageError(f"{option}: write the numbers of GPUs, e.g. --gpus 0,2; {_there(visible_gpus())}")
    numbers = [int(text) for text in texts]
    for number in numbers:
        if numbers.count(number) > 1:
            raise UsageError(f"{option}: GPU {number} is named twice; {_there(visible_gpus())}")
    return numbers


def _found(option: str, numbers: list[int]) -> tuple[Gpu, ...]:
    there = visible_gpus()
    missing = [number for number in numbers if number >= len(there)]
    if missing:
        raise UnavailableError(f"{option}: there is no GPU {missing[0]}; {_there(there)}")
    return tuple(there[number] for number in numbers)


def _there(gpus: tuple[Gpu, ...]) -> str:
    if gpus:
        return f"available: {', '.join(map(str, gpus))}"
    return f"this machine or this build of torch ({torch.__version__}) has no GPU for CUDA"


def torch_device(kind: str, gpu: Gpu | None = None) -> torch.device:
    """The device in this process, which sees the other GPUs too."""
    return torch.device(kind) if gpu is None else torch.device("cuda", gpu.index)


@contextmanager
def seeing(gpu: Gpu | None) -> Iterator[None]:
    """Processes that are started inside see this GPU alone; without one, what this process sees."""
    if gpu is None or gpu.entry is None:
        yield
        return
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = gpu.entry
    try:
        yield
    finally:
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before


def gpu_facts(gpu: Gpu) -> dict[str, str | None]:
    """What a run's manifest keeps of its GPU."""
    return {"name": gpu.name, "uuid": gpu.uuid, "driver": _driver(), "cuda": torch.version.cuda}


@cache
def _driver() -> str | None:
    """Version of NVIDIA's driver for Linux."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", text)
    return found[0] if found else None

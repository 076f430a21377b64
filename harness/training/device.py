"""Where a run computes: choosing the device, its precision, and what it measures."""

from __future__ import annotations

import contextlib
import resource
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from ..api.errors import UnavailableError, UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(name: str) -> torch.device:
    """The device of a ``--device`` value.

    Raises:
        UsageError: the name is not one of `DEVICES`.
        UnavailableError: the device is not on this machine.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if name not in available:
        raise UsageError(f"--device {name!r} is not known; choose one of {', '.join(DEVICES)}")
    if not available[name]:
        have = ", ".join(kind for kind, there in available.items() if there)
        raise UnavailableError(
            f"--device {name}: this machine or this build of torch ({torch.__version__}) has none; "
            f"available: {have}. Leave --device out to take the best there is."
        )
    return torch.device(name)


def usual_precision(device: str) -> str:
    """What ``precision=auto`` means: bf16, as published, on CUDA and CPUs that have it, else float32."""
    if device == "cuda" or (device == "cpu" and _cpu_has_bf16_products()):
        return "bf16"
    return "float32"


def _cpu_has_bf16_products() -> bool:
    """By what the processor says of itself, not by a timing, which could come out otherwise tomorrow."""
    return any(there and name.endswith("_bf16") for name, there in torch.cpu.get_capabilities().items())


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context of a forward pass, for the layers of plugins; ours know the precision themselves.

    Weights are cast at each use, so that their gradients are added up in float32, as in the reference
    code. One cast kept for the whole pass would add them up in bfloat16, and one made where no gradient
    flows would swallow those of the cycle that carries one.
    """
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
    return contextlib.nullcontext()


def synchronize(device: torch.device) -> None:
    """Wait for queued work, so that a clock read next means something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device) -> int:
    """Bytes: most allocated on a CUDA device, else the process's largest resident size."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # On Linux `ru_maxrss` of a child starts at its parent's size; VmHWM is the process's own.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

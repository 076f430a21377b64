"""Compiling a model: whether it can be done here, whether it pays, and where the compiled code is kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from ..api.errors import UnavailableError
from ..api.reasoner import Reasoner
from ..data.prepare import cache_root

RECOMPILATIONS = 32
"""Most versions of one function: with a gradient, without, at evaluation; for every stack of a model."""
PAYS_AFTER = 600.0
"""Seconds of a run, as forecast, from which compiling pays: it takes up to a minute and saves a third."""


def obstacle(device: torch.device) -> str | None:
    """Why `torch.compile` cannot work on a device, or None.

    On a CPU it calls a C++ compiler, with the path of torch unquoted.
    """
    if device.type != "cpu":
        return None
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        return "no C++ compiler (g++ or clang++) was found"
    if " " in str(Path(torch.__file__).parent):
        return f"torch lies in a folder with a space in its path ({Path(torch.__file__).parent})"
    return None


def compile_parts(model: Reasoner, device: torch.device) -> None:
    """Compile the parts that a model names; what was compiled on this machine before is read from the cache.

    Raises:
        UnavailableError: it cannot be done here.
    """
    if problem := obstacle(device):
        raise UnavailableError(f"setting compile=true: {problem}")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_root() / "compiled"))
    torch._dynamo.config.recompile_limit = RECOMPILATIONS
    for part in model.compiled_parts():
        part.compile()

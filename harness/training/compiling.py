"""Whether a model can be compiled here."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch


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

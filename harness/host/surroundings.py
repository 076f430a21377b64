"""What code may change of the process that it is called in, and others would find changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

DEVICE_TYPES = ("cpu", "cuda")
"""Whose autocast is put back."""


@contextmanager
def surroundings_kept() -> Iterator[None]:
    """Put back the working folder, the environment, the umask and torch's modes, if they were changed."""
    with ExitStack() as undo:
        undo.callback(_environment(dict(os.environ)))
        undo.callback(_folder())
        undo.callback(_umask())
        if "torch" in sys.modules:
            undo.callback(_modes())
        yield


def _environment(before: dict[str, str]) -> Callable[[], None]:
    def restore() -> None:
        if os.environ != before:
            for name in set(os.environ) - set(before):
                del os.environ[name]
            os.environ.update(before)

    return restore


def _folder() -> Callable[[], None]:
    try:
        before = os.getcwd()
    except OSError:  # it was deleted
        return lambda: None

    def restore() -> None:
        with suppress(OSError):
            if _here() != before:
                os.chdir(before)

    return restore


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _umask() -> Callable[[], None]:
    before = os.umask(0o077)  # there is no way to read it without setting it
    os.umask(before)

    def restore() -> None:
        os.umask(before)

    return restore


def _modes() -> Callable[[], None]:
    import torch

    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    device: Any = torch.get_default_device()
    casts = {kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in DEVICE_TYPES}

    def restore() -> None:
        torch.set_grad_enabled(grad)
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(None if device.type == "cpu" else device)
        for kind, (enabled, cast) in casts.items():
            torch.set_autocast_enabled(kind, enabled)
            torch.set_autocast_dtype(kind, cast)

    return restore

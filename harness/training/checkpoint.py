"""Checkpoints: a training run saved on disk, resumed later as if it had never stopped.

Owns the file, when it is due, and the request to stop. What is saved is the trainer's `state`.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ..store.folders import replacing
from .config import ExecutionConfig

VERSION = 7
"""Of the file's content; a file of another version is not read, and the run starts from scratch."""
_MARK = f"trm-bench checkpoint {VERSION:4d} ".encode()
_TAIL = len(_MARK) + hashlib.sha256().digest_size
"""Bytes at the end of the file: the mark, and the SHA-256 of the run's name and all before it. torch checks
nothing itself."""


@dataclass
class Clock:
    """Tells when the next checkpoint is due."""

    execution: ExecutionConfig
    last_step: int = 0
    last_time: float = field(default_factory=time.monotonic)

    def due(self, step: int) -> bool:
        """Whether a checkpoint is due after ``step`` optimiser steps."""
        by_steps = (
            self.execution.checkpoint_steps is not None
            and step - self.last_step >= self.execution.checkpoint_steps
        )
        waited = time.monotonic() - self.last_time
        return by_steps or (
            self.execution.checkpoint_seconds is not None and waited >= self.execution.checkpoint_seconds
        )

    def worth_it(self, seconds: float) -> bool:
        """Whether training of this length is worth keeping until its evaluation is done."""
        return self.execution.checkpoint_seconds is not None and seconds >= self.execution.checkpoint_seconds

    def saved(self, step: int) -> None:
        """Restart the clock after a save, so that slow saving cannot take all the time."""
        self.last_step, self.last_time = step, time.monotonic()


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the checkpoint of a run; the previous one stays until the new one is whole on disk.

    Raises:
        OSError: it could not be written, e.g. because the disk is full; names ``path``.
    """
    with replacing(path) as scratch:
        with scratch.open("wb") as stream:  # torch hides why a write to a path fails
            torch.save(dict(content), stream)
        digest = _digest(scratch, scratch.stat().st_size)
        with scratch.open("ab") as stream:
            stream.write(_MARK + digest)


def _digest(path: Path, size: int) -> bytes:
    """Of the first bytes of a file and the name of its folder: no other run may continue from it."""
    digest, left = hashlib.sha256(os.fsencode(path.absolute().parent.name)), size
    with path.open("rb") as stream:
        while left > 0 and (block := stream.read(min(left, 1 << 22))):
            digest.update(block)
            left -= len(block)
    return digest.digest()


def checkpoint_problem(path: Path) -> str | None:
    """What is wrong with a checkpoint; None where it is as it was written. Reads the whole file."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        return "no regular file"
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END) - _TAIL
            stream.seek(max(size, 0))
            tail = stream.read()
            if not tail.startswith(_MARK[:-5]):
                return "damaged, or not a checkpoint of this program"
            if not tail.startswith(_MARK):
                return f"damaged, or of another version (this program reads version {VERSION})"
        digest = _digest(path, size)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if _MARK + digest == tail else "damaged, or of another run (its checksum is of other content)"


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, on the CPU; None where there is none that is as it was written."""
    if not path.is_file() or checkpoint_problem(path) is not None:
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whole, but of another torch
        return None
    return content if isinstance(content, dict) else None


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of torch's generators: a model may draw numbers in training, as dropout does.

    Of a GPU that of ``device`` alone: every process of a run has the same, on a GPU of its own.
    """
    own = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    own = torch.mps.get_rng_state() if device.type == "mps" else own
    return {"cpu": torch.get_rng_state(), "device": own}


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Put the generators back, on whatever GPU the run continues."""
    torch.set_rng_state(state["cpu"])
    if state["device"] is None:
        return
    if device.type == "mps":
        torch.mps.set_rng_state(state["device"])
    else:
        torch.cuda.set_rng_state(state["device"], device)


class Stopped(BaseException):
    """The run was stopped on request, and its checkpoint is saved."""


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM, and a limit on CPU time, into a flag that the training loop checks between two steps.

    Outside the main thread, where signals cannot be caught, the flag is never set.
    """
    requested = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        requested.set()

    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    numbers = [signal.SIGTERM, *([signal.SIGXCPU] if hasattr(signal, "SIGXCPU") else [])]
    before = {number: signal.signal(number, request) for number in numbers}
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

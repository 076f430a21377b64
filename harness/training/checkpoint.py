"""Checkpoints: a training run saved on disk, resumed later as if it had never stopped.

Owns the file, when it is due, and the request to stop. What is saved is the trainer's `state`.
"""

from __future__ import annotations

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

VERSION = 2
"""Of the file's content; a file of another version is not read, and the run starts from scratch."""


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
    """Replace the checkpoint of a run; the previous one stays until the new one is whole on disk."""
    with replacing(path) as scratch:
        torch.save({"version": VERSION, **content}, scratch)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, on the CPU; None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a file of another program or version in its place: the run starts from scratch
        return None
    return content if isinstance(content, dict) and content.get("version") == VERSION else None


def random_state() -> dict[str, Any]:
    """The state of torch's generators: a model may draw numbers in training, as dropout does."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the generators back."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


class Stopped(BaseException):
    """The run was stopped on request, and its checkpoint is saved."""


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM into a flag that the training loop checks between two steps.

    Outside the main thread, where signals cannot be caught, the flag is never set.
    """
    requested = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        requested.set()

    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    before = signal.signal(signal.SIGTERM, request)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGTERM, before)

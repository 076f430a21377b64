"""A training run set down on disk, so that it goes on from there as if nothing had happened.

Owns the file, when it is due, and the wish to stop. What a run consists of is the trainer's to say.
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

VERSION = 2
"""Of the file's content; one of another version is not read, and the run starts anew."""


@dataclass(frozen=True)
class Interval:
    """When a checkpoint is due: after so many seconds, or after so many optimiser steps; None for never."""

    seconds: float | None = 300.0
    steps: int | None = None


@dataclass
class Clock:
    """Tells when the next checkpoint is due."""

    interval: Interval
    last_step: int = 0
    last_time: float = field(default_factory=time.monotonic)

    def due(self, step: int) -> bool:
        """Whether one is due after ``step`` optimiser steps."""
        by_steps = self.interval.steps is not None and step - self.last_step >= self.interval.steps
        waited = time.monotonic() - self.last_time
        return by_steps or (self.interval.seconds is not None and waited >= self.interval.seconds)

    def worth_it(self, seconds: float) -> bool:
        """Whether training of so many seconds is worth keeping until its answers are there."""
        return self.interval.seconds is not None and seconds >= self.interval.seconds

    def saved(self, step: int) -> None:
        """One was written; counted from its end, so that slow saving cannot take all the time."""
        self.last_step, self.last_time = step, time.monotonic()


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the checkpoint of a cell; the one before stays until the new one is whole on disk."""
    with replacing(path) as scratch:
        torch.save({"version": VERSION, **content}, scratch)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, on the CPU; None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a file of another program or version in its place: the run starts anew
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
    """The run was asked to stop and has been set down."""


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """While it lasts, SIGTERM is a wish that a training loop asks for between two steps.

    Outside the main thread, where signals cannot be heard, nobody ever wishes.
    """
    wished = threading.Event()

    def wish(number: int, frame: FrameType | None) -> None:
        wished.set()

    if threading.current_thread() is not threading.main_thread():
        yield wished.is_set
        return
    before = signal.signal(signal.SIGTERM, wish)
    try:
        yield wished.is_set
    finally:
        signal.signal(signal.SIGTERM, before)

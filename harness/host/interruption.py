"""The signals that ask a command to stop, which all mean the same as Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

STOPS = tuple(
    signal.Signals[name]
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if name in signal.Signals.__members__
)
"""From a batch system, a terminal that is closed, and warnings before the time is up: Slurm's
``--signal=USR1@60``, Grid Engine's ``-notify`` (SIGUSR2), a limit on CPU time (SIGXCPU)."""
REPEATS = 1.0
"""Seconds in which further ones mean nothing new."""
_SHARED = [signal.SIGINT, *(number for number in STOPS if number.name not in ("SIGTERM", "SIGXCPU"))]
"""Those that a terminal or a batch system also sends to the processes of runs."""


_HANDLERS: list[Callable[[int, FrameType | None], None]] = []
"""Those of `interruptible` that are in use."""
_heard = threading.Event()
"""One of them was called."""


def asked_to_stop() -> bool:
    """Whether a signal may have raised the `KeyboardInterrupt` that is being handled."""
    handler = signal.getsignal(signal.SIGINT)
    return _heard.is_set() or handler not in (signal.SIG_IGN, signal.SIG_DFL, *_HANDLERS)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `KeyboardInterrupt` on any of `STOPS`, so that nothing is left half done.

    Several at a time, as a closed terminal sends them, are one. What is ignored stays ignored (``nohup``),
    and what the calling program handles stays its own. Outside the main thread, where signals cannot be
    caught, nothing changes.
    """
    last = -REPEATS

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPEATS:
            last = now
            _heard.set()
            raise KeyboardInterrupt

    ours = (signal.SIG_DFL, signal.default_int_handler)
    caught = [number for number in (signal.SIGINT, *STOPS) if signal.getsignal(number) in ours]
    _HANDLERS.append(interrupt)
    try:
        with _handled(caught, interrupt):
            yield
    finally:
        _HANDLERS.remove(interrupt)
        if not _HANDLERS:
            _heard.clear()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C and `STOPS`: a second one must not cut short what the first one asked for."""
    with _handled([signal.SIGINT, *STOPS], signal.SIG_IGN):
        yield


@contextmanager
def by_default(number: signal.Signals) -> Iterator[None]:
    """Let a signal mean what it does in a new process, until the end; see `interruptible`."""
    with _handled([number], signal.SIG_DFL):
        yield


@contextmanager
def _handled(
    numbers: Sequence[signal.Signals], handler: signal.Handlers | Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back while a process is started, which inherits that; see `leave_to_parent`."""
    waiting: list[int] = []
    caught = [number for number in (signal.SIGINT, *STOPS) if callable(signal.getsignal(number))]
    try:
        with _handled(caught, lambda number, frame: waiting.append(number)):
            if hasattr(signal, "pthread_sigmask"):  # not on Windows
                before = signal.pthread_sigmask(signal.SIG_BLOCK, _SHARED)
            try:
                yield
            finally:
                if hasattr(signal, "pthread_sigmask"):
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:  # also where the process could not be started
        if waiting:
            signal.raise_signal(waiting[0])


def leave_to_parent() -> None:
    """In the process of a run: the parent decides what a signal to all of them means, and sends SIGTERM."""
    for number in _SHARED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SHARED)

"""The lock of a folder: one process writes to it at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from filelock import SoftFileLock, Timeout

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

from ..api.errors import UnavailableError, UsageError

LOCK = ".lock"
"""In an output folder; held by the process that writes to it, and by those that it has started."""
SOFT_LOCK = ".lock.held"
"""The same where the file system has no locks: it is there while it is held."""
PATIENCE = 2.0
"""Seconds to wait for a lock: processes whose parent was killed need a moment to end."""
_HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK}


@contextmanager
def locked(folder: Path, tell: Callable[[str], None]) -> Iterator[int | None]:
    """Keep other processes out of a folder; gives the descriptor that holds the lock, where one does.

    A process that inherits the descriptor holds the lock, too. Without locks in the file system (Lustre
    without ``-o flock``, some NFS) a file marks the folder; that is told once.

    Raises:
        UsageError: another process is writing to the folder.
        UnavailableError: the lock file cannot be opened.
    """
    with _opened(folder / LOCK) as handle:
        problem = "no fcntl on this system" if fcntl is None else _flock(folder, handle)
        if problem is None:
            yield handle
            return
        tell(f"{folder}: no locks on this file system ({problem}); {SOFT_LOCK} keeps other processes out")
        with _soft(folder):
            yield None


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The lock file, never emptied and never followed where it is a link."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink():
            raise UnavailableError(f"{path}: is a link, and no lock may be one; delete it")
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        raise UnavailableError(
            f"{path}: cannot be opened as the lock of its folder ({error.strerror}); delete it, or choose "
            "another folder"
        ) from error
    try:
        yield handle
    finally:
        os.close(handle)


def _flock(folder: Path, handle: int) -> str | None:
    """Take the lock; gives why the file system has none."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except OSError as error:
            if error.errno not in _HELD:
                return error.strerror or str(error)
        if monotonic() > deadline:
            raise UsageError(f"another process is writing to {folder}; wait, or choose another folder")
        sleep(0.05)


@contextmanager
def _soft(folder: Path) -> Iterator[None]:
    """Mark the folder; the mark of a process that is dead on this host is taken over."""
    mark = folder / SOFT_LOCK
    lock = SoftFileLock(mark)
    try:
        lock.acquire(timeout=PATIENCE, poll_interval=0.05)
    except Timeout:
        raise UsageError(
            f"another process is writing to {folder} ({_holder(mark)}); wait, or choose another folder. If "
            f"that process is gone, delete {mark}"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _holder(mark: Path) -> str:
    with suppress(OSError, ValueError):
        number, host, *_ = mark.read_text(encoding="utf-8")[:500].split("\n")
        return f"process {int(number)} on {host}"
    return "it has not said which"

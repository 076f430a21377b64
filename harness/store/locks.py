"""The lock of a folder: one process writes to it at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
SOFT = ".held"
"""Ends the name of a lock where the file system has none: the file is there while it is held."""
PATIENCE = 2.0
"""Seconds to wait for a lock: processes whose parent was killed need a moment to end."""
_CLUSTER = " (several machines at once: docs/clusters.md)"
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK}


@dataclass(frozen=True)
class Holder:
    """Who holds a lock; known only where a file marks it, as the file system has no locks.

    Attributes:
        mark: that file; None where the file system has locks.
        process: its number on ``host``; None where the mark does not say.
        host: name of the machine; empty where the mark does not say.
    """

    mark: Path | None = None
    process: int | None = None
    host: str = ""

    def __str__(self) -> str:
        if self.mark is None:
            return "another process"
        return "a process that has not said which" if self.process is None else self._known

    @property
    def which(self) -> str:
        """`` (process 7 on node3)``, to be put after "another process"; empty where it is not known."""
        return "" if self.process is None else f" ({self._known})"

    @property
    def advice(self) -> str:
        """A sentence on the file to delete; empty where the lock ends with its process."""
        return "" if self.mark is None else f". If that process is gone, delete {self.mark}"

    @property
    def _known(self) -> str:
        return f"process {self.process} on {self.host}"


class Held(UsageError):
    """Another process holds a lock; ``holder`` is what is known of it."""

    def __init__(self, message: str, holder: Holder):
        super().__init__(message)
        self.holder = holder


@contextmanager
def locked(
    folder: Path, tell: Callable[[str], None], patience: float | None = None, lock: str = LOCK
) -> Iterator[int | None]:
    """Keep other processes out of a folder; gives the descriptor that holds the lock, where one does.

    A process that inherits the descriptor holds the lock, too. Without locks in the file system (Lustre
    without ``-o flock``, some NFS) a file marks the folder; that is told once.

    Raises:
        UsageError: another process is writing to the folder.
        UnavailableError: the lock file cannot be opened.
    """
    patience = PATIENCE if patience is None else patience
    with _opened(folder / lock) as handle:
        problem = "no fcntl on this system" if fcntl is None else _flock(folder, handle, patience)
        if problem is None:
            yield handle
            return
        mark = folder / f"{lock}{SOFT}"
        tell(f"{folder}: no locks on this file system ({problem}); {mark.name} keeps other processes out")
        with _soft(mark, patience):
            yield None


@contextmanager
def run_locked(folder: Path, run: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Keep others from carrying out the same run of an output folder, on this machine or another.

    Raises:
        UsageError: another process is carrying it out.
        UnavailableError: the lock file cannot be opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder, tell, lock=_of_run(run)):
            yield
    except Held as error:
        holder = error.holder
        raise Held(
            f"{run}: another process{holder.which} is carrying out this run; trm-bench status "
            f"{folder}{holder.advice}",
            holder,
        ) from error


def is_running(folder: Path, run: str) -> bool:
    """Whether a process is carrying out a run of an output folder."""
    return holder_of(folder, run) is not None


def holder_of(folder: Path, run: str) -> Holder | None:
    """Who is carrying out a run of an output folder; None where no process is.

    The mark of a process that is gone counts as long as this machine cannot know that. Another user's lock
    cannot be tried, and is believed.
    """
    if not (folder / _of_run(run)).exists():
        return None
    try:
        with locked(folder, lambda line: None, patience=0.0, lock=_of_run(run)):
            return None
    except Held as error:
        return error.holder
    except UnavailableError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _FORBIDDEN:
            return Holder()
        raise


def take_over(holder: Holder) -> None:
    """Delete the mark of a process that is taken to be gone, unless another one has it by now."""
    assert holder.mark is not None
    if _holder(holder.mark) == holder:
        holder.mark.unlink(missing_ok=True)


def _of_run(run: str) -> str:
    """Name of the lock of a run, next to its folder, which is emptied when the run starts."""
    return f"{LOCK}-{run}"


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


def _flock(folder: Path, handle: int, patience: float) -> str | None:
    """Take the lock; gives why the file system has none."""
    deadline = monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except OSError as error:
            if error.errno not in _HELD:
                return error.strerror or str(error)
        if monotonic() > deadline:
            raise Held(
                f"another process is writing to {folder}; wait, or choose another folder{_CLUSTER}", Holder()
            )
        sleep(0.05)


@contextmanager
def _soft(mark: Path, patience: float) -> Iterator[None]:
    """Mark the folder; the mark of a process that is dead on this host is taken over."""
    folder = mark.parent
    lock = SoftFileLock(mark)
    try:
        lock.acquire(timeout=patience, poll_interval=0.05)
    except Timeout:
        holder = _holder(mark)
        raise Held(
            f"another process is writing to {folder}{holder.which}; wait, or choose another folder"
            f"{_CLUSTER}{holder.advice}",
            holder,
        ) from None
    try:
        yield
    finally:
        lock.release()


def _holder(mark: Path) -> Holder:
    """Who wrote a mark, which begins with two lines: the process and the host."""
    with suppress(OSError, ValueError):
        number, host, *_ = mark.read_text(encoding="utf-8")[:500].split("\n")
        host = host.partition("?")[0]  # in a container its namespace follows
        return Holder(mark, int(number), host) if host else Holder(mark)
    return Holder(mark)

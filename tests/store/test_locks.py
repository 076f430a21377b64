"""The lock of an output folder: one writer at a time, with or without locks in the file system."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from trm_bench.harness.api.errors import UnavailableError, UsageError
from trm_bench.harness.store import locks
from trm_bench.harness.store.locks import (
    LOCK,
    SOFT,
    Held,
    holder_of,
    is_running,
    locked,
    run_locked,
    take_over,
)

HOLD = """
import sys, time
from pathlib import Path
from trm_bench.harness.store import locks
if sys.argv[2] == "soft":
    def flock(*arguments):
        raise OSError(38, "Function not implemented")
    locks.fcntl.flock = flock
with locks.locked(Path(sys.argv[1]), lambda line: None):
    print("held", flush=True)
    time.sleep(60)
"""

SOFT_LOCK = f"{LOCK}{SOFT}"


@contextmanager
def holder(folder: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(folder), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.1)


Refuse = Callable[[int], None]


@pytest.fixture
def without_flock(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """A file system whose locks fail with that error."""

    def refuse(number: int) -> None:
        def flock(*arguments: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    return refuse


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.usefixtures("impatient")
def test_a_second_process_is_refused_until_the_first_is_dead(
    kind: str, tmp_path: Path, without_flock: Refuse
) -> None:
    if kind == "soft":
        without_flock(errno.ENOSYS)
    with holder(tmp_path, kind) as process:
        with pytest.raises(UsageError) as caught, locked(tmp_path, print):
            pass
        assert f"another process is writing to {tmp_path}" in str(caught.value)
        if kind == "soft":
            assert f"process {process.pid} on " in str(caught.value)
            assert f"delete {tmp_path / SOFT_LOCK}" in str(caught.value)
        process.kill()  # leaves the mark of a soft lock behind
        process.wait()
        assert (tmp_path / SOFT_LOCK).exists() == (kind == "soft")
        with locked(tmp_path, print):
            pass
    assert not (tmp_path / SOFT_LOCK).exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO, errno.ENOLCK, errno.EINVAL])
def test_without_locks_in_the_file_system_it_says_so_once_and_goes_on(
    number: int, tmp_path: Path, without_flock: Refuse
) -> None:
    without_flock(number)
    lines: list[str] = []
    with locked(tmp_path, lines.append) as handle:
        assert handle is None
        assert (tmp_path / SOFT_LOCK).exists()
    (line,) = lines
    assert line.startswith(f"{tmp_path}: no locks on this file system ({os.strerror(number)})")
    assert not (tmp_path / SOFT_LOCK).exists()


@pytest.mark.usefixtures("impatient")
def test_a_mark_from_another_host_is_not_taken_over(tmp_path: Path, without_flock: Refuse) -> None:
    without_flock(errno.ENOSYS)
    (tmp_path / SOFT_LOCK).write_text("1\nanother-host\n")
    with pytest.raises(UsageError, match="process 1 on another-host"), locked(tmp_path, print):
        pass
    assert (tmp_path / SOFT_LOCK).exists()


@pytest.mark.usefixtures("impatient")
def test_the_mark_of_a_run_names_process_host_page_and_the_file_to_delete(
    tmp_path: Path, without_flock: Refuse
) -> None:
    without_flock(errno.ENOSYS)
    mark = tmp_path / f"{LOCK}-r1{SOFT}"
    (tmp_path / f"{LOCK}-r1").touch()
    mark.write_text("7\nnode3?pidns-f00\n")  # filelock adds the namespace of a container
    with pytest.raises(Held) as caught, run_locked(tmp_path, "r1", print):
        pass
    assert str(caught.value) == (
        f"r1: another process (process 7 on node3) is carrying out this run; trm-bench status {tmp_path}. If "
        f"that process is gone, delete {mark}"
    )
    with pytest.raises(Held, match=r"docs/clusters\.md\)\. If that process is gone, delete"):
        locked(tmp_path, print, lock=f"{LOCK}-r1").__enter__()
    holder = holder_of(tmp_path, "r1")
    assert holder is not None
    mark.write_text("8\nnode4\n")
    take_over(holder)  # another has it by now
    assert is_running(tmp_path, "r1")
    holder = holder_of(tmp_path, "r1")
    assert holder is not None
    assert str(holder) == "process 8 on node4"
    take_over(holder)
    assert not is_running(tmp_path, "r1")


@pytest.mark.parametrize("there", [True, False], ids=["link", "broken link"])
def test_a_link_in_the_locks_place_is_refused_and_its_target_untouched(there: bool, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    if there:
        target.write_text("content")
    (tmp_path / LOCK).symlink_to(target)
    with pytest.raises(UnavailableError) as caught, locked(tmp_path, print):
        pass
    assert str(tmp_path / LOCK) in str(caught.value)
    assert "delete it" in str(caught.value)
    assert (target.read_text() if there else target.exists()) == ("content" if there else False)


def test_a_file_in_the_locks_place_is_never_emptied(tmp_path: Path) -> None:
    os.link(_written(tmp_path / "precious"), tmp_path / LOCK)
    with locked(tmp_path, print):
        pass
    assert (tmp_path / "precious").read_text() == "content"


def _written(path: Path) -> Path:
    path.write_text("content")
    return path


def test_a_folder_in_the_locks_place_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    problem = r"\.lock: cannot be opened .*Is a directory"
    with pytest.raises(UnavailableError, match=problem), locked(tmp_path, print):
        pass


def _sleep(held: Connection, ready: Connection) -> None:
    ready.send(held.fileno())
    time.sleep(60)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_process_that_inherits_the_descriptor_holds_the_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with locked(tmp_path, print) as handle:
        assert handle is not None
        process = context.Process(target=_sleep, args=(Connection(os.dup(handle)), sender))
        process.start()
        receiver.recv()
    with pytest.raises(UsageError), locked(tmp_path, print):
        pass
    process.kill()
    process.join()
    with locked(tmp_path, print):
        pass


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_the_lock_of_another_user_is_believed(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lock-one").touch()

    def refuse(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.os, "open", refuse)
    assert locks.holder_of(tmp_path, "one") == locks.Holder()

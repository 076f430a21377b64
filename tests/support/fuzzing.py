"""Fuzzing: a folder of odd files, and a call of the command line that is watched."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from trm_bench.harness.api.errors import TrmBenchError
from trm_bench.testing.pytest_plugin import Ended, RunCli

SECONDS = 10
"""A command that has worked longer hangs; one that waits may take three times as long, on a busy machine."""
CODES = {0, 1, 2, 3, 4}
"""The exit codes of docs/cli.md, but for an interruption."""
Watched = Callable[..., Ended]


def odd_files(folder: Path) -> None:
    """Files that no reader expects."""
    (folder / "empty").mkdir()
    os.mkfifo(folder / "fifo")
    os.symlink("loop", folder / "loop")
    contents = {
        "nothing.json": b"",
        "nothing.yaml": b"",
        "text.csv": b"hello\n",
        "bytes.bin": bytes(range(256)) * 4,
        "deep.yaml": b"models: " + b"[" * 20_000,
        "deep.json": b"[" * 200_000,
        "deep.csv": b"question,answer\n" + b"1" * 100_000,
        "aliases.yaml": b"a: &a [1, 1]\n"
        + b"".join(b"%c: &%c [*%c, *%c]\n" % (x + 1, x + 1, x, x) for x in range(97, 121)),
        "unknown.yaml": b"modles: trm\n",
        "date.yaml": b"seeds: 2026-13-45\n",
        "tagged.yaml": b"!!python/object/apply:os.system ['true']\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with `odd_files`."""
    folder = tmp_path_factory.mktemp("odd")
    odd_files(folder)
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def no_training() -> Iterator[None]:
    """Plan everything, start no process."""

    def not_measured(*_: object, **__: object) -> None:
        raise TrmBenchError("not measured")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trm_bench.harness.running.runner.run_jobs", lambda *_: {})
        patch.setattr("trm_bench.harness.running.speed.apart", not_measured)
        patch.setattr("os.fsync", lambda handle: None)
        patch.setattr("trm_bench.harness.cli.env._torch", lambda: "")  # calls pip, lscpu, gcc, …
        yield


@pytest.fixture
def watched(run_cli: RunCli, no_training: None) -> Watched:
    """Call the command line; a hang, a trace, or an exit code that is not documented fails the test."""
    del no_training

    def call(*words: object) -> Ended:
        def hangs(number: int, frame: FrameType | None) -> None:
            raise AssertionError(f"hangs: {[str(word)[:80] for word in words]}")

        before = signal.signal(signal.SIGALRM, hangs)
        signal.alarm(3 * SECONDS)
        started = time.process_time()
        try:
            ended = run_cli(*words)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        took = time.process_time() - started
        shown = f"{[str(word)[:80] for word in words]} after {took:.1f} s: {ended}"
        assert took < SECONDS, shown
        assert ended.code in CODES, shown
        assert "Traceback" not in ended.err, shown
        assert "error: unexpected" not in ended.err, shown
        assert "\x1b" not in ended.out + ended.err, shown
        assert ended.code == 0 or ended.err or ended.out, shown
        return ended

    return call

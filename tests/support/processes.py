"""The command line in processes of its own, to be stopped and killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trm_bench.harness.store.folders import Output, RunFolder

SMALL = "trm-mlp[hidden=16,multiple=16,cycles=1,updates=1]"
HOUR = ["--task", "tiny", "--seeds", "0", "--set", "steps=10000000"]
"""Settings of a run that takes hours, and writes a line of metrics about every minute."""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "trm_bench", *map(str, arguments)]


def started(*arguments: object, ignoring: signal.Signals | None = None) -> subprocess.Popen[str]:
    """A command that hears signals, even where the tests run in the background of a shell."""

    def dispositions() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN if number is ignoring else signal.SIG_DFL)

    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=dispositions,
    )


def wait_for(happened: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def only_run(folder: Path) -> RunFolder:
    (run,) = Output(folder).runs()
    return run


def processes_naming(text: str) -> list[int]:
    """Living processes with ``text`` in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes()
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if text.encode() in environment and state != "Z":
            found.append(int(path.name))
    return found

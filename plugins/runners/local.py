"""This machine: submitit starts every job at once, and jobs wait for one another by locks of their own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ...harness.api.runners import JobState, Phase, QueuedWork
from .needs import quiet, require_submitit
from .settings import LocalSettings

_YEAR = 60.0 * 24 * 365
"""Minutes: there is no batch system that sets a limit."""
_LEAVE = (signal.SIGINT, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGINT,)


def submit(work: Sequence[QueuedWork], settings: LocalSettings, folder: Path) -> Sequence[str]:
    """Start a process for each.

    Raises:
        UnavailableError: submitit is missing.
    """
    require_submitit()
    import submitit
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    executor = submitit.LocalExecutor(folder)
    executor.update_parameters(timeout_min=_YEAR, gpus_per_node=gpus)
    with quiet(), _detached():
        return [executor.submit(one).job_id for one in work]


@contextmanager
def _detached() -> Iterator[None]:
    """Processes that are started inside ignore Ctrl-C and the end of the terminal, and print to nowhere.

    They would keep open what the command prints to, and ``trm-bench run … | tee`` would wait for them.
    """
    main = threading.current_thread() is threading.main_thread()  # elsewhere signals cannot be set
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _LEAVE if main}
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with open(os.devnull, "wb") as nowhere:
        for number in kept:
            os.dup2(nowhere.fileno(), number)
    try:
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        for number, handler in before.items():
            signal.signal(number, handler)


def states(jobs: Sequence[str], folder: Path) -> Mapping[str, JobState]:
    """Of the jobs whose process is there."""
    return {job: JobState(Phase.RUNNING) for job in jobs if _alive(job, folder)}


def _alive(job: str, folder: Path) -> bool:
    """Whether the process of a job runs: its number may belong to another one by now."""
    process = Path("/proc") / job
    if not Path("/proc/self").exists():  # no Linux
        with suppress(OSError, ValueError):
            os.kill(int(job), 0)
            return True
        return False
    try:
        command = (process / "cmdline").read_bytes()
        zombie = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
    return b"submitit" in command and os.fsencode(folder) in command and not zombie


def cancel(jobs: Sequence[str], folder: Path) -> None:
    """Tell jobs to save and stop."""
    for job in jobs:
        if _alive(job, folder):
            with suppress(OSError):
                os.kill(int(job), signal.SIGTERM)  # its process passes that on

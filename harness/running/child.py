"""The life of a job's process: it hears its parent alone, and never outlives it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from ..host.calls import stdout_to_stderr
from ..host.host import host
from ..host.interruption import leave_to_parent
from ..planning.job import Job
from ..store.records import Status
from ..training.checkpoint import Stopped
from .run import Outcome, run_job

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MOST = 2**31 - 1


def live(job: Job, pipe: Connection, lock: Connection | None) -> None:
    """Carry a job out and send lines of metrics, lines for the user, and last its outcome.

    ``lock`` holds the output folder's lock for as long as this process lives.
    """
    die_with_parent()
    leave_to_parent()
    keep_memory()
    stdout_to_stderr()

    def send(message: Mapping[str, float] | str | Outcome) -> None:
        try:
            pipe.send(message)
        except OSError:  # the parent is dead, and another may hold the folder: write nothing more
            os._exit(1)

    try:
        outcome = run_job(host(), job, lambda line: send(dict(line)), send)
    except Stopped:  # it has saved a checkpoint
        outcome = Outcome(Status.INTERRUPTED)
    send(outcome)
    del lock


def keep_memory() -> None:
    """Have glibc keep the memory that this process gives back, for its next step.

    By default each large tensor is mapped and unmapped again, and the kernel fills every page of it with
    zeros first: up to a tenth of a step on a CPU. Other C libraries are left as they are.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _MOST), (_M_TOP_PAD, 64 << 20)):
            mallopt(option, value)


def die_with_parent() -> None:
    """End this process at once when its parent ends, however that dies.

    A run that trained on would hold the device, and write into a folder that a second run has taken over.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:  # it died before that
            os._exit(1)

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()

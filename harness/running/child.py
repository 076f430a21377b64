"""The life of a job's process: it hears its parent alone, and never outlives it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection

from ..api.errors import TrmBenchError
from ..host.calls import stdout_to_stderr
from ..host.host import host
from ..host.interruption import leave_to_parent
from ..planning.job import Job
from ..store.locks import run_locked
from ..store.records import Status
from ..training.checkpoint import Stopped
from .lifetime import die_with_parent, keep_memory
from .run import Outcome, run_job


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
        # The folder's lock is not enough: a cluster carries out runs of one folder on several machines.
        with ExitStack() as locks:
            for run in job.runs:
                locks.enter_context(run_locked(job.folder, run.name, lambda line: None))
            outcome = run_job(host(), job, lambda line: send(dict(line)), send)
    except Stopped:  # it has saved a checkpoint
        outcome = Outcome(Status.INTERRUPTED)
    except TrmBenchError as error:  # another process is carrying it out: its files are left alone
        outcome = Outcome(Status.FAILED, str(error))
    send(outcome)
    del lock

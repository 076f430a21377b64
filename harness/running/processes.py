"""Where runs are carried out: each job in a process of its own, several side by side, one on each GPU.

Owns processes, their deaths and interruption. What is shown of their progress belongs to `Watch`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Protocol

import torch

from ..api.errors import TrmBenchError
from ..host.host import Host
from ..host.interruption import held_back, interruptible, undisturbed
from ..planning.job import Job, PlannedRun
from ..store.checked import DamagedResult
from ..store.folders import RunFolder
from ..store.records import Manifest, Status
from ..training.free_memory import free_memory
from ..training.gpus import Gpu, seeing
from .child import live
from .run import Outcome, ended, fail, first_manifest, mark, now
from .worker_keys import SHOWN

GRACE_SECONDS = 15.0
"""How long a process that was told to stop may take to save its checkpoint before it is killed."""


class Watch(Protocol):
    """Receives the progress of runs, for a display."""

    def started(self, run: str) -> None:
        """A run's process has been started."""

    def metrics(self, run: str, line: Mapping[str, float]) -> None:
        """A line of the run's metrics; ``spent`` is the share of its budget used."""

    def finished(self, run: str, status: Status, error: str | None) -> None:
        """The run has ended."""

    def tell(self, line: str) -> None:
        """Take a line for the user from a run's process."""


@dataclass
class _Running:
    job: Job
    process: BaseProcess
    pipe: Connection
    outcome: Outcome | None = None
    started: str = field(default_factory=now)


def run_jobs(
    jobs: Sequence[Job],
    host: Host,
    watch: Watch,
    places: Sequence[Gpu | None],
    lock: int | None = None,
    among: int = 1,
) -> dict[str, Status]:
    """Carry jobs out side by side; returns the status of every run by name.

    Each of ``places`` has one job at a time: a GPU, which is all that the job's process sees, or None.
    A run that fails, or whose process dies, leaves the others running. After an interruption
    the runs that were active are marked so and `KeyboardInterrupt` is raised. Every process inherits
    ``lock``, the descriptor that holds the folder's lock. Memory is shared by ``among`` jobs, where
    other calls carry out some of them.
    """
    waiting, free = list(jobs), list(places)
    share = _share(jobs, max(among, min(len(places), len(jobs))))
    running: dict[int, _Running] = {}
    statuses: dict[str, Status] = {}
    try:
        with interruptible():
            while waiting or running:
                while waiting and free:
                    job = replace(waiting.pop(0), gpu=free.pop(0), memory=share)
                    _start(job, running, lock)
                    watch.started(job.run.name)
                _listen(running, host, watch)
                for sentinel in [key for key, one in running.items() if not one.process.is_alive()]:
                    stopped = running.pop(sentinel)
                    free.append(stopped.job.gpu)
                    _drain(stopped, host, watch)
                    outcome = _finish(stopped, watch)
                    statuses |= {run.name: outcome.status_of(run.name) for run in stopped.job.runs}
    except BaseException:  # Ctrl-C above all, but a full disk must not leave processes behind either
        with undisturbed():
            _stop(list(running.values()))
            marked = {one.job.run.name: _mark_interrupted(one.job)[0] for one in running.values()}
            for name, status in marked.items():
                watch.finished(name, status, None)
        raise
    return statuses


def _share(jobs: Sequence[Job], side_by_side: int) -> int | None:
    """Bytes of main memory for each of the jobs that run side by side on a CPU.

    Found before the first of them starts: later, what is free is what the others have left.
    """
    if not jobs or jobs[0].run.identity.device != "cpu":
        return None
    free = free_memory(torch.device("cpu"))
    return None if free is None else free // side_by_side


def _start(job: Job, running: dict[int, _Running], lock: int | None) -> None:
    context = multiprocessing.get_context("spawn")  # a forked torch may hang, and CUDA cannot be forked
    receiver, sender = context.Pipe(duplex=False)
    # A connection is how a descriptor reaches a process that is spawned.
    held = None if lock is None else Connection(os.dup(lock))
    daemon = job.execution.processes == 1  # a daemon may not start processes; both end with this one
    process = context.Process(target=live, args=(job, sender, held), daemon=daemon, name=job.run.name)
    with held_back(), seeing(job.gpu), _without_script():
        process.start()
        running[process.sentinel] = _Running(job, process, receiver)
    sender.close()
    if held is not None:
        held.close()


@contextmanager
def _without_script() -> Iterator[None]:
    """A spawned process imports the script that calls us again, unless it finds none; it needs none of it."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _listen(running: Mapping[int, _Running], host: Host, watch: Watch) -> None:
    pipes: dict[Any, _Running] = {one.pipe: one for one in running.values() if one.outcome is None}
    for ready in wait([*pipes, *running], timeout=1.0):
        if ready in pipes:
            _receive(pipes[ready], host, watch)


def _receive(active: _Running, host: Host, watch: Watch) -> None:
    try:
        message = active.pipe.recv()
    except (EOFError, OSError):
        active.outcome = active.outcome or Outcome(Status.FAILED)
        return
    if isinstance(message, Outcome):
        active.outcome = message
        return
    if isinstance(message, str):
        watch.tell(message)
        return
    if not message.keys() & SHOWN:
        host.notify("trm_bench_metrics_logged", run=active.job.run.name, metrics=message)
    watch.metrics(active.job.run.name, message)


def _drain(dead: _Running, host: Host, watch: Watch) -> None:
    """Read what a dead process still had in its pipe; its outcome comes last."""
    while dead.outcome is None and dead.pipe.poll():
        _receive(dead, host, watch)
    dead.pipe.close()


def _finish(dead: _Running, watch: Watch) -> Outcome:
    """How the job ended; one whose process died silently is marked failed."""
    dead.process.join()
    outcome = dead.outcome
    if outcome is not None and outcome.status is Status.INTERRUPTED:  # somebody stopped this process alone
        _mark_interrupted(dead.job)
    elif outcome is None or (outcome.status is Status.FAILED and outcome.error is None):
        code = dead.process.exitcode
        error = TrmBenchError(f"the run's process ended with exit code {code}{_meaning(code)}")
        outcome = fail(dead.job, [_manifest(dead.job, run, dead.started) for run in dead.job.runs], error)
    watch.finished(dead.job.run.name, outcome.status, outcome.error)
    return outcome


def _manifest(job: Job, run: PlannedRun, since: str = "") -> Manifest:
    """The manifest that the run's process wrote, since a time, or would have written first."""
    with suppress(DamagedResult):
        if (written := RunFolder(job.folder / run.name).manifest()).started >= since:
            return written
    return first_manifest(job, run)


def _meaning(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return " (killed, most often for lack of memory: try fewer --jobs)"
    return " (see the lines above)" if code else ""


def _stop(running: Sequence[_Running]) -> None:
    for active in running:
        active.process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for active in running:
        active.process.join(max(0.0, deadline - time.monotonic()))
        if active.process.is_alive():
            active.process.kill()
            active.process.join()


def _mark_interrupted(job: Job) -> list[Status]:
    """Mark the runs of a job that did not end; gives the status of each."""
    statuses = []
    for run in job.runs:
        manifest = _manifest(job, run)
        statuses.append(manifest.status)
        if manifest.status is Status.RUNNING:
            statuses[-1] = Status.INTERRUPTED
            interrupted = ended(manifest, Status.INTERRUPTED, "the run was interrupted")
            folder = RunFolder(job.folder / run.name)
            mark(folder, interrupted, restore=not job.queued)
    return statuses

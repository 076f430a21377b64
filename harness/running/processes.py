"""Where runs are carried out: each job in a process of its own, several side by side on a CPU.

Owns processes, their deaths and interruption. What is shown of their progress belongs to `Watch`.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Protocol

from ..api.errors import TrmBenchError
from ..host.host import Host, host
from ..planning.job import Job, PlannedRun
from ..store.folders import DamagedResult, RunFolder
from ..store.records import Manifest, Status
from ..training.checkpoint import Stopped
from .run import Outcome, ended, fail, first_manifest, run_job
from .worker_keys import EVALUATED

GRACE_SECONDS = 15.0
"""How long a process that was told to stop may take to save its checkpoint before it is killed."""


class Watch(Protocol):
    """Is told how runs fare, for a progress display."""

    def started(self, run: str) -> None:
        """A run's process has been started."""

    def metrics(self, run: str, line: Mapping[str, float]) -> None:
        """A line of the run's metrics; ``spent`` is the share of its budget used."""

    def finished(self, run: str, status: Status, error: str | None) -> None:
        """The run has ended."""


@dataclass
class _Running:
    job: Job
    process: BaseProcess
    pipe: Connection
    outcome: Outcome | None = None


def _work(job: Job, pipe: Connection) -> None:
    """The life of a job's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def send(line: Mapping[str, float]) -> None:
        pipe.send(dict(line))

    with suppress(Stopped):  # it has saved a checkpoint, and the parent told it to stop
        pipe.send(run_job(host(), job, send))


def run_jobs(jobs: Sequence[Job], host: Host, watch: Watch, workers: int) -> dict[str, Status]:
    """Carry jobs out side by side; returns the status of every run by name.

    A run that fails, or whose process dies, leaves the others running. After an interruption
    the runs that were active are marked so and `KeyboardInterrupt` is raised.
    """
    waiting = list(jobs)
    running: dict[int, _Running] = {}
    statuses: dict[str, Status] = {}
    try:
        with _interruptible():
            while waiting or running:
                while waiting and len(running) < workers:
                    job = waiting.pop(0)
                    _start(job, running)
                    watch.started(job.run.name)
                _listen(running, host, watch)
                for sentinel in [key for key, one in running.items() if not one.process.is_alive()]:
                    stopped = running.pop(sentinel)
                    _drain(stopped, host, watch)
                    outcome = _finish(stopped, watch)
                    statuses |= {run.name: outcome.status_of(run.name) for run in stopped.job.runs}
    except BaseException:  # Ctrl-C above all, but a full disk must not leave processes behind either
        _stop(list(running.values()))
        for active in running.values():
            marked = [_mark_interrupted(active.job, run) for run in active.job.runs]
            watch.finished(active.job.run.name, marked[0], None)
        raise
    return statuses


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM means the same as Ctrl-C while runs are active, so that nothing is left half done."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: leave signals alone
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(job: Job, running: dict[int, _Running]) -> None:
    context = multiprocessing.get_context("spawn")  # a forked torch may hang, and CUDA cannot be forked
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, sender), daemon=True, name=job.run.name)
    with _ignored(signal.SIGINT):  # a new process inherits this from its first moment
        process.start()
        running[process.sentinel] = _Running(job, process, receiver)
    sender.close()


@contextmanager
def _ignored(*numbers: signal.Signals) -> Iterator[None]:
    """Ignore signals for a moment; outside the main thread, where that is impossible, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


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
    if EVALUATED not in message:
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
    if outcome is None or (outcome.status is Status.FAILED and outcome.error is None):
        code = dead.process.exitcode
        error = TrmBenchError(f"the run's process ended with exit code {code}{_meaning(code)}")
        outcome = fail(dead.job, [_manifest(dead.job, run) for run in dead.job.runs], error)
    watch.finished(dead.job.run.name, outcome.status, outcome.error)
    return outcome


def _manifest(job: Job, run: PlannedRun) -> Manifest:
    """The manifest that the run's process wrote, or would have written first."""
    try:
        return RunFolder(job.folder / run.name).manifest()
    except DamagedResult:
        return first_manifest(job, run)


def _meaning(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return " (killed, most often for lack of memory: try fewer --jobs)"
    return " (see the lines above)" if code else ""


def _stop(running: Sequence[_Running]) -> None:
    with _ignored(signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not skip the marking
        for active in running:
            active.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for active in running:
            active.process.join(max(0.0, deadline - time.monotonic()))
            if active.process.is_alive():
                active.process.kill()
                active.process.join()


def _mark_interrupted(job: Job, run: PlannedRun) -> Status:
    folder, manifest = RunFolder(job.folder / run.name), _manifest(job, run)
    if manifest.status is not Status.RUNNING:
        return manifest.status
    folder.folder.mkdir(parents=True, exist_ok=True)
    folder.write_manifest(ended(manifest, Status.INTERRUPTED, "the run was interrupted"))
    folder.restore()
    return Status.INTERRUPTED

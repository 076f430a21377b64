"""Where cells run: each in a process of its own, several side by side on a CPU.

Owns processes, their deaths and interruption. What is shown of their progress is `Watch`'s.
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
from ..planning.job import CellJob, CellPlan
from ..store.folders import Cell, DamagedResult
from ..store.records import Manifest, Status
from ..training.checkpoint import Stopped
from .run import EVALUATED, Ended, failed, first_manifest, now, run_cell

GRACE_SECONDS = 15.0
"""How long a process that was told to stop may take to set itself down before it is killed."""


class Watch(Protocol):
    """Is told how cells fare, for a progress display."""

    def started(self, cell: str) -> None:
        """A cell's process has been started."""

    def metrics(self, cell: str, line: Mapping[str, float]) -> None:
        """A line of the cell's metrics; ``spent`` is the share of its budget used."""

    def finished(self, cell: str, status: Status, error: str | None) -> None:
        """The cell has ended."""

    def tick(self) -> None:
        """About once a second."""


@dataclass
class _Running:
    job: CellJob
    process: BaseProcess
    pipe: Connection
    ended: Ended | None = None


def _work(job: CellJob, pipe: Connection) -> None:
    """The life of a cell's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def report(line: Mapping[str, float]) -> None:
        pipe.send(dict(line))

    with suppress(Stopped):  # it has set itself down, and whoever told it to stop knows
        pipe.send(run_cell(host(), job, report))


def run_cells(jobs: Sequence[CellJob], host: Host, watch: Watch, workers: int) -> dict[str, Status]:
    """Run cells side by side and give each one's status.

    A cell that fails, or whose process dies, leaves the others running. After an interruption
    the cells that were running are marked so and `KeyboardInterrupt` goes on to the caller.
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
                    watch.started(job.plan.name)
                _listen(running, host, watch)
                for sentinel in [key for key, one in running.items() if not one.process.is_alive()]:
                    one = running.pop(sentinel)
                    _drain(one, host, watch)
                    statuses[one.job.plan.name] = _ended(one, watch)
                watch.tick()
    except BaseException:  # Ctrl-C above all, but a full disk must not leave processes behind either
        _stop(list(running.values()))
        for one in running.values():
            statuses_of = [_mark_interrupted(one.job, plan) for plan in one.job.plans]
            watch.finished(one.job.plan.name, statuses_of[0], None)
        raise
    return statuses


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM means the same as Ctrl-C while cells run, so that nothing is left half done."""

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


def _start(job: CellJob, running: dict[int, _Running]) -> None:
    context = multiprocessing.get_context("spawn")  # a forked torch may hang, and CUDA cannot be forked
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, sender), daemon=True, name=job.plan.name)
    with _deaf(signal.SIGINT):  # a new process inherits this, and is deaf from its first moment
        process.start()
        running[process.sentinel] = _Running(job, process, receiver)
    sender.close()


@contextmanager
def _deaf(*numbers: signal.Signals) -> Iterator[None]:
    """Ignore signals for a moment; outside the main thread, where that cannot be asked for, do nothing."""
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
    pipes: dict[Any, _Running] = {one.pipe: one for one in running.values() if one.ended is None}
    sentinels = list(running)
    for ready in wait([*pipes, *sentinels], timeout=1.0):
        if ready in pipes:
            _receive(pipes[ready], host, watch)


def _receive(one: _Running, host: Host, watch: Watch) -> None:
    try:
        message = one.pipe.recv()
    except (EOFError, OSError):
        one.ended = one.ended or Ended(Status.FAILED)
        return
    if isinstance(message, Ended):
        one.ended = message
        return
    if EVALUATED not in message:
        host.notify("trm_bench_metrics_logged", cell=one.job.plan.name, metrics=message)
    watch.metrics(one.job.plan.name, message)


def _drain(one: _Running, host: Host, watch: Watch) -> None:
    """Read what a dead process still had in its pipe, how it ended at the end of it."""
    while one.ended is None and one.pipe.poll():
        _receive(one, host, watch)
    one.pipe.close()


def _ended(one: _Running, watch: Watch) -> Status:
    """How the cell ended; one whose process died without a word is marked failed."""
    one.process.join()
    ended = one.ended
    if ended is None or (ended.status is Status.FAILED and ended.error is None):
        code = one.process.exitcode
        error = TrmBenchError(f"the cell's process ended with exit code {code}{_meaning(code)}")
        for plan in one.job.plans:
            cell = Cell(one.job.output / plan.name)
            if cell.is_done():
                continue
            cell.folder.mkdir(parents=True, exist_ok=True)
            cell.write_manifest(failed(_manifest(one.job, plan), error))
            cell.restore()
        ended = Ended(Status.FAILED, str(error))
    watch.finished(one.job.plan.name, ended.status, ended.error)
    return ended.status


def _manifest(job: CellJob, plan: CellPlan) -> Manifest:
    """What the cell's process wrote, or would have written first."""
    try:
        return Cell(job.output / plan.name).manifest()
    except DamagedResult:
        return first_manifest(job, plan)


def _meaning(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return " (killed; most often for want of memory: try fewer --jobs)"
    return " (see the lines above)" if code else ""


def _stop(running: Sequence[_Running]) -> None:
    with _deaf(signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not skip the marking
        for one in running:
            one.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for one in running:
            one.process.join(max(0.0, deadline - time.monotonic()))
            if one.process.is_alive():
                one.process.kill()
                one.process.join()


def _mark_interrupted(job: CellJob, plan: CellPlan) -> Status:
    cell = Cell(job.output / plan.name)
    manifest = _manifest(job, plan)
    if manifest.status is not Status.RUNNING:
        return manifest.status
    cell.folder.mkdir(parents=True, exist_ok=True)
    reasons = [*manifest.not_citable_because, "the cell was interrupted"]
    cell.write_manifest(
        manifest.model_copy(
            update={
                "status": Status.INTERRUPTED,
                "finished": now(),
                "citable": False,
                "not_citable_because": reasons,
            }
        )
    )
    cell.restore()
    return Status.INTERRUPTED

"""One run as a job of a batch system: where it starts, how it saves, what it prints to its log."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..api.errors import UnavailableError
from ..host.host import host
from ..host.interruption import by_default
from ..planning.grid import is_done
from ..planning.job import Job
from ..store.checked import DamagedResult
from ..store.folders import GRID, RunFolder
from ..store.locks import Held, Holder, holder_of, locked, take_over
from ..store.provenance import batch_job, hostname
from ..store.records import Status
from ..store.submitted import jobs_folder, read_submitted
from ..training.gpus import Gpu
from .processes import GRACE_SECONDS, run_jobs
from .progress import duration
from .run import fail, first_manifest

WAIT_SECONDS = 1.0
"""Between two looks for a free place."""


class _Log:
    """Prints how the run fares to the job's log; a `processes.Watch`."""

    def __init__(self) -> None:
        self.began, self.tenths = time.monotonic(), 0

    def started(self, run: str) -> None:
        print(f"{run}: on {hostname()}", flush=True)

    def metrics(self, run: str, line: Mapping[str, float]) -> None:
        tenths = int(10 * line.get("spent", 0.0))
        if tenths > self.tenths:
            self.tenths = tenths
            spent = duration(time.monotonic() - self.began)
            print(
                f"{run}: {10 * tenths} % after {spent}, loss {line.get('loss', float('nan')):.4g}", flush=True
            )

    def finished(self, run: str, status: Status, error: str | None) -> None:
        print(f"{run}: {status.value}{f' ({error})' if error else ''}", flush=True)

    def tell(self, line: str) -> None:
        print(line, flush=True)


@dataclass(frozen=True)
class QueuedRun:
    """A run that a runner carries out; see `api.runners.QueuedWork`.

    Attributes:
        job: with an absolute folder that the machine sees, and no GPU: it uses what is visible there.
        places: a GPU, or None, for each run of this folder that is carried out at a time on this machine;
            empty where the batch system sees to it.
    """

    job: Job
    places: tuple[Gpu | None, ...] = ()

    @property
    def name(self) -> str:
        """Of the run."""
        return self.job.run.name

    def __call__(self) -> str:
        """See `api.runners.QueuedWork`.

        Raises:
            UnavailableError: this machine does not see the output folder or the puzzles.
        """
        with by_default(signal.SIGTERM):  # a batch system's warning: save, see `interruptible`
            return self._carry_out()

    def _carry_out(self) -> str:
        job = self.job
        if not (job.folder / GRID).is_file():
            raise UnavailableError(
                f"{hostname()} does not see the output folder {job.folder}: put it on a shared file system"
            )
        if job.fresh and self._began_here():  # requeued, and --force has already done its part
            job = replace(job, fresh=False)
        if _done(job):
            return Status.DONE.value
        try:
            _check_puzzles(job)
        except UnavailableError as error:
            fail(job, [first_manifest(job, run) for run in job.runs], error)
            raise
        with ExitStack() as stack:
            gpu = stack.enter_context(_place(job.folder, self.places)) if self.places else None
            self._wait()
            if _done(job):
                return Status.DONE.value
            try:
                statuses = run_jobs([job], host(), _Log(), (gpu,), among=max(1, len(self.places)))
            except KeyboardInterrupt:
                self._restore_if_cancelled()
                return Status.INTERRUPTED.value
        return statuses[self.name].value

    def _restore_if_cancelled(self) -> None:
        """Put back what this job was to replace: it will not be queued again."""
        submitted = read_submitted(self.job.folder)
        for run in self.job.runs:
            if (one := submitted.get(run.name)) is not None and one.cancelled:
                RunFolder(self.job.folder / run.name).restore()

    def checkpoint(self) -> Any:
        """See `api.runners.QueuedWork`: the run's process saves when it is told to stop."""
        from submitit.helpers import DelayedSubmission

        # Queueing the job again sends it, and must not be cut short by it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        children = multiprocessing.active_children()
        for child in children:
            child.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in children:
            child.join(max(0.0, deadline - time.monotonic()))
        return DelayedSubmission(self)

    def _wait(self) -> None:
        """Wait for a process that has the run: a job queued again may meet its own of a lost node."""
        told = False
        while (holder := self._holder()) is not None:
            if holder.mark is not None and self._left_by_this_job(holder):
                print(f"{self.name}: takes over from {holder}, where this job was before", flush=True)
                take_over(holder)
                continue
            if not told:
                who = f"another process{holder.which} that is carrying it out{holder.advice}"
                print(f"{self.name}: waits for {who}", flush=True)
            told = True
            time.sleep(WAIT_SECONDS)

    def _holder(self) -> Holder | None:
        """Who has a run of this job."""
        holders = (holder_of(self.job.folder, run.name) for run in self.job.runs)
        return next((holder for holder in holders if holder is not None), None)

    def _left_by_this_job(self, holder: Holder) -> bool:
        """Whether a mark is of this job on another machine, which the batch system has taken it from."""
        return holder.host not in ("", hostname()) and self._began_on() == holder.host

    def _began_here(self) -> bool:
        """Whether this job, before it was requeued, has begun the run."""
        return self._began_on() is not None

    def _began_on(self) -> str | None:
        """The machine on which this job, before it was requeued, began the run; None where another did."""
        try:
            environment = RunFolder(self.job.folder / self.name).manifest().environment
        except DamagedResult:
            return None
        own = batch_job() is not None and environment.get("job") == batch_job()
        return str(environment.get("host") or "") if own else None


def _done(job: Job) -> bool:
    """Whether all of it was done before the job came to its turn."""
    return not job.fresh and all(is_done(RunFolder(job.folder / run.name), job) for run in job.runs)


def _check_puzzles(job: Job) -> None:
    """Refuse to start where the puzzles that were prepared on another machine are not there."""
    place = job.prepared.folder
    if not place.is_dir():
        raise UnavailableError(
            f"{hostname()} does not see the puzzles in {place}: set TRM_BENCH_CACHE to a folder that all "
            "machines see, and run the same command again"
        )


@contextmanager
def _place(folder: Path, places: Sequence[Gpu | None]) -> Iterator[Gpu | None]:
    """Wait for a free one of the places on this machine."""
    root = jobs_folder(folder) / f"places-{hostname()}"
    while True:
        for number, gpu in enumerate(places):
            place = root / str(number)
            place.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                try:
                    stack.enter_context(locked(place, lambda line: None, patience=0.0))
                except Held:
                    continue
                yield gpu
                return
        time.sleep(WAIT_SECONDS)

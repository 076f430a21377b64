"""Runs that a runner carries out: submit what is neither done nor queued, and follow all of it.

The runs' own files say how they fare; the runner says which jobs are queued, and why one ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..api.errors import TrmBenchError, UnavailableError, UsageError
from ..api.runners import JobState, Phase
from ..api.text import plural
from ..host.host import Host
from ..planning.grid import is_done
from ..planning.job import Job, PlannedRun
from ..store.checked import DamagedResult
from ..store.folders import METRICS, RunFolder
from ..store.locks import holder_of, is_running
from ..store.records import Manifest, Status
from ..store.submitted import SubmittedRun, add_submitted, jobs_folder, read_submitted
from ..training.gpus import Gpu
from .processes import Watch
from .queue import Queue, queue_of
from .queued_run import QueuedRun
from .run import ended, failed, first_manifest, mark, now
from .worker_keys import RESUMED

LOOK_SECONDS = 1.0
"""Between two looks at the files of the runs."""
ASK_SECONDS = 5.0
"""Between two questions to the runner."""
SETTLE_SECONDS = 10.0
"""How long the files of a job that has ended may take to appear on a shared file system."""
LOG_LINES = 20


def active(host: Host, folder: Path, names: Iterable[str]) -> dict[str, SubmittedRun]:
    """The runs of a folder whose jobs are queued or running, by name.

    Raises:
        UsageError: they were submitted to a runner that is not installed here.
    """
    wanted = set(names)
    found: dict[str, SubmittedRun] = {}
    submitted = [one for one in read_submitted(folder).values() if one.run in wanted and not one.cancelled]
    for runner in {one.runner for one in submitted}:
        mine = [one for one in submitted if one.runner == runner]
        states = queue_of(host, runner).states(mine, folder)
        gone = JobState(Phase.ENDED)
        found |= {one.run: one for one in mine if states.get(one.job, gone).phase is not Phase.ENDED}
    return found


def submit(
    queue: Queue,
    jobs: Sequence[Job],
    known: Mapping[str, SubmittedRun],
    folder: Path,
    places: Sequence[Gpu | None],
) -> tuple[list[Job], dict[str, SubmittedRun]]:
    """Submit the runs that are neither queued nor running; gives all jobs, and the submission of each run."""
    parts = [part for job in jobs for part in _as_submitted(job, known)]
    new = [job for job in parts if job.run.name not in known]
    if new:
        place = jobs_folder(folder)
        place.mkdir(parents=True, exist_ok=True)
        here = tuple(places[: len(parts)]) if queue.device is None else ()
        ids = queue.spec.submit(
            [QueuedRun(replace(job, queued=True), here) for job in new],
            queue.settings,
            place,
        )
        made = [
            SubmittedRun(run=run.name, runner=queue.spec.name, job=one, submitted=now(), fresh=job.fresh)
            for job, one in zip(new, ids, strict=True)
            for run in job.runs
        ]
        add_submitted(folder, made)
        known = {**known, **{one.run: one for one in made}}
    return parts, {run.name: known[run.name] for job in parts for run in job.runs}


def _as_submitted(job: Job, known: Mapping[str, SubmittedRun]) -> list[Job]:
    """A job in parts: the runs of each earlier submission, and those of none."""
    parts: dict[str, list[PlannedRun]] = {}
    for run in job.runs:
        parts.setdefault(known[run.name].job if run.name in known else "", []).append(run)
    return [replace(job, runs=tuple(runs)) for runs in parts.values()]


def belongs(manifest: Manifest, submitted: SubmittedRun) -> bool:
    """Whether a manifest is of a submission: by the id of its job, as clocks differ, or else by time."""
    return manifest.environment.get("job") == submitted.job or manifest.started >= submitted.submitted


@dataclass
class _Followed:
    """A job that has not ended, and how far its log of metrics was read."""

    job: Job
    submitted: SubmittedRun
    shown: bool = False
    read: int = 0
    state: JobState = field(default_factory=lambda: JobState(Phase.QUEUED))
    ended_at: float | None = None

    @property
    def folder(self) -> RunFolder:
        """Of the first run."""
        return RunFolder(self.job.folder / self.job.run.name)

    def manifest(self, run: PlannedRun | None = None) -> Manifest | None:
        """What the job itself wrote of a run, by default of its first."""
        with suppress(DamagedResult):
            manifest = RunFolder(self.job.folder / (run or self.job.run).name).manifest()
            return manifest if belongs(manifest, self.submitted) else None
        return None

    def finished(self, run: PlannedRun) -> bool:
        """Whether the job has finished a run, or found it done when it came to its turn."""
        if (manifest := self.manifest(run)) is not None:
            believed = manifest.status is Status.DONE
        else:
            believed = self.ended_at is not None and not self.submitted.fresh
        return believed and is_done(RunFolder(self.job.folder / run.name), self.job)


def follow(
    queue: Queue, jobs: Sequence[Job], submitted: Mapping[str, SubmittedRun], host: Host, watch: Watch
) -> dict[str, Status]:
    """Wait for submitted jobs; returns the status of every run by name.

    A job that ended without a word (its time was over, its node died) has its run marked, with the reason and
    the last lines of its log. An interruption leaves all of them as they are.
    """
    left = {job.run.name: _Followed(job, submitted[job.run.name]) for job in jobs}
    statuses: dict[str, Status] = {}
    asked = -ASK_SECONDS
    while left:
        if time.monotonic() - asked >= ASK_SECONDS:
            try:
                _ask(queue, list(left.values()))
            except UnavailableError as silent:  # for a while: the jobs continue all the same
                watch.tell(str(silent))
            asked = time.monotonic()
        for name, one in list(left.items()):
            _show(one, host, watch)
            if (ending := _ended(queue, one)) is not None:
                status, error = ending
                watch.finished(name, status, error)
                statuses |= _statuses(one, status)
                del left[name]
        if left:
            time.sleep(LOOK_SECONDS)
    return statuses


def _statuses(one: _Followed, status: Status) -> dict[str, Status]:
    """Of each run of a job: the shallower ones of its pass may be finished."""
    return {run.name: Status.DONE if one.finished(run) else status for run in one.job.runs}


def _ask(queue: Queue, followed: Sequence[_Followed]) -> None:
    """Ask the runner for the state of all jobs at once."""
    folder = followed[0].job.folder
    states = queue.states([one.submitted for one in followed], folder)
    for one in followed:
        one.state = states.get(one.submitted.job, JobState(Phase.ENDED))
        if one.state.phase is not Phase.ENDED:
            one.ended_at = None
        elif one.ended_at is None:
            one.ended_at = time.monotonic()


def _show(one: _Followed, host: Host, watch: Watch) -> None:
    """Pass on the lines of metrics that were written since the last look."""
    name = one.job.run.name
    if not one.shown and one.manifest() is not None:
        one.shown = True
        watch.started(name)
    if not one.shown:
        return
    spent, followed_now = 0.0, one.read == 0
    with suppress(OSError), (one.folder.folder / METRICS).open("rb") as stream:
        if stream.seek(0, 2) < one.read:  # it went back to a checkpoint
            one.read = 0
        stream.seek(one.read)
        for line in stream:
            if not line.endswith(b"\n"):  # still being written
                break
            one.read += len(line)
            with suppress(ValueError):
                metrics = json.loads(line)
                host.notify("trm_bench_metrics_logged", run=name, metrics=metrics)
                watch.metrics(name, metrics)
                spent = max(spent, metrics.get("spent", 0.0))
    if followed_now and spent:  # by the job, before this command looked
        watch.metrics(name, {RESUMED: spent})


def _ended(queue: Queue, one: _Followed) -> tuple[Status, str | None] | None:
    """How the job ended, by its run's files or else by the runner; None while it continues."""
    if all(one.finished(run) for run in one.job.runs):
        return Status.DONE, None
    if one.ended_at is None:
        return None
    for manifest in map(one.manifest, one.job.runs):
        if manifest is not None and manifest.status in (Status.FAILED, Status.INTERRUPTED):
            _restore(one)
            return manifest.status, manifest.error or one.state.reason or None
    if time.monotonic() - one.ended_at < SETTLE_SECONDS:
        return None
    return _mark(queue, one)


def _restore(one: _Followed) -> None:
    """Put back what an ended job was to replace."""
    for run in one.job.runs:
        if holder_of(one.job.folder, run.name) is None:
            with suppress(OSError):
                RunFolder(one.job.folder / run.name).restore()


def _mark(queue: Queue, one: _Followed) -> tuple[Status, str]:
    """Mark the runs of a job that ended without a word: a begun one is interrupted, as `status` says.

    What is done stays: the shallower runs of a pass, and a result that ``--force`` was to replace.
    """
    reason = f": {one.state.reason}" if one.state.reason else ""
    root = one.job.folder
    why = f"{queue.spec.name} job {one.submitted.job} ended{reason}{without_log(queue, one.submitted, root)}"
    if (holder := holder_of(root, one.job.run.name)) is not None:
        why += f"; the run is locked by another process{holder.which}{holder.advice}"
        return Status.FAILED, why
    written = [one.manifest(run) for run in one.job.runs]
    begun = any(manifest is not None and manifest.status is Status.RUNNING for manifest in written)
    if begun:
        why = one.state.reason or why
    trace = last_lines(queue, one.submitted, root)
    for run, manifest in zip(one.job.runs, written, strict=True):
        folder = RunFolder(root / run.name)
        if folder.is_done():
            continue
        if manifest is not None and manifest.status is Status.RUNNING:
            marked = ended(manifest, Status.INTERRUPTED, "the run was interrupted", error=why)
        else:
            marked = failed(first_manifest(one.job, run), TrmBenchError(why))
        mark(folder, marked.model_copy(update={"trace": trace or None}))
    if one.submitted.fresh and trace:  # the earlier result is back, so that the log alone says why
        why += f"; its log ends: {trace.splitlines()[-1]}"
    return (Status.INTERRUPTED if begun else Status.FAILED), why


def without_log(queue: Queue, submitted: SubmittedRun, folder: Path) -> str:
    """A question to add where an ended job wrote no log: most often its node cannot see the folder."""
    logs = queue.spec.logs(submitted.job, jobs_folder(folder))
    if not logs or any(path.exists() for path in logs):
        return ""
    return f"; it wrote no log: did it start, and do the nodes see {folder}?"


def last_lines(queue: Queue, submitted: SubmittedRun, folder: Path, count: int = LOG_LINES) -> str:
    """The last lines that a job wrote, of each of its logs."""
    lines: list[str] = []
    for path in queue.spec.logs(submitted.job, jobs_folder(folder)):
        with suppress(OSError), path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - 8192))
            text = stream.read().decode(errors="replace")
            lines += [line for line in text.splitlines() if line.strip()][-count:]
    return "\n".join(lines[-count:])


def cancel(host: Host, folder: Path, names: Sequence[str] = ()) -> list[str]:
    """Cancel the jobs of runs of a folder, by default all that are queued or running; gives their runs.

    Raises:
        UsageError: a name is not that of a run that is queued or running.
    """
    there = active(host, folder, read_submitted(folder))
    for name in names:
        if name not in there:
            raise UsageError(f"{name}: has no job that is queued or running; trm-bench status {folder}")
    jobs = {(there[name].runner, there[name].job) for name in names or there}
    chosen = [one for one in there.values() if (one.runner, one.job) in jobs]  # a pass has several runs
    # First, for a job that is told to stop looks whether it will be continued.
    add_submitted(folder, [one.model_copy(update={"cancelled": True}) for one in chosen])
    for runner in {one.runner for one in chosen}:
        mine = list(dict.fromkeys(one.job for one in chosen if one.runner == runner))
        queue_of(host, runner).spec.cancel(mine, jobs_folder(folder))
    for one in chosen:
        with suppress(DamagedResult):
            run = RunFolder(folder / one.run)
            if (manifest := run.manifest()).status is Status.RUNNING and not is_running(folder, one.run):
                mark(run, ended(manifest, Status.INTERRUPTED, "the run was cancelled"))
    return [one.run for one in chosen]


def describe(queue: Queue, jobs: Sequence[Job], submitted: Mapping[str, SubmittedRun], new: int) -> str:
    """A line on what was submitted and what was there already."""
    there = len(jobs) - new
    line = f"{plural(new, 'job')} submitted to {queue.spec.name}"
    return f"{line}; {plural(there, 'job')} of an earlier command followed" if there else line

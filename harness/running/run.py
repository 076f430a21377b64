"""One run from start to end: train, then evaluate on the test split once, then write everything."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..api.errors import TrmBenchError
from ..host.host import Host
from ..planning.job import Job, PlannedRun
from ..store import provenance
from ..store.folders import RunFolder
from ..store.records import Manifest, Status
from ..training.trainer import Metrics
from .worker import Worker

OnMetrics = Callable[[Metrics], None]
"""Called with every line of metrics (``spent`` is the share of the budget used), and during evaluation with
the share `worker_keys.EVALUATED` alone."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended, and which of its runs were finished all the same, before it failed."""

    status: Status
    error: str | None = None
    finished: tuple[str, ...] = ()

    def status_of(self, run: str) -> Status:
        """How one of its runs ended."""
        return Status.DONE if run in self.finished else self.status


def run_job(host: Host, job: Job, on_metrics: OnMetrics) -> Outcome:
    """Carry a job out; the folder of each run is left finished or failed, and no error escapes."""
    folders = [RunFolder(job.folder / run.name) for run in job.runs]
    manifests = [first_manifest(job, run) for run in job.runs]
    for folder, manifest in zip(folders, manifests, strict=True):
        folder.start(manifest, job.fresh)
    try:
        worker = Worker(host, job, folders[0], on_metrics)
        trained = worker.load(job.stored) if job.stored else worker.train()
        worker.evaluate(trained, folders, manifests)
    except Exception as error:
        return fail(job, manifests, error)
    return Outcome(Status.DONE)


def fail(job: Job, manifests: Sequence[Manifest], error: BaseException) -> Outcome:
    """Mark the runs of a job failed that are not finished: the shallower ones of its pass may be."""
    finished = []
    for run, manifest in zip(job.runs, manifests, strict=True):
        folder = RunFolder(job.folder / run.name)
        if folder.is_done():
            finished.append(run.name)
            continue
        folder.folder.mkdir(parents=True, exist_ok=True)
        folder.write_manifest(failed(manifest, error))
        folder.restore()
    return Outcome(Status.FAILED, failed(manifests[0], error).error, tuple(finished))


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def first_manifest(job: Job, run: PlannedRun) -> Manifest:
    """The manifest of a run that has just started."""
    return Manifest(
        status=Status.RUNNING,
        run=run.name,
        identity=run.identity,
        description=run.description,
        execution=job.execution.model_dump(mode="json"),
        citable=not run.reasons,
        not_citable_because=list(run.reasons),
        notes=list(run.notes),
        started=now(),
        command=list(job.command),
        environment=provenance.environment(),
        code=provenance.code(),
    )


def ended(manifest: Manifest, status: Status, reason: str, **update: object) -> Manifest:
    """The manifest of a run that did not finish, and so may not be cited."""
    changes: Mapping[str, object] = {
        "status": status,
        "finished": now(),
        "citable": False,
        "not_citable_because": [*manifest.not_citable_because, reason],
        **update,
    }
    return manifest.model_copy(update=dict(changes))


def failed(manifest: Manifest, error: BaseException) -> Manifest:
    """The manifest with the error; the trace is kept only for what was not foreseen."""
    foreseen = isinstance(error, TrmBenchError)
    return ended(
        manifest,
        Status.FAILED,
        "the run failed",
        error=str(error) if foreseen else f"{type(error).__name__}: {error}",
        trace=None if foreseen else "".join(traceback.format_exception(error)),
    )

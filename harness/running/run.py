"""One run from start to end: train, then evaluate on the test split once, then write everything."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..api.errors import PluginError, TrmBenchError, told, traced
from ..host.calls import is_stop
from ..host.host import Host
from ..planning.job import Job, PlannedRun
from ..store import provenance
from ..store.disk import disk_problem
from ..store.folders import RunFolder
from ..store.records import Manifest, Status
from ..training.checkpoint import Stopped
from ..training.gpus import gpu_facts, visible_gpus
from ..training.trainer import Metrics
from .ranks import merged, together
from .rescore import NotScored
from .worker import Worker

OnMetrics = Callable[[Metrics], None]
"""Called with every line of metrics (``spent`` is the share of the budget used), and during evaluation with
the share `worker_keys.EVALUATED` alone."""

Tell = Callable[[str], None]
"""Called with lines for the user."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended, and which of its runs were finished all the same, before it failed."""

    status: Status
    error: str | None = None
    finished: tuple[str, ...] = ()

    def status_of(self, run: str) -> Status:
        """How one of its runs ended."""
        return Status.DONE if run in self.finished else self.status


def run_job(host: Host, job: Job, on_metrics: OnMetrics, tell: Tell = warnings.warn) -> Outcome:
    """Carry a job out; the folder of each run is left finished or failed, and no error escapes.

    Call ``tell`` with lines for the user.
    """
    folders = [RunFolder(job.folder / run.name) for run in job.runs]
    manifests = [first_manifest(job, run) for run in job.runs]
    try:
        for folder, manifest in zip(folders, manifests, strict=True):
            folder.start(manifest, job.fresh)
        worker = Worker(host, job, folders[0], on_metrics, tell)
        settled = worker.choose()
        execution = settled.model_dump(mode="json")
        begun = {"execution": execution, "resumed": worker.resumed}
        manifests = [manifest.model_copy(update=begun) for manifest in manifests]
        for folder, manifest in zip(folders, manifests, strict=True):
            folder.write_manifest(manifest)
        with together(replace(job, execution=settled), tell) as group:
            worker.join(group)
            trained = worker.load(job.stored) if job.stored else worker.train()
            worker.evaluate(trained, folders, manifests)
    except NotScored as error:  # what is finished counts, and the same command tries the scores again
        return Outcome(Status.FAILED, str(error))
    except BaseException as error:  # a plugin's code may raise anything
        if isinstance(error, Stopped) or is_stop(error):
            raise
        return fail(job, manifests, error)
    return Outcome(Status.DONE)


def fail(job: Job, manifests: Sequence[Manifest], error: BaseException) -> Outcome:
    """Mark the runs of a job failed that are not finished: the shallower ones of its pass may be.

    An earlier result that ``--force`` was to replace stays as it is; the run has failed all the same.
    """
    finished = []
    for run, manifest in zip(job.runs, manifests, strict=True):
        folder = RunFolder(job.folder / run.name)
        if folder.is_done():
            if folder.manifest().started >= manifest.started:
                finished.append(run.name)
        else:
            mark(folder, failed(manifest, error))
    return Outcome(Status.FAILED, failed(manifests[0], error).error, tuple(finished))


def mark(folder: RunFolder, manifest: Manifest, restore: bool = True) -> None:
    """Write how an unfinished run ended, and put back the result that it was to replace (``restore``).

    On a full disk nothing may be written; the run counts as not done all the same.
    """
    with suppress(OSError):
        folder.folder.mkdir(parents=True, exist_ok=True)
        folder.write_manifest(manifest)
    if restore:
        with suppress(OSError):
            folder.restore()


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
        scored_by=list(run.scored_by),
        execution=job.execution.model_dump(mode="json"),
        citable=not run.reasons,
        not_citable_because=list(run.reasons),
        notes=list(run.notes),
        started=now(),
        command=list(job.command),
        environment=_environment(job),
        code=provenance.code(),
    )


def _environment(job: Job) -> dict[str, Any]:
    found = provenance.environment()
    if job.run.identity.device != "cuda":
        return found
    gpus = visible_gpus() if job.gpu is None else ()  # on a cluster, those that the batch system gave
    gpu = merged(gpus[: job.execution.processes]) if gpus else job.gpu
    return found if gpu is None else {**found, "gpu": gpu_facts(gpu)}


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
    disk = disk_problem(error)
    foreseen = disk is not None or (isinstance(error, TrmBenchError) and not isinstance(error, PluginError))
    return ended(
        manifest,
        Status.FAILED,
        "the run failed",
        error=told(error) if disk is None else f"{disk}; put that right and run the same command again",
        trace=None if foreseen else traced(error),
    )

"""Slurm: jobs are submitted by submitit; their state comes from ``squeue``, which needs no accounting."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...harness.api.errors import UnavailableError
from ...harness.api.runners import JobState, Phase, QueuedWork
from .needs import quiet, require_submitit
from .settings import SlurmSettings

_ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
_QUEUED = {"CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "SUSPENDED"}
_SQUEUE = ("squeue", "--all", "--array", "--states=all", "--noheader", "--format=%i|%T|%r")
_AT_A_TIME = 200
"""Ids in one command, whose length has a limit."""
_FORGOTTEN = "Invalid job id specified"
"""What squeue says where it knows none of the ids any more."""
_ELEMENTS = 1000
"""Of one array: Slurm's default for the most."""


def submit(work: Sequence[QueuedWork], settings: SlurmSettings, folder: Path) -> Sequence[str]:
    """Submit an array.

    Raises:
        UnavailableError: submitit or sbatch is missing, or sbatch refuses; gives what it says.
    """
    require_submitit()
    import submitit

    try:
        executor = submitit.SlurmExecutor(folder, max_num_timeout=settings.repeats)
    except RuntimeError as error:
        raise UnavailableError(
            f"--on slurm: no sbatch here ({error}); run the command on a login node of the cluster"
        ) from error
    executor.update_parameters(**_parameters(settings))
    jobs: list[str] = []
    try:
        for start in range(0, len(work), _ELEMENTS):
            with quiet(), executor.batch():
                array = [executor.submit(one) for one in work[start : start + _ELEMENTS]]
            jobs += [job.job_id for job in array]
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
        cancel(jobs)
        said = _said(error)
        raise UnavailableError(f"--on slurm: sbatch refused ({said}); nothing was submitted") from error
    return jobs


def _parameters(settings: SlurmSettings) -> dict[str, object]:
    named = {
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
        "mem": settings.memory,
        "array_parallelism": settings.at_most,
        "gres": f"gpu:{settings.gpus}" if settings.gpus else None,
    }
    return {
        "job_name": "trm-bench",
        "time": settings.time,
        "cpus_per_task": settings.cpus,
        "signal_delay_s": settings.warn_seconds,
        "setup": settings.setup or None,
        "additional_parameters": {"requeue": True, "open_mode": "append", **settings.extra},
        **{key: value for key, value in named.items() if value is not None},
    }


def _said(error: Exception) -> str:
    """What sbatch said, without submitit's words around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(("sbatch:", "slurm"))]
    return "; ".join(own or lines[-1:])


def states(jobs: Sequence[str]) -> Mapping[str, JobState]:
    """Of the jobs that Slurm still knows: it forgets one some minutes after its end.

    Raises:
        UnavailableError: squeue is missing or cannot reach the controller.
    """
    wanted, found = set(jobs), {}
    arrays = sorted({job.partition("_")[0] for job in jobs})
    for start in range(0, len(arrays), _AT_A_TIME):
        ids = ",".join(arrays[start : start + _AT_A_TIME])
        for line in _run([*_SQUEUE, f"--jobs={ids}"], forgiven=_FORGOTTEN).splitlines():
            job, state, reason = (part.strip() for part in [*line.split("|", 2), "", ""][:3])
            if job in wanted:
                found[job] = _state(state, "" if reason == "None" else reason)
    return found


def _state(state: str, reason: str) -> JobState:
    if state in _ENDED:
        return JobState(Phase.ENDED, "" if state == "COMPLETED" else state)
    if state in _QUEUED:
        return JobState(Phase.QUEUED, reason)
    return JobState(Phase.RUNNING)


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; one that has ended is left alone.

    Raises:
        UnavailableError: scancel is missing or cannot reach the controller.
    """
    for start in range(0, len(jobs), _AT_A_TIME):
        _run(["scancel", "--quiet", *jobs[start : start + _AT_A_TIME]])


def _run(command: Sequence[str], forgiven: str | None = None) -> str:
    """What a command of Slurm prints; nothing where it fails with the words that are ``forgiven``."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except FileNotFoundError as error:
        raise UnavailableError(
            f"--on slurm: no {command[0]} here; run the command on a login node of the cluster"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]}: no answer within a minute; try again later") from error
    except subprocess.CalledProcessError as error:
        said = re.sub(r"\s+", " ", error.stderr).strip()
        if forgiven is not None and forgiven in said:
            return ""
        raise UnavailableError(f"{command[0]}: {said}; try again later") from error
    return done.stdout

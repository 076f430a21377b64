"""The built-in runners: Slurm, and processes of this machine that outlive the command; both by submitit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...harness.api.hookspecs import hookimpl
from ...harness.api.runners import JobState, QueuedWork, RunnerSpec
from .settings import LocalSettings, SlurmSettings, with_room


def _submit_to_slurm(work: Sequence[QueuedWork], settings: SlurmSettings, folder: Path) -> Sequence[str]:
    from .slurm import submit

    return submit(work, settings, folder)


def _states_in_slurm(jobs: Sequence[str], folder: Path) -> Mapping[str, JobState]:
    from .slurm import states

    return states(jobs)


def _cancel_in_slurm(jobs: Sequence[str], folder: Path) -> None:
    from .slurm import cancel

    cancel(jobs)


def _submit_here(work: Sequence[QueuedWork], settings: LocalSettings, folder: Path) -> Sequence[str]:
    from .local import submit

    return submit(work, settings, folder)


def _states_here(jobs: Sequence[str], folder: Path) -> Mapping[str, JobState]:
    from .local import states

    return states(jobs, folder)


def _cancel_here(jobs: Sequence[str], folder: Path) -> None:
    from .local import cancel

    cancel(jobs, folder)


def _logs(job: str, folder: Path) -> Sequence[Path]:
    """What submitit calls the logs of a job's only task."""
    return [folder / f"{job}_0_log.{ending}" for ending in ("out", "err")]


def _device(settings: Any) -> str:
    return "cuda" if settings.gpus else "cpu"


@hookimpl
def trm_bench_register_runners() -> Iterable[RunnerSpec]:
    """Slurm, and this machine."""
    return [
        RunnerSpec(
            "slurm",
            "an array of jobs on a Slurm cluster (needs trm-bench[cluster])",
            config=SlurmSettings,
            submit=_submit_to_slurm,
            states=_states_in_slurm,
            cancel=_cancel_in_slurm,
            logs=_logs,
            device=_device,
            with_room=with_room,
        ),
        RunnerSpec(
            "local",
            "processes of this machine that outlive the command (needs trm-bench[cluster])",
            config=LocalSettings,
            submit=_submit_here,
            states=_states_here,
            cancel=_cancel_here,
            logs=_logs,
            device=lambda settings: None,
        ),
    ]

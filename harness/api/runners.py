"""What a plugin gives to carry runs out elsewhere than in processes of the command: a batch system, say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from .specs import API_VERSION


class Phase(StrEnum):
    """Where a job of a runner is."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class JobState:
    """What a runner knows of a job.

    Attributes:
        phase: queued, running or ended.
        reason: in the runner's own words, e.g. ``TIMEOUT`` or why it is still queued; empty if there is none.
    """

    phase: Phase
    reason: str = ""


class QueuedWork(Protocol):
    """One run, to be carried out wherever the runner likes; it can be pickled.

    Attributes:
        name: of the run.
    """

    @property
    def name(self) -> str:
        """Of the run."""
        ...

    def __call__(self) -> str:
        """Carry the run out in a process of its own, from its last checkpoint; gives how it ended.

        A SIGTERM to the calling process saves a checkpoint first.
        """
        ...

    def checkpoint(self) -> Any:
        """Save and stop; gives what is submitted again (in the form of submitit, which calls it)."""
        ...


@dataclass(frozen=True)
class RunnerSpec:
    """Where runs are carried out, chosen with ``--on``.

    Attributes:
        name: what ``--on`` takes, and ``runner:`` in a file of settings.
        summary: one line for `trm-bench list`.
        config: pydantic model of the settings that the file may have.
        submit: called with the work, the settings and a folder for logs; gives the id of a job for each.
        states: called with ids and the folder; gives the state of those that it knows. The others have ended.
        cancel: called with ids and the folder.
        logs: called with an id and the folder; gives the files that the job writes to, which may be missing.
        device: called with the settings; gives the device of the runs, ``cpu`` or ``cuda``; None for the best
            of this machine, where all jobs are then carried out, ``--jobs`` at a time.
        with_room: called with the settings and the processes of one run, more than one; gives settings with
            a core or GPU for each, or raises `UsageError` where the user's do not have them. None: settings
            are taken as they are.
        api_version: of the plugin interface that it was made for.
    """

    name: str
    summary: str
    config: type[BaseModel]
    submit: Callable[[Sequence[QueuedWork], Any, Path], Sequence[str]]
    states: Callable[[Sequence[str], Path], Mapping[str, JobState]]
    cancel: Callable[[Sequence[str], Path], None]
    logs: Callable[[str, Path], Sequence[Path]]
    device: Callable[[Any], str | None]
    with_room: Callable[[Any, int], Any] | None = None
    api_version: str = API_VERSION

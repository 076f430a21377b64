"""The settings of the built-in runners, as a file of ``--on`` has them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ...harness.api.errors import UsageError

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d\d)(?::\d\d)?")


def minutes(value: object) -> int:
    """Minutes of ``90``, ``1:30``, ``1:30:00`` or ``2-00:00:00`` (hours first, unlike Slurm's own ``30:00``).

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isdigit():
        return int(value)
    if isinstance(value, str) and (found := _TIME.fullmatch(value)):
        return (24 * int(found["days"] or 0) + int(found["hours"])) * 60 + int(found["minutes"])
    raise ValueError("write minutes, or hours and minutes as in 12:00")


class SlurmSettings(BaseModel):
    """Of ``--on slurm`` and its file.

    A run that needs longer than ``time`` is queued again and resumes from its checkpoint.
    """

    model_config = ConfigDict(extra="forbid")

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: Annotated[int, BeforeValidator(minutes)] = Field(60, gt=0, description="minutes, or 12:00")
    gpus: int = Field(0, ge=0, description="GPUs of a run")
    cpus: int = Field(1, gt=0, description="cores of a run")
    memory: str | None = Field(None, description="of a run, e.g. 16G")
    at_most: int | None = Field(None, gt=0, description="jobs of one array that run at a time")
    setup: list[str] = Field([], description="shell commands before the run, e.g. module load cuda")
    extra: dict[str, str | int] = Field({}, description="further options of sbatch, e.g. exclude: node7")
    warn_seconds: int = Field(90, gt=0, description="before the time is over: when the run saves and stops")
    repeats: int = Field(20, ge=0, description="times that a run is queued again when its time is over")


def with_room(settings: SlurmSettings, processes: int) -> SlurmSettings:
    """Settings with a GPU for each process of a run, or a core on the CPU; what was not given is raised.

    Raises:
        UsageError: the user's settings have fewer.
    """
    needed = "gpus" if settings.gpus else "cpus"
    if (there := getattr(settings, needed)) < processes and needed in settings.model_fields_set:
        raise UsageError(
            f"--on slurm: {needed}={there} is too few for setting processes={processes}, a "
            f"{'GPU' if settings.gpus else 'core'} each: write {needed}: {processes} in the file of --on, or "
            f"--set processes={there}"
        )
    raised = {} if "cpus" in settings.model_fields_set else {"cpus": max(settings.cpus, processes)}
    return settings.model_copy(update=raised)


class LocalSettings(BaseModel):
    """Of ``--on local``, which has none."""

    model_config = ConfigDict(extra="forbid")

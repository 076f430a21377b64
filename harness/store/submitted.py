"""The jobs that runs of an output folder were submitted as, for a later command to find them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from .checked import DamagedResult, read_stamped, stamped
from .folders import write_atomically

JOBS = ".jobs"
"""In an output folder: logs, and the file of this module."""
SUBMITTED = "submitted.json"


class SubmittedRun(BaseModel):
    """A run that was submitted.

    Attributes:
        run: name of its folder.
        runner: where.
        job: id there.
        submitted: when, ISO 8601 in UTC.
        cancelled: whether it was cancelled since.
        fresh: whether it repeats a run, finished or not, from scratch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    runner: str
    job: str
    submitted: str
    cancelled: bool = False
    fresh: bool = False


def jobs_folder(folder: Path) -> Path:
    """Where the logs of an output folder's jobs are; absolute."""
    return folder.resolve() / JOBS


def read_submitted(folder: Path) -> dict[str, SubmittedRun]:
    """The last submission of every run by its name; empty where nothing was submitted.

    Raises:
        DamagedResult: the file is there and cannot be read.
    """
    path = jobs_folder(folder) / SUBMITTED
    if not path.exists():
        return {}
    advice = "delete it; jobs that are still queued must be cancelled by hand"
    try:
        runs = TypeAdapter(list[SubmittedRun]).validate_python(read_stamped(path).get("runs"))
    except DamagedResult as error:
        raise DamagedResult(f"{error}; {advice}") from error
    except ValidationError as error:
        raise DamagedResult(f"{path}: cannot be read ({str(error).splitlines()[0]}); {advice}") from error
    return {one.run: one for one in runs}


def add_submitted(folder: Path, new: Iterable[SubmittedRun]) -> None:
    """Keep submissions; each takes the place of an earlier one of its run."""
    known = {**read_submitted(folder), **{one.run: one for one in new}}
    _write(folder, list(known.values()))


def _write(folder: Path, runs: Sequence[SubmittedRun]) -> None:
    place = jobs_folder(folder)
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / SUBMITTED, stamped({"runs": [run.model_dump(mode="json") for run in runs]}))

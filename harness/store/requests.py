"""The runs that were requested of an output folder: its report must account for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from .checked import DamagedResult, read_stamped, stamped
from .folders import write_atomically

RUNS = "runs.json"


class RequestedRun(BaseModel):
    """A run that was requested.

    Attributes:
        run: name of its folder.
        model: what the requested name resolves to, with options.
        requested: the model as the user wrote it.
        replaceable: whether a later request of the same model and seed takes its place, because it belongs to
            an older recipe or version then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    model: str
    requested: str
    seed: int
    replaceable: bool = True

    @property
    def slot(self) -> tuple[str, str, int]:
        """Model, evaluation and seed: what a row and a seed of a table are."""
        return self.model, self.requested.partition(" @ ")[2], self.seed


def read_requested(folder: Path) -> list[RequestedRun]:
    """The runs requested of a folder, in their order; empty without the file.

    Raises:
        DamagedResult: the file is there and cannot be read.
    """
    path = folder / RUNS
    if not path.exists():
        return []
    try:
        return TypeAdapter(list[RequestedRun]).validate_python(read_stamped(path).get("runs"))
    except DamagedResult as error:
        raise DamagedResult(f"{error}; delete it, finished runs are kept") from error
    except ValidationError as error:
        first = str(error).splitlines()[0]
        raise DamagedResult(f"{path}: cannot be read ({first}); delete it, finished runs are kept") from error


def write_requested(folder: Path, requested: Sequence[RequestedRun]) -> None:
    """Replace `runs.json`."""
    write_atomically(folder / RUNS, stamped({"runs": [run.model_dump(mode="json") for run in requested]}))


def add_requested(folder: Path, new: Sequence[RequestedRun]) -> None:
    """Add runs to those that the folder's report must account for."""
    names = {run.run for run in new}
    replaced = {run.slot for run in new if run.replaceable}
    kept = [run for run in read_requested(folder) if run.run not in names and run.slot not in replaced]
    write_requested(folder, [*kept, *new])

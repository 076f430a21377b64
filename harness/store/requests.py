"""The runs that were requested of an output folder: its report must account for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from .folders import DamagedResult, write_atomically

REQUESTS = "requests.json"


class Requested(BaseModel):
    """A cell that a run into a folder asked for; its report must account for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: str
    model: str
    asked: str
    seed: int


def read_requests(folder: Path) -> list[Requested]:
    """The cells that the runs into a folder asked for, in their order; empty without the file.

    Raises:
        DamagedResult: the file is there and cannot be read.
    """
    path = folder / REQUESTS
    if not path.exists():
        return []
    try:
        return TypeAdapter(list[Requested]).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise DamagedResult(
            f"{path}: cannot be read ({first}); delete it, finished cells are kept"
        ) from error


def write_requests(folder: Path, requested: Sequence[Requested]) -> None:
    """Replace `requests.json`."""
    write_atomically(folder / REQUESTS, TypeAdapter(list[Requested]).dump_json(list(requested), indent=1))

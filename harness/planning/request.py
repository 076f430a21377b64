"""A user's request, as written: one record for training and for evaluation, kept for `resume`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ..api.budget import Match
from ..api.errors import UsageError
from ..store.checked import DamagedResult, read_stamped, stamped
from ..store.folders import write_atomically
from ..store.records import ScoredSplit
from ..training.device import usual_precision
from .evaluation_mode import EvaluationMode

REQUESTS = "requests.json"
"""In an output folder: the requests that were made of it."""
Value = str | int | float | bool


@dataclass(frozen=True)
class Request:
    """Models to train, or weights to evaluate; None means the default.

    Attributes:
        models: as written, e.g. ``trm[cycles=2]``; for weights, the architecture of external ones.
        task, scale: needed for training; for weights, by default those they were trained on.
        seeds: training seeds, in order.
        weights: files, runs or output folders; empty to train.
        weights_key: which weights of a file of external ones that holds several.
        as_seeds: whether the files of external weights are seeds of one model.
        modes: how weights are evaluated, a row of the table each.
        source, data: where the puzzles come from; a folder of files makes the source ``official``.
        train, test: files to read instead of what the folder holds; they make the source ``official``, too.
        split: the puzzles that the runs are scored on.
        baseline: the one of ``models`` that all others are compared with; empty for every pair.
        until_decided: whether seeds are run from one planned look at the results to the next, see `looks`;
            ``seeds`` are those of the last one.
        augmentations: A, augmentations per puzzle.
        limit: only the first N items of the split.
        evaluators: further ones, in addition to the task's own.
        settings: the pairs of ``--set``.
        declared: those of ``settings`` that a study's definition makes part of its recipe.
        precision: what ``precision=auto`` means, as found on the machine where the request was made.
        study: whether a study declares this evaluation, so that its modes are no change of protocol.
    """

    models: tuple[str, ...] = ()
    task: str | None = None
    scale: str | None = None
    seeds: tuple[int, ...] = ()
    weights: tuple[Path, ...] = ()
    weights_key: str | None = None
    as_seeds: bool = False
    modes: tuple[EvaluationMode, ...] = (EvaluationMode(),)
    source: str | None = None
    data: Path | None = None
    augmentations: int | None = None
    match: Match = Match.STEPS
    limit: int | None = None
    evaluators: tuple[str, ...] = ()
    device: str = "cpu"
    settings: Mapping[str, Value] = field(default_factory=dict)
    declared: Mapping[str, Value] = field(default_factory=dict)
    study: bool = False
    precision: str = ""
    train: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    split: ScoredSplit = "test"
    baseline: str = ""
    until_decided: bool = False

    def __post_init__(self) -> None:
        if not self.precision:
            object.__setattr__(self, "precision", usual_precision(self.device))

    @property
    def reads_files(self) -> bool:
        """Whether a folder or files are named."""
        return self.data is not None or bool(self.train or self.test)


def read_requests(folder: Path) -> list[Request]:
    """The requests made of an output folder, in order; empty without the file.

    Raises:
        UsageError: the file cannot be read.
    """
    path = folder / REQUESTS
    if not path.is_file():
        return []
    try:
        return TypeAdapter(list[Request]).validate_python(read_stamped(path).get("requests"))
    except (DamagedResult, ValueError) as error:
        first = str(error).splitlines()[0]
        what = first if isinstance(error, DamagedResult) else f"{path}: cannot be read ({first})"
        raise UsageError(f"{what}; delete it, finished runs are kept") from error


def write_requests(folder: Path, requests: Sequence[Request]) -> None:
    """Replace `requests.json`."""
    content = TypeAdapter(list[Request]).dump_python(list(requests), mode="json")
    write_atomically(folder / REQUESTS, stamped({"requests": content}))


def add_request(folder: Path, request: Request) -> None:
    """Keep a request, so that `resume` can repeat it from any folder; of equal ones the latest.

    Where the files lie is no difference: all requests of a folder are of the same puzzles.
    """
    places: dict[str, Any] = {
        "data": None if request.data is None else request.data.absolute(),
        "train": tuple(path.absolute() for path in request.train),
        "test": tuple(path.absolute() for path in request.test),
    }
    request = replace(request, **places)
    known = [earlier for earlier in read_requests(folder) if replace(earlier, **places) != request]
    write_requests(folder, [*known, request])

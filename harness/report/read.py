"""Result folders read back: manifests, samples as columns, and what was asked for and is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..planning.study import leaves
from ..stats.stats import Floats
from ..store.folders import MANIFEST, Cell, DamagedResult, Output
from ..store.records import Answers, Manifest, Status
from ..store.requests import Requested, read_requests

FOLDER = 1_000_000
"""More cells than a folder has: those of the folder that is named first come first."""


@dataclass(frozen=True)
class Names:
    """Test items and their clusters; the cells of a study share one, so that they are sorted once.

    Attributes:
        items: (I,).
        clusters: (I,).
    """

    items: NDArray[np.str_]
    clusters: NDArray[np.str_]

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """(I,) the clusters numbered in the order of their names."""
        return np.unique(self.clusters, return_inverse=True)[1]

    @cached_property
    def distinct(self) -> bool:
        """Whether no item is there twice."""
        return len(np.unique(self.items)) == len(self.items)


@dataclass(frozen=True)
class Samples:
    """The records of one cell, column by column.

    Attributes:
        names: of items and clusters.
        scores: (I,) by evaluator.
        extras: (I,) by key; NaN where an item has none of that key.
    """

    names: Names
    scores: Mapping[str, Floats]
    extras: Mapping[str, Floats]


@dataclass(frozen=True)
class Run:
    """A cell as found on disk, in an output folder; ``samples`` is None where it is not done."""

    cell: str
    manifest: Manifest
    order: int
    samples: Samples | None
    status: str
    reason: str
    answers: Answers | None = None
    folder: Path = Path()


def read_runs(folders: Sequence[Path], problems: list[str]) -> list[Run]:
    """The cells of some output folders (or cell folders); what cannot be read is added to ``problems``."""
    runs: list[Run] = []
    for place, folder in enumerate(folders):
        found = [
            replace(run, folder=folder, order=run.order + place * FOLDER)
            for run in _read_folder(folder, problems)
        ]
        runs += _without_repeats(found, runs, folder, problems)
    return runs


def read_manifests(folders: Sequence[Path]) -> Iterator[Manifest]:
    """The manifests of every readable cell; samples are not looked at."""
    for folder in leaves(folders):
        for cell in [Cell(folder)] if (folder / MANIFEST).exists() else Output(folder).cells():
            try:
                yield cell.manifest()
            except DamagedResult:
                continue


def _read_folder(folder: Path, problems: list[str]) -> list[Run]:
    if (folder / MANIFEST).exists():
        requested, cells = [], [Cell(folder)]
    else:
        requested, cells = _requests_or_problem(folder, problems), Output(folder).cells()
    order = {one.cell: place for place, one in enumerate(requested)}
    # A cell that nobody asks for any more is of an earlier version of a recipe or of the code.
    cells = [cell for cell in cells if not requested or cell.name in order]
    runs: list[Run] = []
    for cell in cells:
        try:
            like = next((run.samples for run in runs if run.samples is not None), None)
            runs.append(_read_cell(cell, order.get(cell.name, len(runs)), like, problems))
        except DamagedResult as error:
            problems.append(str(error))
    found = {run.cell for run in runs}
    absent = [one for one in requested if one.cell not in found]
    runs += [run for one in absent for run in _absent(one, order[one.cell], folder, runs, problems)]
    return runs


def _requests_or_problem(folder: Path, problems: list[str]) -> list[Requested]:
    try:
        return read_requests(folder)
    except DamagedResult as error:
        problems.append(f"{error}; every cell in the folder is reported")
        return []


def _read_cell(cell: Cell, order: int, like: Samples | None, problems: list[str]) -> Run:
    manifest = cell.manifest()
    if manifest.status is not Status.DONE:
        return Run(cell.name, manifest, order, None, manifest.status.value, manifest.error or "")
    try:
        return Run(cell.name, manifest, order, _columns(cell, like), "done", "", cell.answers())
    except DamagedResult as error:
        problems.append(str(error))
        return Run(cell.name, manifest, order, None, "damaged", str(error))


def _absent(one: Requested, order: int, folder: Path, runs: Sequence[Run], problems: list[str]) -> list[Run]:
    """Stand-in for a requested cell without a readable manifest, so that its row is incomplete.

    What it has in common with the folder's other cells is taken from one of them, of the same
    model if there is one.
    """
    path = folder / one.cell
    status, reason = (
        ("damaged", "manifest.json cannot be read") if path.is_dir() else ("missing", "no such folder")
    )
    if status == "missing":
        problems.append(f"{path}: requested, but there is no such cell")
    siblings = sorted(runs, key=lambda run: run.manifest.identity.model != one.model)
    if not siblings:
        return []
    like = siblings[0].manifest
    identity = like.identity.model_copy(update={"model": one.model, "seed": one.seed})
    manifest = like.model_copy(update={"identity": identity, "asked": one.asked, "cell": one.cell})
    return [Run(one.cell, manifest, order, None, status, reason)]


def _without_repeats(
    found: Sequence[Run], known: Sequence[Run], folder: Path, problems: list[str]
) -> list[Run]:
    """A run that was read from another folder already must not count as a second seed."""
    identities = {_same_cell(run) for run in known}
    repeated = [run for run in found if _same_cell(run) in identities]
    problems += [
        f"{folder / run.cell}: the same cell was read from another folder; left out" for run in repeated
    ]
    return [run for run in found if run not in repeated]


def _same_cell(run: Run) -> tuple[str, str]:
    """Stored weights that were evaluated again are another cell, even where nothing was changed."""
    return repr(run.manifest.identity), run.manifest.asked.partition(" @ ")[2]


class _Line(msgspec.Struct):
    """One line of `samples.jsonl.gz`, see `records.Record`."""

    item: str
    cluster: str
    scores: dict[str, float]
    extras: dict[str, float] = {}


_DECODER = msgspec.json.Decoder(_Line)


def _columns(cell: Cell, like: Samples | None) -> Samples:
    """Samples of a cell as arrays; names are shared with ``like`` where they are the same.

    Raises:
        DamagedResult: see `Cell.samples`; or a line is not what it should be.
    """
    try:
        lines = _DECODER.decode_lines(cell.samples())
    except msgspec.DecodeError as error:
        raise DamagedResult(f"{cell.folder}: samples cannot be read ({error}); run the cell again") from error
    nan = float("nan")
    keys = dict.fromkeys(key for line in lines for key in line.extras)
    scores = {name: np.array([line.scores.get(name, nan) for line in lines]) for name in lines[0].scores}
    extras = {key: np.array([line.extras.get(key, nan) for line in lines]) for key in keys}
    names = Names(np.array([line.item for line in lines]), np.array([line.cluster for line in lines]))
    if like is not None and _same(names, like.names):
        names = like.names
    return Samples(names, scores, extras)


def _same(a: Names, b: Names) -> bool:
    return np.array_equal(a.items, b.items) and np.array_equal(a.clusters, b.clusters)

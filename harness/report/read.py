"""Result folders read back: manifests, samples as columns, and what was requested and is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..planning.study import Declared, declared_in, leaves
from ..stats.scores import Floats
from ..store.folders import MANIFEST, DamagedResult, Output, RunFolder
from ..store.records import Manifest, Predicted, Status
from ..store.requests import RequestedRun, read_requested

FOLDER = 1_000_000
"""More runs than a folder has: those of the folder that is named first come first."""


@dataclass(frozen=True)
class Names:
    """Test items and their clusters; the runs of a grid share one, so that they are sorted once.

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
        """Whether no item occurs twice."""
        return len(np.unique(self.items)) == len(self.items)


@dataclass(frozen=True)
class Samples:
    """The records of one run, column by column.

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
    """A run as found on disk, in an output folder; ``samples`` is None where it is not done."""

    name: str
    manifest: Manifest
    order: int
    samples: Samples | None
    status: str
    reason: str
    predictions: Predicted | None = None
    folder: Path = Path()


@dataclass(frozen=True)
class Reading:
    """Everything that was read of some output folders.

    Attributes:
        plain: runs of folders that belong to no study.
        studies: by folder, what was declared and its runs. Two studies may share a run, and both need it.
        problems: files that could not be read, and why.
    """

    folders: tuple[Path, ...]
    plain: tuple[Run, ...]
    studies: Mapping[Path, tuple[Declared, tuple[Run, ...]]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run."""
        return (*self.plain, *(run for _, runs in self.studies.values() for run in runs))


def read_folders(folders: Sequence[Path]) -> Reading:
    """Read output folders, folders of studies, or folders of single runs.

    Raises:
        UsageError: a study's definition cannot be read.
    """
    problems: list[str] = []
    declared = {folder: study for folder in folders if (study := declared_in(folder)) is not None}
    plain = read_runs([folder for folder in folders if folder not in declared], problems)
    studies = {
        folder: (study, tuple(read_runs(leaves([folder]), problems))) for folder, study in declared.items()
    }
    return Reading(tuple(folders), tuple(plain), studies, tuple(problems))


def read_runs(folders: Sequence[Path], problems: list[str]) -> list[Run]:
    """The runs of some output folders; what cannot be read is added to ``problems``."""
    runs: list[Run] = []
    for place, folder in enumerate(folders):
        found = [
            replace(run, folder=folder, order=run.order + place * FOLDER)
            for run in _read_folder(folder, problems)
        ]
        runs += _without_repeats(found, runs, folder, problems)
    return runs


def read_manifests(folders: Sequence[Path]) -> Iterator[Manifest]:
    """The manifests of every readable run; samples are not read."""
    for folder in leaves(folders):
        for run in [RunFolder(folder)] if (folder / MANIFEST).exists() else Output(folder).runs():
            try:
                yield run.manifest()
            except DamagedResult:
                continue


def _read_folder(folder: Path, problems: list[str]) -> list[Run]:
    if (folder / MANIFEST).exists():
        requested, folders = [], [RunFolder(folder)]
    else:
        requested, folders = _requested_or_problem(folder, problems), Output(folder).runs()
    order = {run.run: place for place, run in enumerate(requested)}
    # A run that no request names any more belongs to an earlier version of a recipe or of the code.
    folders = [run for run in folders if not requested or run.name in order]
    runs: list[Run] = []
    for run_folder in folders:
        try:
            like = next((run.samples for run in runs if run.samples is not None), None)
            runs.append(_read_run(run_folder, order.get(run_folder.name, len(runs)), like, problems))
        except DamagedResult as error:
            problems.append(str(error))
    found = {run.name for run in runs}
    absent = [run for run in requested if run.run not in found]
    runs += [stand_in for run in absent for stand_in in _absent(run, order[run.run], folder, runs, problems)]
    return runs


def _requested_or_problem(folder: Path, problems: list[str]) -> list[RequestedRun]:
    try:
        return read_requested(folder)
    except DamagedResult as error:
        problems.append(f"{error}; every run in the folder is reported")
        return []


def _read_run(folder: RunFolder, order: int, like: Samples | None, problems: list[str]) -> Run:
    manifest = folder.manifest()
    if manifest.status is not Status.DONE:
        return Run(folder.name, manifest, order, None, manifest.status.value, manifest.error or "")
    try:
        return Run(folder.name, manifest, order, _columns(folder, like), "done", "", folder.predictions())
    except DamagedResult as error:
        problems.append(str(error))
        return Run(folder.name, manifest, order, None, "damaged", str(error))


def _absent(
    requested: RequestedRun, order: int, folder: Path, runs: Sequence[Run], problems: list[str]
) -> list[Run]:
    """Placeholder for a requested run without a readable manifest, so that its row is incomplete.

    What it has in common with the folder's other runs is taken from one of them, of the same
    model and evaluation if there is one.
    """
    path = folder / requested.run
    status, reason = (
        ("damaged", "manifest.json cannot be read") if path.is_dir() else ("missing", "no such folder")
    )
    if status == "missing":
        problems.append(f"{path}: requested, but there is no such run")
    model, evaluation, _ = requested.slot

    def unlike(run: Run) -> tuple[bool, bool]:
        return run.manifest.description.model != model, run.manifest.evaluation != evaluation

    siblings = sorted(runs, key=unlike)
    if not siblings:
        return []
    like = siblings[0].manifest
    described: dict[str, str] = {"model": model, "requested": requested.requested}
    if unlike(siblings[0])[0]:
        described["display_name"] = requested.requested.partition(" @ ")[0]
    update = {
        "identity": like.identity.model_copy(update={"seed": requested.seed}),
        "description": like.description.model_copy(update=described),
        "run": requested.run,
    }
    return [Run(requested.run, like.model_copy(update=update), order, None, status, reason)]


def _without_repeats(
    found: Sequence[Run], known: Sequence[Run], folder: Path, problems: list[str]
) -> list[Run]:
    """A run that was read from another folder already must not count as a second seed."""
    identities = {_same_run(run) for run in known}
    repeated = [run for run in found if _same_run(run) in identities]
    problems += [
        f"{folder / run.name}: the same run was read from another folder; left out" for run in repeated
    ]
    return [run for run in found if run not in repeated]


def _same_run(run: Run) -> tuple[str, str]:
    """Stored weights that were evaluated again are another run, even where nothing was changed."""
    return repr(run.manifest.identity), run.manifest.evaluation


class _Line(msgspec.Struct):
    """One line of `samples.jsonl.gz`, see `records.Record`."""

    item: str
    cluster: str
    scores: dict[str, float]
    extras: dict[str, float] = {}


_DECODER = msgspec.json.Decoder(_Line)


def _columns(folder: RunFolder, like: Samples | None) -> Samples:
    """Samples of a run as arrays; names are shared with ``like`` where they are the same.

    Raises:
        DamagedResult: see `RunFolder.samples`; or a line is not what it should be.
    """
    try:
        lines = _DECODER.decode_lines(folder.samples())
    except msgspec.DecodeError as error:
        raise DamagedResult(f"{folder.folder}: samples cannot be read ({error}); repeat the run") from error
    nan = float("nan")
    keys = dict.fromkeys(key for line in lines for key in line.extras)
    scores = {name: np.array([line.scores.get(name, nan) for line in lines]) for name in lines[0].scores}
    extras = {key: np.array([line.extras.get(key, nan) for line in lines]) for key in keys}
    names = Names(np.array([line.item for line in lines]), np.array([line.cluster for line in lines]))
    if like is not None and _same_names(names, like.names):
        names = like.names
    return Samples(names, scores, extras)


def _same_names(a: Names, b: Names) -> bool:
    return np.array_equal(a.items, b.items) and np.array_equal(a.clusters, b.clusters)

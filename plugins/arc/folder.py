"""ARC sets in a ``--data`` folder: the repositories' own layout, and Kaggle's challenges and solutions.

    data/training/<id>.json, data/evaluation/<id>.json      ARC-AGI-1 and -2
    corpus/<concept>/<id>.json                               ConceptARC
    arc-agi_<set>_challenges.json, arc-agi_<set>_solutions.json

They may lie at any depth, several of them in one folder. Links are followed, and names that begin with a dot
(or ``__MACOSX``) are no data.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...harness.api.errors import DataError
from ...harness.api.puzzles import SourceFile
from ...harness.api.reading import printable, read_bytes, require_file, unique
from ...harness.api.specs import BuildRequest
from .tasks import ArcTask, read_task

CONCEPT = "concept"
MOST_FOLDERS = 20_000
_KAGGLE = re.compile(r"^arc-agi_(?P<role>training2?|evaluation2?|concept)_challenges\.json$")


@dataclass(frozen=True)
class Found:
    """A set of tasks on disk, not yet read.

    Attributes:
        role: ``training``, ``evaluation``, either with a 2 in a Kaggle file's name, or ``concept``.
        name: relative to the ``--data`` folder, for messages and manifests.
        files: what it consists of; of Kaggle's form the challenges, then the solutions.
        kaggle: which of the two forms it has.
    """

    role: str
    name: str
    files: tuple[Path, ...]
    kaggle: bool

    def read(self) -> tuple[ArcTask, ...]:
        """The tasks, sorted by id.

        Raises:
            DataError: something cannot be read or is no task; names file, task, pair and grid.
        """
        tasks = list(self._kaggle() if self.kaggle else self._upstream())
        ids = [task.id for task in tasks]
        if repeated := sorted({name for name in ids if ids.count(name) > 1}):
            raise DataError(f"{self.name}: task {repeated[0]} is there twice")
        return tuple(sorted(tasks, key=lambda task: task.id))

    def _upstream(self) -> Iterator[ArcTask]:
        for path in self.files:
            yield read_task(printable(path).removesuffix(".json"), read_json(path), str(path))

    def _kaggle(self) -> Iterator[ArcTask]:
        challenges, solutions = (_mapping(path) for path in self.files)
        for name, content in challenges.items():
            if name not in solutions:
                raise DataError(f"{self.files[1]}: no solution of task {name}")
            yield read_task(name, content, str(self.files[0]), solutions[name])

    def source(self, tasks: int) -> SourceFile:
        """The files that were read, with one checksum over all of them."""
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(f"{printable(path)} ".encode() + hashlib.sha256(path.read_bytes()).digest())
        return SourceFile(self.name, digest.hexdigest(), tasks)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return json.loads(read_bytes(path), object_pairs_hook=unique)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: must be an object from task ids to tasks or solutions")
    return content


def find_sets(request: BuildRequest) -> list[Found]:
    """Every set that a request names, and those of its folder, in the order of their names.

    Raises:
        DataError: the folder is not there, holds no set, or has challenges without solutions; or a file is
            no plain file.
    """
    named = [
        _named(paths, role)
        for role, paths in (("training", request.train), ("evaluation", request.test))
        if paths
    ]
    if request.folder is None:
        return named
    if not request.folder.is_dir():
        raise DataError(f"--data {request.folder}: no such folder")
    decided = {found.role for found in named}
    found = [one for one in _in_folder(request.folder) if one.role.rstrip("2") not in decided]
    if not (found or named):
        raise DataError(
            f"--data {request.folder}: no ARC tasks; expected data/training/*.json and "
            "data/evaluation/*.json, or arc-agi_training_challenges.json and the like"
        )
    return [*named, *found]


def _named(paths: Sequence[Path], role: str) -> Found:
    """The set of ``--train`` or ``--test``: folders of tasks, files of a task each, or a challenges file."""
    option = "--train" if role == "training" else "--test"
    if len(paths) == 1 and _KAGGLE.match(paths[0].name) is not None:
        return _challenges(paths[0], role, printable(paths[0]))
    files: list[Path] = []
    for path in paths:
        inside = _json_files(path) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{option} {path}: no *.json file in it")
        files += inside
    for path in files:
        _require_plain(path)
    names = ", ".join(printable(path) for path in paths)
    return Found(role, f"{names} ({len(files)} files)", tuple(files), kaggle=False)


def _challenges(path: Path, role: str, name: str) -> Found:
    solutions = path.with_name(path.name.replace("_challenges", "_solutions"))
    if not solutions.exists():
        raise DataError(f"{path}: {solutions.name} must be next to it")
    for file in (path, solutions):
        _require_plain(file)
    return Found(role, name, (path, solutions), kaggle=True)


def _in_folder(folder: Path) -> Iterator[Found]:
    folders = list(walk(folder))
    for directory in folders:
        for path in _json_files(directory):
            if (match := _KAGGLE.match(path.name)) is not None:
                yield _challenges(path, match["role"], str(path.relative_to(folder)))
    for directory in folders:
        if directory.name in ("training", "evaluation"):
            files, role = _json_files(directory), directory.name
        elif directory.name == "corpus":
            files = [path for inner in _folders(directory) for path in _json_files(inner)]
            role = CONCEPT
        else:
            continue
        for path in files:
            _require_plain(path)
        if files:
            name = f"{directory.relative_to(folder)} ({len(files)} files)"
            yield Found(role, name, tuple(files), kaggle=False)


def walk(folder: Path) -> Iterator[Path]:
    """A folder and all folders in it, in the order of their names; links are followed, but never in a circle.

    Raises:
        DataError: a folder cannot be listed, or there are more than `MOST_FOLDERS`.
    """
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    for _ in range(MOST_FOLDERS):
        if not waiting:
            return
        directory, above = waiting.pop()
        found = directory.stat()
        if (found.st_dev, found.st_ino) in above:
            continue
        yield directory
        inside = above | {(found.st_dev, found.st_ino)}
        waiting += [(path, inside) for path in reversed(_folders(directory))]
    raise DataError(f"--data {folder}: more than {MOST_FOLDERS:,} folders; name the one with the tasks")


def _folders(directory: Path) -> list[Path]:
    return [path for path in _entries(directory) if path.is_dir()]


def _json_files(directory: Path) -> list[Path]:
    return [path for path in _entries(directory) if path.suffix == ".json" and not path.is_dir()]


def _entries(directory: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        raise DataError(f"{directory}: cannot be listed ({error.strerror})") from error
    return [directory / name for name in names if not name.startswith(".") and name != "__MACOSX"]


def _require_plain(path: Path) -> None:
    try:
        require_file(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def all_files(request: BuildRequest) -> Sequence[Path]:
    """Every file of every set."""
    return [path for found in find_sets(request) for path in found.files]

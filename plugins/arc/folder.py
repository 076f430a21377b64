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
from ...harness.api.pointers import POINTER, is_pointer
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
        left_out: files next to them whose names look like those of tasks.
    """

    role: str
    name: str
    files: tuple[Path, ...]
    kaggle: bool
    left_out: tuple[Path, ...] = ()

    def read(self) -> tuple[ArcTask, ...]:
        """The tasks, sorted by id.

        Raises:
            DataError: something cannot be read or is no task; names file, task, pair and grid.
        """
        tasks = list(self._kaggle() if self.kaggle else self._upstream())
        ids = [task.id for task in tasks]
        if repeated := sorted({name for name in ids if ids.count(name) > 1}):
            raise DataError(f"{self.name}: task {repeated[0]} occurs twice")
        return tuple(sorted(tasks, key=lambda task: task.id))

    def _upstream(self) -> Iterator[ArcTask]:
        for path in self.files:
            name = re.sub(r"\.json$", "", printable(path), flags=re.IGNORECASE)
            content = read_json(path)
            if _is_many(content):
                raise DataError(
                    f"{path}: an object of several tasks; it must be a file for each task (in a folder of "
                    "them), or arc-agi_…_challenges.json with its …_solutions.json next to it"
                )
            yield read_task(name, content, str(path))

    def _kaggle(self) -> Iterator[ArcTask]:
        challenges, solutions = (_mapping(path) for path in self.files)
        for name, content in challenges.items():
            if name not in solutions:
                raise DataError(f"{self.files[1]}: no solution of task {name}")
            yield read_task(name, content, str(self.files[0]), solutions[name])

    def notes(self) -> tuple[str, ...]:
        """What of the set was not read.

        Raises:
            DataError: see `read`.
        """
        notes = []
        if self.left_out:
            names = [printable(path) for path in self.left_out]
            notes.append(f"{self.name}: not read, as the name does not end in .json: {_some(names)}")
        if self.kaggle:
            challenges, solutions = (_mapping(path) for path in self.files)
            if surplus := [name for name in solutions if name not in challenges]:
                notes.append(f"{self.files[1].name}: solutions without a challenge: {_some(surplus)}")
        return tuple(notes)

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
        require_file(path)
        if is_pointer(path):
            raise DataError(f"{path}: {POINTER}")
        return json.loads(read_bytes(path), object_pairs_hook=unique)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error


def _is_many(content: Any) -> bool:
    """Whether a file holds tasks by their ids, as some data sets are published."""
    values = list(content.values()) if isinstance(content, dict) else []
    return bool(values) and all(isinstance(one, dict) and {"train", "test"} & one.keys() for one in values)


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


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
    for place, path in enumerate(paths):
        if path.absolute() in [other.absolute() for other in paths[:place]]:
            raise DataError(f"{option} {path}: named twice")
        inside = _json_files(path) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{option} {path}: no *.json file in it")
        files += inside
    for path in files:
        _require_plain(path)
    left_out = [path for folder in paths if folder.is_dir() for path in _unread(folder)]
    names = ", ".join(printable(path) for path in paths)
    return Found(role, names, tuple(files), False, tuple(left_out))


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
            inside, role = [directory], directory.name
        elif directory.name == "corpus":
            inside, role = _folders(directory), CONCEPT
        else:
            continue
        files, left_out = (
            tuple(path for inner in inside for path in listed(inner)) for listed in (_json_files, _unread)
        )
        for path in files:
            _require_plain(path)
        if files:
            yield Found(role, str(directory.relative_to(folder)), files, False, left_out)


def walk(folder: Path) -> Iterator[Path]:
    """A folder and all folders in it, in the order of their names; links are followed, but never in a circle.

    Raises:
        DataError: a folder cannot be listed, or there are more than `MOST_FOLDERS`.
    """
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    number = 0
    while waiting:
        number += 1
        if number > MOST_FOLDERS:
            raise DataError(
                f"--data {folder}: more than {MOST_FOLDERS:,} folders; name the one with the tasks"
            )
        directory, above = waiting.pop()
        found = directory.stat()
        if (found.st_dev, found.st_ino) in above:
            continue
        yield directory
        inside = above | {(found.st_dev, found.st_ino)}
        waiting += [(path, inside) for path in reversed(_folders(directory))]


def _folders(directory: Path) -> list[Path]:
    return [path for path in _entries(directory) if path.is_dir()]


def _json_files(directory: Path) -> list[Path]:
    return [path for path in _entries(directory) if path.suffix.lower() == ".json" and not path.is_dir()]


def _unread(directory: Path) -> list[Path]:
    """Files that may hold tasks and are not read: packed ones, several in one, or with something appended."""
    named = [path for path in _entries(directory) if ".json" in path.name.lower() and not path.is_dir()]
    return [path for path in named if path.suffix.lower() != ".json"]


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

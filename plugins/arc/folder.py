"""ARC sets in a ``--data`` folder: the repositories' own layout, and Kaggle's challenges and solutions.

    data/training/<id>.json, data/evaluation/<id>.json      ARC-AGI-1 and -2
    corpus/<concept>/<id>.json                               ConceptARC
    arc-agi_<set>_challenges.json, arc-agi_<set>_solutions.json

They may lie at any depth, several of them in one folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...harness.api.errors import DataError
from ...harness.api.puzzles import SourceFile
from .tasks import ArcTask, read_task, unique_keys

CONCEPT = "concept"
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
            yield read_task(path.stem, read_json(path), str(path))

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
            digest.update(f"{path.name} ".encode() + hashlib.sha256(path.read_bytes()).digest())
        return SourceFile(self.name, digest.hexdigest(), tasks)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: must be an object from task ids to tasks or solutions")
    return content


def find_sets(folder: Path) -> list[Found]:
    """Every set in a folder, in the order of its name.

    Raises:
        DataError: the folder is not there, holds no set, or has challenges without solutions.
    """
    if not folder.is_dir():
        raise DataError(f"--data {folder}: no such folder")
    found: list[Found] = []
    for path in sorted(folder.rglob("*.json")):
        if (match := _KAGGLE.match(path.name)) is not None:
            solutions = path.with_name(path.name.replace("_challenges", "_solutions"))
            if not solutions.is_file():
                raise DataError(f"{path}: {solutions.name} must be next to it")
            name = str(path.relative_to(folder))
            found.append(Found(match["role"], name, (path, solutions), kaggle=True))
    for directory in sorted([folder, *(path for path in folder.rglob("*") if path.is_dir())]):
        if directory.name in ("training", "evaluation"):
            files = tuple(sorted(directory.glob("*.json")))
            role = directory.name
        elif directory.name == "corpus":
            files, role = tuple(sorted(directory.glob("*/*.json"))), CONCEPT
        else:
            continue
        if files:
            name = f"{directory.relative_to(folder)} ({len(files)} files)"
            found.append(Found(role, name, files, kaggle=False))
    if not found:
        raise DataError(
            f"--data {folder}: no ARC tasks; expected data/training/*.json and data/evaluation/*.json, "
            "or arc-agi_training_challenges.json and the like"
        )
    return found


def all_files(folder: Path) -> Sequence[Path]:
    """Every file of every set."""
    return [path for found in find_sets(folder) for path in found.files]

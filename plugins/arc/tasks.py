"""ARC tasks as they are read: checked grids, and the identity that finds a task under another name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...harness.api.errors import DataError
from .grids import COLOURS, MAX_SIDE, Grid


@dataclass(frozen=True)
class Pair:
    """A question and its answer."""

    input: Grid
    output: Grid

    def key(self) -> str:
        """SHA-256 of the two grids."""
        digest = hashlib.sha256()
        for grid in (self.input, self.output):
            digest.update(repr(grid.shape).encode() + grid.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Asked:
    """A test input; ``output`` is None where the answer is not known."""

    input: Grid
    output: Grid | None


@dataclass(frozen=True)
class ArcTask:
    """One task: demonstrations (``train``) and test pairs."""

    id: str
    train: tuple[Pair, ...]
    test: tuple[Pair, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Demonstrations first, then test pairs."""
        return self.train + self.test

    @property
    def largest_side(self) -> int:
        """Of all its grids."""
        return max(
            len(line) for pair in self.pairs for grid in (pair.input, pair.output) for line in (grid, grid[0])
        )


def read_grid(content: Any, where: str) -> Grid:
    """A grid from lists of numbers.

    Raises:
        DataError: it is no rectangle of 1 to 30 rows and columns of colours 0 to 9; says what and where.
    """
    if not isinstance(content, list) or not content or not all(isinstance(row, list) for row in content):
        raise DataError(f"{where}: must be a list of rows")
    if any(len(row) != len(content[0]) for row in content):
        lengths = sorted({len(row) for row in content})
        raise DataError(f"{where}: rows of different lengths ({', '.join(map(str, lengths))})")
    if not (1 <= len(content) <= MAX_SIDE and 1 <= len(content[0]) <= MAX_SIDE):
        raise DataError(f"{where}: {len(content)}x{len(content[0])}; must be 1x1 to {MAX_SIDE}x{MAX_SIDE}")
    for row, cells in enumerate(content):
        for column, cell in enumerate(cells):
            if type(cell) is not int or not 0 <= cell < COLOURS:
                raise DataError(f"{where}: row {row}, column {column} holds {cell!r}, no colour from 0 to 9")
    return np.array(content, np.uint8)


def read_task(name: str, content: Any, where: str, solutions: Any = None) -> ArcTask:
    """A task from its JSON form; ``solutions`` holds the test outputs where the task does not.

    Raises:
        DataError: a part is missing or wrong; names file, task, pair and grid.
    """
    place = f"{where}: task {name}"
    lists = _lists(content, place)
    if solutions is not None:
        if not isinstance(solutions, list) or len(solutions) != len(lists["test"]):
            raise DataError(f"{place}: must have {len(lists['test'])} solutions, one for each test input")
        lists["test"] = [
            {**pair, "output": output} for pair, output in zip(lists["test"], solutions, strict=True)
        ]
    pairs = {
        part: tuple(_pair(pair, f"{place}, {part} {index}") for index, pair in enumerate(found))
        for part, found in lists.items()
    }
    return ArcTask(name, pairs["train"], pairs["test"])


def read_asked(content: Any, place: str) -> tuple[Asked, ...]:
    """The test inputs of a task in its JSON form, whose answers may be left out.

    Raises:
        DataError: a part is missing or wrong, also of the demonstrations; names part, pair and grid.
    """
    lists = _lists(content, place)
    for index, pair in enumerate(lists["train"]):
        _pair(pair, f"{place}, train {index}")
    return tuple(_asked(pair, f"{place}, test {index}") for index, pair in enumerate(lists["test"]))


def _asked(content: Mapping[str, Any], where: str) -> Asked:
    if content.get("output") is not None:
        known = _pair(content, where)
        return Asked(known.input, known.output)
    if "input" not in content:
        raise DataError(f"{where}: no 'input'")
    return Asked(read_grid(content["input"], f"{where}, input"), None)


def _lists(content: Any, place: str) -> dict[str, list[Mapping[str, Any]]]:
    """The pairs of both parts, in their order."""
    if not isinstance(content, Mapping):
        raise DataError(f"{place}: must be an object with 'train' and 'test'")
    lists = {}
    for part in ("train", "test"):
        found = content.get(part)
        if not isinstance(found, list) or not found:
            raise DataError(f"{place}: {part!r} must be a list of at least one pair")
        if not all(isinstance(pair, Mapping) for pair in found):
            raise DataError(f"{place}: {part!r} must hold objects with 'input' and 'output'")
        lists[part] = found
    return lists


def _pair(content: Mapping[str, Any], where: str) -> Pair:
    for key in ("input", "output"):
        if key not in content:
            raise DataError(f"{where}: no {key!r}; a set without its answers cannot be scored")
    return Pair(*(read_grid(content[key], f"{where}, {key}") for key in ("input", "output")))


def content_key(tasks: Sequence[ArcTask]) -> str:
    """SHA-256 over ids and pairs: two sets hold the same tasks exactly if this is the same."""
    digest = hashlib.sha256()
    for task in sorted(tasks, key=lambda task: task.id):
        digest.update(f"{task.id} {len(task.train)} ".encode())
        digest.update(" ".join(pair.key() for pair in task.pairs).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Leak:
    """A training task that gives away an evaluation task."""

    training: str
    evaluation: str
    why: str

    def __str__(self) -> str:
        return f"{self.training} gives away {self.evaluation} ({self.why})"


def find_leaks(training: Sequence[ArcTask], evaluation: Sequence[ArcTask]) -> list[Leak]:
    """Training tasks that share an id, all pairs in any order, or a test pair with an evaluation task.

    ARC-AGI-2's training set holds ARC-AGI-1's evaluation tasks with the demonstrations in another
    order, so comparing tasks as they are stored finds nothing.
    """
    holders: dict[str, set[str]] = {}
    keys_of = {task.id: frozenset(pair.key() for pair in task.pairs) for task in training}
    for name, keys in keys_of.items():
        for key in keys:
            holders.setdefault(key, set()).add(name)
    leaks = []
    for task in evaluation:
        own = frozenset(pair.key() for pair in task.pairs)
        suspects = set().union(*(holders.get(key, set()) for key in own))
        if task.id in keys_of:
            suspects.add(task.id)
        for name in sorted(suspects):
            if name == task.id:
                leaks.append(Leak(name, task.id, "the same id"))
            elif keys_of[name] == own:
                leaks.append(Leak(name, task.id, "the same pairs"))
            elif any(pair.key() in keys_of[name] for pair in task.test):
                leaks.append(Leak(name, task.id, "a test pair"))
    return leaks

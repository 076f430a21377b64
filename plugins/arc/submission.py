"""`submission.json`, the form of the ARC Prize: writing a run's, and scoring any.

{"<task>": [{"attempt_1": [[...]], "attempt_2": [[...]]}, ...one for each test input], ...}
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...harness.api.errors import DataError, UsageError
from ...harness.api.predictions import Predictions
from ...harness.api.puzzles import PuzzleSet, TaskInfo
from ...harness.api.reading import TEXT_BYTES, read_bytes, unique
from ...harness.api.specs import SubmissionScore
from .choose import revision_of
from .grids import Grid, cropped
from .packaged import packaged
from .tasks import ArcTask, read_grid

FILE = "submission.json"
ATTEMPTS = ("attempt_1", "attempt_2")


def export(info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Mapping[str, bytes]:
    """The two predictions with most votes for every test input.

    Where there is but one answer it is given twice. An answer without a grid is ``[]``, and wrong.
    """
    content: dict[str, list[dict[str, Any]]] = {}
    ballots = predictions.every_vote()
    tasks = [item.rsplit("/", 1)[0] for item in puzzles.ids.tolist()]  # symmetric tasks share a cluster
    for task, candidates in zip(tasks, ballots.ranked(), strict=True):
        grids = [grid.tolist() for grid in cropped(ballots.candidates[candidates[:2]], info.height)] * 2
        content.setdefault(task, []).append(dict(zip(ATTEMPTS, (grids[0], grids[1]), strict=True)))
    return {FILE: json.dumps(content).encode() + b"\n"}


def score_submission(name: str, path: Path, options: Mapping[str, str]) -> SubmissionScore:
    """Score a submission against the evaluation set of the task ``name``.

    Raises:
        UsageError: an option other than ``revision``, or an unknown one.
        DataError: it cannot be read whole; names what is missing or malformed.
    """
    if unknown := sorted(options.keys() - {"revision"}):
        raise UsageError(f"--set {unknown[0]}: a submission is scored by revision alone")
    revision = revision_of(name, options.get("revision"))
    tasks = packaged(revision).evaluation
    answers = _checked(_content(path), tasks, path)
    first, either = (
        {task.id: _right(task, answers[task.id][:, :count]) for task in tasks} for count in (1, 2)
    )
    empty = sum(grid.size == 0 for attempts in answers.values() for grid in attempts.ravel())
    outputs = sum(len(task.test) for task in tasks)
    summary = f"{name} at {revision.name}: {len(tasks)} evaluation tasks, {outputs} test outputs"
    if empty:
        summary += f"; {empty} of {2 * outputs} attempts are empty and count as wrong"
    return SubmissionScore(
        summary,
        {
            "pass@1": _mean(right.mean() for right in first.values()),
            "pass@2": _mean(right.mean() for right in either.values()),
            "pass@2 over outputs": float(np.concatenate(list(either.values())).mean()),
            "pass@2 of whole tasks": _mean(float(right.all()) for right in either.values()),
        },
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _right(task: ArcTask, attempts: np.ndarray) -> np.ndarray:
    """(T,) whether one of (T, k) attempts is the test output."""
    return np.array(
        [
            any(np.array_equal(grid, pair.output) for grid in row)
            for pair, row in zip(task.test, attempts, strict=True)
        ]
    )


def _content(path: Path) -> Any:
    try:
        raw = read_bytes(path)
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(TEXT_BYTES + 1)
            if len(raw) > TEXT_BYTES:
                raise OSError(f"unpacks to more than {TEXT_BYTES:,} bytes")
        return json.loads(raw, object_pairs_hook=unique)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error


def _checked(content: Any, tasks: Sequence[ArcTask], path: Path) -> dict[str, np.ndarray]:
    """Each task's attempts, (T, 2) grids, or everything that is wrong with the file."""
    if not isinstance(content, dict):
        raise DataError(f"{path}: must be an object from task ids to lists of attempts")
    problems: list[str] = []
    known = {task.id for task in tasks}
    _name_tasks("are missing", sorted(known - content.keys()), problems)
    _name_tasks("are not in the evaluation set", sorted(content.keys() - known), problems)
    answers = {}
    for task in tasks:
        if task.id in content:
            answers[task.id] = _attempts(task, content[task.id], problems)
    if problems:
        raise DataError(f"{path}: not scored:\n  " + "\n  ".join(problems))
    return answers


def _name_tasks(what: str, names: Sequence[str], problems: list[str]) -> None:
    if names:
        problems.append(f"{len(names)} tasks {what}: {', '.join(names)}")


def _attempts(task: ArcTask, content: Any, problems: list[str]) -> np.ndarray:
    grids = np.empty((len(task.test), len(ATTEMPTS)), dtype=object)
    if not isinstance(content, list) or len(content) != len(task.test):
        found = f"{len(content)} entries" if isinstance(content, list) else "no list"
        problems.append(f"task {task.id} has {found} for {len(task.test)} test inputs")
        return grids
    for index, entry in enumerate(content):
        further = sorted(entry.keys() - set(ATTEMPTS)) if isinstance(entry, dict) else []
        problems += [f"task {task.id}, test {index}: {key!r} is no attempt of the form" for key in further]
        for place, key in enumerate(ATTEMPTS):
            where = f"task {task.id}, test {index}, {key}"
            if not isinstance(entry, dict) or key not in entry:
                problems.append(f"{where}: missing")
                continue
            try:
                grids[index, place] = _grid(entry[key], where)
            except DataError as error:
                problems.append(str(error))
    return grids


def _grid(content: Any, where: str) -> Grid:
    """An attempt; one without any cell is a prediction too, and never right."""
    if content in ([], [[]]):
        return np.zeros((0, 0), np.uint8)
    return read_grid(content, where)

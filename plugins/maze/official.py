"""The official mazes, from tables in a folder or on the Hugging Face hub, checked row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...harness.errors import DataError
from ...harness.puzzles import PuzzleSet, Source, TaskData, TaskInfo, Tokens
from ..tabular import (
    Row,
    Tables,
    fetch_tables,
    find_tables,
    names_of,
    read_rows,
    source_file,
    split_note,
    split_validation,
)
from .grid import solve_all, to_tokens
from .paths import judge
from .scales import CHARSET, GOAL, HARD, PATH, START
from .symmetry import canonical_walls

REPOSITORY = "sapientinc/maze-30x30-hard-1k"
CELLS = HARD.side**2


@dataclass(frozen=True)
class Mazes:
    """The rows of one split with their token codes (N, 900)."""

    rows: list[Row]
    questions: Tokens
    answers: Tokens


def from_folder(folder: Path, seed: int, info: TaskInfo) -> TaskData:
    """The tables of a ``--data`` folder as the three splits.

    Raises:
        DataError: naming file and line, if a table is missing or a row is not what it should be.
    """
    return _assemble(find_tables(folder), seed, info, f"official rows from {folder}", ())


def from_hub(revision: str | None, seed: int, info: TaskInfo) -> TaskData:
    """The tables of the hub's data set at ``revision``, by default at what ``main`` is now.

    Raises:
        EnvironmentError_: if huggingface_hub is missing or the download fails.
        DataError: as for `from_folder`.
    """
    fetched = fetch_tables(REPOSITORY, revision or "main")
    caveats: tuple[str, ...] = ()
    if revision is None:
        caveats = (
            f"the revision was not pinned: 'main' stood for {fetched.commit}; "
            f"repeat with revision={fetched.commit}",
        )
    return _assemble(fetched.tables, seed, info, f"official rows, {REPOSITORY} at {fetched.commit}", caveats)


def _assemble(tables: Tables, seed: int, info: TaskInfo, summary: str, caveats: tuple[str, ...]) -> TaskData:
    train, test = load_mazes(tables.train), load_mazes(tables.test)
    train_rows, validation_rows = split_validation(len(train.rows), seed, info.task)
    train_set, test_set = _puzzles(train, "train"), _puzzles(test, "test")
    validation_set = _puzzles(train, "validation")
    notes = (
        split_note(len(train.rows), len(train_rows), len(validation_rows), seed),
        *_tie_break_notes(train, test),
    )
    files = tuple(
        source_file(path, sum(row.file == path for row in mazes.rows))
        for paths, mazes in ((tables.train, train), (tables.test, test))
        for path in paths
    )
    return TaskData(
        info=info,
        train=train_set.take(train_rows),
        validation=validation_set.take(validation_rows),
        test=test_set,
        source=Source("official", summary, files, notes, (*caveats, *_overlap_caveats(train, test))),
    )


def load_mazes(paths: Sequence[Path]) -> Mazes:
    """Read and check the tables of one split.

    Raises:
        DataError: for the first row that is not a maze with a shortest path, or that repeats another.
    """
    rows = [row for path in paths for row in read_rows(path)]
    first: dict[str, Row] = {}
    for row in rows:
        if fault := _text_fault(row):
            raise DataError(f"{row.where}: {fault}")
        if (earlier := first.setdefault(row.question, row)) is not row:
            raise DataError(f"{row.where}: the same question as {earlier.where}")
    questions = np.stack([to_tokens(row.question) for row in rows])
    answers = np.stack([to_tokens(row.answer) for row in rows])
    _check_paths(rows, questions, answers)
    return Mazes(rows, questions, answers)


def _text_fault(row: Row) -> str | None:
    """What is wrong with the characters of a row, None if nothing is."""
    for name, text, letters in (
        ("question", row.question, CHARSET[: PATH - 1]),
        ("answer", row.answer, CHARSET),
    ):
        if len(text) != CELLS:
            return f"the {name} has {len(text)} characters, not {CELLS}"
        for cell, letter in enumerate(text):
            if letter not in letters:
                return f"the {name} has {letter!r} at cell {cell}; it may hold {letters!r}"
    for token in (START, GOAL):
        letter = CHARSET[token - 1]
        if (count := row.question.count(letter)) != 1:
            return f"the question has {count} {letter}, not one"
    for cell, (asked, answered) in enumerate(zip(row.question, row.answer, strict=True)):
        if asked != answered and (asked, answered) != (" ", "o"):
            return f"the answer changes cell {cell} from {asked!r} to {answered!r}"
    return None


def _check_paths(rows: Sequence[Row], questions: Tokens, answers: Tokens) -> None:
    moves, shortest = judge(questions, answers, HARD.side, HARD.side)
    for row, made, least in zip(rows, moves.tolist(), shortest.tolist(), strict=True):
        if least < 0:
            raise DataError(f"{row.where}: no path leads from S to G")
        if made < 0:
            raise DataError(f"{row.where}: the answer is not a path from S to G")
        if made != least:
            raise DataError(f"{row.where}: the answer has {made} moves, a shortest path has {least}")


def _puzzles(mazes: Mazes, split: str) -> PuzzleSet:
    return PuzzleSet.single_identity(mazes.questions, mazes.answers, names_of(mazes.rows, split))


def _tie_break_notes(train: Mazes, test: Mazes) -> list[str]:
    notes = []
    for split, mazes in (("train", train), ("test", test)):
        ruled = solve_all(mazes.questions, HARD.side, HARD.side)
        if others := int((ruled != mazes.answers).any(axis=1).sum()):
            notes.append(
                f"{others} of {len(mazes.rows)} {split} labels are a shortest path, but not the one "
                "that the Down-Left-Right-Up rule picks"
            )
    return notes


def _overlap_caveats(train: Mazes, test: Mazes) -> list[str]:
    known = set(canonical_walls(train.questions, HARD.side).tolist())
    shared = sum(key in known for key in canonical_walls(test.questions, HARD.side).tolist())
    if not shared:
        return []
    return [
        f"{shared} of {len(test.rows)} test mazes have the wall map of a train maze, "
        "as it is, turned or reflected"
    ]

"""The official mazes, from tables in a folder or on the Hugging Face hub, checked row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...harness.api.puzzles import Source, TaskData, TaskInfo
from ...harness.api.specs import BuildRequest
from ..tabular import Layout, Rows, origin_notes, read_rows, split_validation
from ..tabular_files import Tables, find_tables
from ..tabular_hub import fetch_tables
from .grid import shortest_moves_all, solve_all
from .paths import answer_moves
from .scales import CHARSET, GOAL, HARD, OPEN, PATH, START

REPOSITORY = "sapientinc/maze-30x30-hard-1k"
REVISION = "549754de3d67eebe57b6b22c7d226b9412d55b07"
"""The commit that is read where no revision is named."""
_CODES = {letter: token for token, letter in enumerate(CHARSET, start=1)}
LAYOUT = Layout(
    cells=HARD.side**2,
    question={letter: token for letter, token in _CODES.items() if token != PATH},
    answer=_CODES,
)


def from_files(request: BuildRequest, info: TaskInfo) -> TaskData:
    """The tables of a ``--data`` folder, or those that are named, as the three splits.

    Raises:
        DataError: naming file and line, if a table is missing or a row is not what it should be.
    """
    tables = find_tables(request)
    return _assemble(tables, request.seed, info, f"files {tables.names}, seed {request.seed}", ())


def from_hub(revision: str | None, seed: int, info: TaskInfo) -> TaskData:
    """The tables of the hub's data set at ``revision``, by default `REVISION`.

    Raises:
        UnavailableError: if huggingface_hub is missing or the download fails.
        DataError: as for `from_files`.
    """
    tables, commit, caveats = fetch_tables(REPOSITORY, revision or REVISION)
    data = _assemble(tables, seed, info, f"official rows, {REPOSITORY} at {commit}", caveats)
    return replace(data, source=replace(data.source, kind="hub"))


def _assemble(tables: Tables, seed: int, info: TaskInfo, summary: str, caveats: tuple[str, ...]) -> TaskData:
    train, test = load_mazes(tables.train), load_mazes(tables.test)
    split = split_validation(len(train), seed, info.task)
    source = Source(
        kind="official",
        summary=summary,
        files=(*train.files, *test.files),
        notes=(split.note, *tables.notes, *_origin_notes(test), *_tie_break_notes(train, test)),
        caveats=caveats,
    )
    return TaskData(
        info=info,
        train=train.puzzles(split.train, "train/"),
        validation=train.puzzles(split.validation, "validation/"),
        test=test.puzzles(np.arange(len(test)), "test/"),
        source=source,
    )


def load_mazes(paths: Sequence[Path]) -> Rows:
    """Read and check the tables of one split.

    Raises:
        DataError: naming file and line of a row that is not a maze with a shortest path.
    """
    rows = read_rows(paths, LAYOUT)
    _check_one(rows, START)
    _check_one(rows, GOAL)
    _check_changes(rows)
    _check_paths(rows)
    return rows


def _check_one(rows: Rows, token: int) -> None:
    counts = (rows.questions == token).sum(axis=1)
    rows.require(counts == 1, lambda row: f"the question has {counts[row]} {CHARSET[token - 1]}, not one")


def _check_changes(rows: Rows) -> None:
    changed = rows.questions != rows.answers
    changed &= (rows.questions != OPEN) | (rows.answers != PATH)

    def problem(row: int) -> str:
        cell = int(np.argmax(changed[row]))
        asked, answered = (CHARSET[tokens[row, cell] - 1] for tokens in (rows.questions, rows.answers))
        return f"the answer changes cell {cell} from {asked!r} to {answered!r}"

    rows.require(~changed.any(axis=1), problem)


def _check_paths(rows: Rows) -> None:
    least = shortest_moves_all(rows.questions, HARD.side, HARD.side)
    made = answer_moves(rows.questions, rows.answers, HARD.side, HARD.side)
    rows.require(least >= 0, lambda _: "no path leads from S to G")
    rows.require(made >= 0, lambda _: "the answer is not a path from S to G")
    rows.require(
        made == least,
        lambda row: f"the answer has {made[row]} moves, a shortest path has {least[row]}",
    )


def _origin_notes(test: Rows) -> list[str]:
    moves = shortest_moves_all(test.questions, HARD.side, HARD.side)
    easy = int((moves < HARD.min_moves).sum())
    have = "has" if easy == 1 else "have"
    what = f"{easy} of {len(test)} test mazes {have} fewer than {HARD.min_moves} moves; no official one has"
    return [*([what] if easy else []), *origin_notes(len(test), HARD.test)]


def _tie_break_notes(train: Rows, test: Rows) -> list[str]:
    notes = []
    for split, rows in (("train", train), ("test", test)):
        ruled = solve_all(rows.questions, HARD.side, HARD.side)
        if others := int((ruled != rows.answers).any(axis=1).sum()):
            notes.append(
                f"{others} of {len(rows)} {split} labels are a shortest path, but not the one "
                "that the Down-Left-Right-Up rule picks"
            )
    return notes

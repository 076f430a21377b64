"""Sudoku-Extreme rows from tables, in a folder or from the hub, as the three splits.

Owns what makes a row a Sudoku with its one answer; reading and splitting tables is `tabular`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import PuzzleSet, Source, TaskData, TaskInfo, Tokens
from ...harness.api.specs import BuildRequest, Progress
from ..tabular import Layout, Rows, origin_notes, read_rows, split_validation
from ..tabular_files import Tables, find_tables
from ..tabular_hub import fetch_tables
from .board import BLANK, FIRST_DIGIT, Bools, Shape, full_and_valid, keeps_givens

TASK = "sudoku-extreme"
REPOSITORY = "sapientinc/sudoku-extreme"
REVISION = "58942f96baeb572ca3127e2a9e9c70f330783d6b"
"""The commit that is read where no revision is named."""
SHAPE = Shape(3, 3)
OFFICIAL_TEST_ROWS = 422_786
_DIGITS = {str(digit): FIRST_DIGIT - 1 + digit for digit in range(1, SHAPE.side + 1)}
LAYOUT = Layout(cells=SHAPE.cells, question={".": BLANK, "0": BLANK, **_DIGITS}, answer=_DIGITS)
_CHUNK = 20_000
"""Grids checked at once; a check needs about a kilobyte for each."""


def from_files(request: BuildRequest) -> TaskData:
    """The tables of a ``--data`` folder, or those that are named.

    Raises:
        DataError: naming file and line, if a table is missing or a row is not what it should be.
    """
    tables = find_tables(request)
    return _assemble(tables, request, f"files {tables.names}, seed {request.seed}", ())


def from_hub(revision: str | None, request: BuildRequest) -> TaskData:
    """The tables of the hub's data set at ``revision``, by default `REVISION`.

    Raises:
        UnavailableError: if huggingface_hub is missing or the download fails.
        DataError: as for `from_files`.
    """
    tables, commit, caveats = fetch_tables(REPOSITORY, revision or REVISION)
    data = _assemble(tables, request, f"hub {REPOSITORY} at {commit}, seed {request.seed}", caveats)
    return replace(data, source=replace(data.source, kind="hub"))


def files(request: BuildRequest) -> Sequence[Path]:
    """Every table that a build reads."""
    return find_tables(request).all


def load_sudokus(paths: Sequence[Path]) -> Rows:
    """Read the tables of one split and check everything but uniqueness of the solutions.

    Raises:
        DataError: naming file and line of a row that is not a Sudoku with an answer to it.
    """
    rows = read_rows(paths, LAYOUT)
    valid, kept = _checked(rows.questions, rows.answers)
    rows.require(valid, lambda _: "the answer repeats a digit in a row, column or box")
    rows.require(kept, lambda _: "the answer changes a given of the question")
    asked = (rows.questions != rows.answers).any(axis=1)
    rows.require(asked, lambda _: "the question has no blank cell")
    return rows


def _checked(questions: Tokens, answers: Tokens) -> tuple[Bools, Bools]:
    """(N,) whether each answer is a valid grid, and whether it keeps the givens."""
    valid, kept = np.empty(len(answers), np.bool_), np.empty(len(answers), np.bool_)
    for at in range(0, len(answers), _CHUNK):
        part = slice(at, at + _CHUNK)
        valid[part] = full_and_valid(SHAPE, answers[part])
        kept[part] = keeps_givens(questions[part], answers[part])
    return valid, kept


def take(rows: Rows, picked: NDArray[np.int64], progress: Progress) -> PuzzleSet:
    """The picked rows as puzzles, once each is proved to have one solution.

    Raises:
        DataError: a question has more solutions than its answer, naming file and line.
    """
    from .solver import solve

    several = np.zeros(len(rows), np.bool_)
    several[picked] = solve(SHAPE, rows.questions[picked], progress=progress).solutions > 1
    rows.require(~several, lambda _: "the question has several solutions")
    return rows.puzzles(picked)


def _assemble(tables: Tables, request: BuildRequest, summary: str, caveats: tuple[str, ...]) -> TaskData:
    train_rows, test_rows = load_sudokus(tables.train), load_sudokus(tables.test)
    split = split_validation(len(train_rows), request.seed, TASK)
    train = take(train_rows, split.train, request.progress)
    validation = take(train_rows, split.validation, request.progress)
    test = take(test_rows, np.arange(len(test_rows)), request.progress)
    source = Source(
        kind="official",
        summary=summary,
        files=(*train_rows.files, *test_rows.files),
        notes=(
            split.note,
            *tables.notes,
            *_same_solutions(train, validation, test),
            *origin_notes(len(test), OFFICIAL_TEST_ROWS),
        ),
        caveats=caveats,
    )
    info = TaskInfo(TASK, request.scale, SHAPE.side, SHAPE.side, SHAPE.vocab_size)
    return TaskData(info, train, validation, test, source)


def _same_solutions(train: PuzzleSet, validation: PuzzleSet, test: PuzzleSet) -> tuple[str, ...]:
    """A note for each split that holds the solution of a test puzzle, up to symmetry, with other givens.

    That is no caveat: the official rows have such puzzles. Those that are symmetric as a whole are counted
    elsewhere, as of every task.
    """
    from .symmetry import invariants, solution_invariants

    asked, solved = invariants(SHAPE, test.inputs), solution_invariants(SHAPE, test.targets)
    found = []
    for name, split in (("training", train), ("validation", validation)):
        same = np.isin(solved, solution_invariants(SHAPE, split.targets))
        count = int((same & ~np.isin(asked, invariants(SHAPE, split.inputs))).sum())
        if count:
            have = "has" if count == 1 else "have"
            found.append(
                f"{count} of {len(test)} test puzzles {have} the solution of a {name} puzzle, up to "
                "symmetry, with other givens"
            )
    return tuple(found)

"""Read Sudoku-Extreme rows from CSV files and refuse any row that is not what it should be.

Owns files, rows and splits; where the files come from is the caller's affair (`--data` or the hub).
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...harness.errors import DataError
from ...harness.puzzles import PuzzleSet, Source, SourceFile, TaskData, TaskInfo, Tokens
from ...harness.randomness import hashed, named_seed
from ...harness.specs import Progress
from .board import BLANK, FIRST_DIGIT, Shape, full_and_valid, keeps_givens

SHAPE = Shape(3, 3)
TRAIN_ROWS = 1000
VALIDATION_ROWS = 100
CARVED_ROWS = 64
OFFICIAL_TEST_ROWS = 422_786
_SUFFIXES = (".csv", ".csv.gz")
_CODES = np.zeros(256, dtype=np.uint8)
_CODES[list(b".0")] = BLANK
_CODES[list(b"123456789")] = np.arange(FIRST_DIGIT, SHAPE.vocab_size)


@dataclass(frozen=True)
class Rows:
    """The rows of one split, read and checked.

    Attributes:
        questions: (N, 81) token codes.
        answers: (N, 81) token codes.
        ids: (N,) the file's name without its suffix, a slash and the row, counted from 0.
        places: (N,) file and line, for messages.
        files: what was read.
    """

    questions: Tokens
    answers: Tokens
    ids: NDArray[np.str_]
    places: NDArray[np.str_]
    files: tuple[SourceFile, ...]


def find_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The train files and the test files of a folder, each in the order of their names.

    Raises:
        DataError: the folder, a train file or a test file is missing, or a name says both.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --data takes a folder with Sudoku-Extreme CSV files")
    names = sorted(path for path in folder.iterdir() if path.name.lower().endswith(_SUFFIXES))
    train = [path for path in names if "train" in path.name.lower()]
    test = [path for path in names if "test" in path.name.lower()]
    for path in set(train) & set(test):
        raise DataError(f"{path}: the name says both train and test; rename it")
    for split, found in (("train", train), ("test", test)):
        if not found:
            raise DataError(
                f"{folder}: no {split} file; looked for names with '{split}' that end in .csv or .csv.gz"
            )
    return train, test


def files(folder: Path) -> Sequence[Path]:
    """Every file that a build from ``folder`` reads, see `find_files`."""
    train, test = find_files(folder)
    return [*train, *test]


def read_rows(paths: Sequence[Path]) -> Rows:
    """Read files and check everything but uniqueness of the solutions.

    Raises:
        DataError: naming file and line (the first line is 1) of the first bad row.
    """
    questions: list[bytes] = []
    answers: list[bytes] = []
    ids: list[str] = []
    places: list[str] = []
    sources: list[SourceFile] = []
    for path in paths:
        data = path.read_bytes()
        before = len(ids)
        for row, (line, question, answer) in enumerate(_records(path, data)):
            place = f"{path}, line {line}"
            questions.append(_cells(question, "question", place))
            answers.append(_cells(answer, "answer", place))
            ids.append(f"{_stem(path)}/{row}")
            places.append(place)
        if len(ids) == before:
            raise DataError(f"{path}: no rows")
        sources.append(SourceFile(path.name, hashlib.sha256(data).hexdigest(), len(ids) - before))
    rows = Rows(_tokens(questions), _tokens(answers), np.array(ids), np.array(places), tuple(sources))
    _check(rows)
    return rows


def _stem(path: Path) -> str:
    return path.name[: -len(".csv.gz" if path.name.lower().endswith(".gz") else ".csv")]


def _records(path: Path, data: bytes) -> Iterator[tuple[int, str, str]]:
    """Line number, question and answer of each row; columns by the header where there is one."""
    try:
        text = (gzip.decompress(data) if path.name.lower().endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as (gzipped) UTF-8 text: {error}") from error
    reader = csv.reader(io.StringIO(text))
    question, answer = 1, 2
    for number, fields in enumerate(reader):
        names = [field.strip().lower() for field in fields]
        if number == 0 and {"question", "answer"} & set(names):
            if not {"question", "answer"} <= set(names):
                raise DataError(f"{path}, line 1: the header needs the columns question and answer")
            question, answer = names.index("question"), names.index("answer")
        elif fields:
            if len(fields) <= max(question, answer):
                raise DataError(f"{path}, line {reader.line_num}: only {len(fields)} columns")
            yield reader.line_num, fields[question], fields[answer]


def _cells(text: str, what: str, place: str) -> bytes:
    if len(text) != SHAPE.cells:
        raise DataError(f"{place}: the {what} has {len(text)} characters, not {SHAPE.cells}")
    wrong = set(text) - set("123456789" if what == "answer" else ".0123456789")
    if wrong:
        raise DataError(f"{place}: wrong character {min(wrong)!r} in the {what}")
    return text.encode()


def _tokens(cells: list[bytes]) -> Tokens:
    return _CODES[np.frombuffer(b"".join(cells), np.uint8)].reshape(-1, SHAPE.cells)


def _check(rows: Rows) -> None:
    """Raise `DataError` for the first wrong answer, or else for the first repeated question."""
    for fine, problem in (
        (full_and_valid(SHAPE, rows.answers), "the answer repeats a digit in a row, column or box"),
        (keeps_givens(rows.questions, rows.answers), "the answer changes a given of the question"),
    ):
        if not fine.all():
            raise DataError(f"{rows.places[np.argmin(fine)]}: {problem}")
    first: dict[bytes, int] = {}
    for row, question in enumerate(rows.questions):
        before = first.setdefault(question.tobytes(), row)
        if before != row:
            raise DataError(f"{rows.places[row]}: repeats the question of {rows.places[before]}")


def take(rows: Rows, picked: NDArray[np.int64], progress: Progress) -> PuzzleSet:
    """The picked rows as puzzles, once each is proved to have one solution.

    Raises:
        DataError: a question has more solutions than its answer, naming file and line.
    """
    from .solver import solve

    questions = rows.questions[picked]
    several = solve(SHAPE, questions, progress=progress).solutions > 1
    if several.any():
        raise DataError(f"{rows.places[picked[np.argmax(several)]]}: the question has several solutions")
    return PuzzleSet.single_identity(questions, rows.answers[picked], rows.ids[picked].tolist())


def choose(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Which of ``count`` train rows are for training and for validation, and a note that says so."""
    order = np.argsort(hashed(named_seed("sudoku-extreme", "split", seed), np.arange(count)), kind="stable")
    if count >= TRAIN_ROWS + CARVED_ROWS:
        train, validation = TRAIN_ROWS, min(VALIDATION_ROWS, count - TRAIN_ROWS)
        note = f"{train} of {count} train rows, chosen by the seed; validation: {validation} others"
    else:
        validation = CARVED_ROWS if count >= 10 * CARVED_ROWS else max(1, count // 10)
        train = min(TRAIN_ROWS, count - validation)
        note = (
            f"validation: {validation} of the {count} train rows, chosen by the seed; train: {train} others"
        )
    picked = np.sort(order[:train]), np.sort(order[train : train + validation])
    return *picked, note


def build_from(
    train_files: Sequence[Path],
    test_files: Sequence[Path],
    scale: str,
    seed: int,
    progress: Progress,
    summary: str,
) -> TaskData:
    """The three splits of given train and test files; test keeps all rows in their order."""
    train_rows, test_rows = read_rows(train_files), read_rows(test_files)
    if len(train_rows.ids) < 2:
        raise DataError(f"{train_files[0]}: one row cannot be both training and validation")
    for_train, for_validation, note = choose(len(train_rows.ids), seed)
    train = take(train_rows, for_train, progress)
    validation = take(train_rows, for_validation, progress)
    test = take(test_rows, np.arange(len(test_rows.ids)), progress)
    notes = [note]
    if len(test) != OFFICIAL_TEST_ROWS:
        notes.append(f"test: {len(test)} rows; the official test split has {OFFICIAL_TEST_ROWS}")
    source = Source(
        kind="official",
        summary=summary,
        files=(*train_rows.files, *test_rows.files),
        notes=(*notes, "rows are taken as the files have them; their origin is not checked"),
        caveats=_shared(train, validation, test),
    )
    info = TaskInfo("sudoku-extreme", scale, SHAPE.side, SHAPE.side, SHAPE.vocab_size)
    return TaskData(info, train, validation, test, source)


def _shared(train: PuzzleSet, validation: PuzzleSet, test: PuzzleSet) -> tuple[str, ...]:
    """A caveat for each of train and validation that test meets up to symmetry."""
    from .symmetry import invariants

    tested = invariants(SHAPE, test.inputs)
    meets = (
        (name, int(np.isin(tested, invariants(SHAPE, split.inputs)).sum()))
        for name, split in (("training", train), ("validation", validation))
    )
    return tuple(
        f"{count} of {len(test)} test puzzles are symmetric to a {name} puzzle"
        for name, count in meets
        if count
    )

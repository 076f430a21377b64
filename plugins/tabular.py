"""Tables of puzzles: reading and splitting them. Finding them is `tabular_files` and `tabular_hub`.

Owns what any task that reads ``question,answer`` tables needs: lines, columns, characters, repeats
and the validation rows. What makes an answer right is the task's own business.

Rows are kept as columns of token codes, not as objects: official sets have up to millions of them.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..harness.api.errors import DataError
from ..harness.api.pointers import POINTER, is_pointer
from ..harness.api.puzzles import PuzzleSet, SourceFile, Tokens
from ..harness.api.randomness import hashed, named_seed
from ..harness.api.reading import encoding_of, printable, require_file
from ..harness.api.text import plural
from .tabular_files import stem

COLUMNS = ("source", "question", "answer", "rating")
"""The columns by position, for a table without a header; the last may be left out."""
HEADINGS = {
    "question": ("question", "questions", "puzzle", "puzzles", "quiz", "quizzes"),
    "answer": ("answer", "answers", "solution", "solutions"),
}
"""What a header may call the two columns that are wanted."""
DELIMITERS = ",;\t"
TRAIN_ROWS = 1000
"""The papers train on 1000 puzzles; rows beyond that and the validation rows are left out."""
VALIDATION_ROWS = (64, 100)
"""Fewest and most rows to validate on where there are plenty."""
_BATCH = 20_000
_LONGEST_LINE = 100_000
"""Characters of a line beyond which a file is no table."""
_MOST_BYTES = 700_000_000
"""Of token codes of a split; the 3.8 million official train rows need 621 million."""
_MOST_PACKED = 100
"""Times that a packed table may be larger unpacked; texts of puzzles pack to a third or a twentieth."""
_UNPACKED_FREELY = 1 << 24
"""Characters below which it is not looked at how much a table was packed."""
_REFUSED = 0
"""Padding, which no text can hold, marks a character that has no code."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Alphabet of the texts of a row.

    Attributes:
        cells: characters of a question and of an answer.
        question: token codes of a question's characters, all of them in Latin-1.
        answer: token codes of an answer's characters.
    """

    cells: int
    question: Mapping[str, int]
    answer: Mapping[str, int]


@dataclass(frozen=True)
class Rows:
    """The rows of one split, in the order of its tables.

    Attributes:
        questions: (N, L) token codes.
        answers: (N, L) token codes.
        lines: (N,) the line of its table that each row ends on; the first line is 1.
        paths: the tables.
        files: name, SHA-256 and number of rows of each table.
    """

    questions: Tokens
    answers: Tokens
    lines: Ints
    paths: tuple[Path, ...]
    files: tuple[SourceFile, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """File and line, as error messages begin."""
        return f"{self._place(row)[0]}, line {self.lines[row]}"

    def name(self, row: int) -> str:
        """The table's name without its suffix, a slash and the row in that table, counted from 0."""
        path, number = self._place(row)
        return f"{stem(path)}/{number}"

    def require(self, fine: NDArray[np.bool_], problem: Callable[[int], str]) -> None:
        """Refuse the first row that is not fine.

        Raises:
            DataError: naming file and line, with the problem of that row.
        """
        if not fine.all():
            row = int(np.argmin(fine))
            raise DataError(f"{self.where(row)}: {problem(row)}")

    def puzzles(self, picked: Ints, prefix: str = "") -> PuzzleSet:
        """The picked rows as puzzles; the prefix goes before their names."""
        names = [prefix + self.name(row) for row in picked.tolist()]
        return PuzzleSet.single_identity(self.questions[picked], self.answers[picked], names)

    def _place(self, row: int) -> tuple[Path, int]:
        for path, file in zip(self.paths, self.files, strict=True):
            if row < file.rows:
                return path, row
            row -= file.rows
        raise IndexError(f"only {len(self)} rows")


def read_rows(paths: Sequence[Path], layout: Layout) -> Rows:
    """The rows of the tables of one split.

    The columns are found by the header (see `HEADINGS`), by the length of the texts or by their place in
    `COLUMNS`. Empty lines are skipped. Spaces are kept: in a maze they are cells.

    Raises:
        DataError: naming file and line, if a table cannot be read, a text has another length or
            other characters than the layout allows, or a question is repeated.
    """
    questions, answers, lines = [], [], []
    files: list[SourceFile] = []
    most = _MOST_BYTES // (2 * layout.cells)
    for path in paths:
        count = 0
        for batch in _batches(path, layout):
            questions.append(batch[0])
            answers.append(batch[1])
            lines.append(batch[2])
            count += len(batch[2])
            if count + sum(file.rows for file in files) > most:
                raise DataError(f"{path}: more than {most:,} rows in the split, which is more than is read")
        if not count:
            raise DataError(f"{path}: no rows")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(SourceFile(printable(path), digest, count))
    empty = np.empty((0, layout.cells), np.uint8)
    rows = Rows(
        _joined(questions, empty),
        _joined(answers, empty),
        _joined(lines, np.empty(0, np.int64)),
        tuple(paths),
        tuple(files),
    )
    _refuse_repeats(rows)
    return rows


def _joined(parts: list[Any], empty: Any) -> Any:
    """The parts as one array; they are let go, so that no more than one copy of a column is held."""
    whole = np.concatenate([empty, *parts])
    parts.clear()
    return whole


def _batches(path: Path, layout: Layout) -> Iterator[tuple[Tokens, Tokens, Ints]]:
    """The rows of one table, translated a batch at a time so that its text is never held whole."""
    try:
        require_file(path)
        if is_pointer(path):
            raise DataError(f"{path}: {POINTER}")
        with path.open("rb") as raw, _opened(path, raw) as file:
            records = _records(path, _Lines(path, file, raw), layout.cells)
            while batch := list(islice(records, _BATCH)):
                numbers, questions, answers = zip(*batch, strict=True)
                where = partial(_where, path, numbers)
                yield (
                    _tokens(questions, layout.cells, layout.question, partial(where, "question")),
                    _tokens(answers, layout.cells, layout.answer, partial(where, "answer")),
                    np.array(numbers, np.int64),
                )
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _where(path: Path, lines: Sequence[int], what: str, row: int) -> str:
    return f"{path}, line {lines[row]}: the {what}"


def _opened(path: Path, raw: BufferedReader) -> TextIOWrapper:
    """The text of a table, in UTF-8 or what its byte order mark says."""
    unpacked = gzip.GzipFile(fileobj=raw) if path.name.lower().endswith(".gz") else raw
    encoding = encoding_of(unpacked.read(4))
    unpacked.seek(0)
    return TextIOWrapper(cast(BufferedReader, unpacked), encoding=encoding, newline="")


class _Lines:
    """The lines of a text, as long as it looks like a table: no endless line, no bomb."""

    def __init__(self, path: Path, file: TextIOWrapper, raw: BufferedReader):
        self.path, self.file, self.raw = path, file, raw
        self.characters = self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.number += 1
        line = self.file.readline(_LONGEST_LINE + 1)
        self.characters += len(line)
        if len(line) > _LONGEST_LINE:
            raise DataError(f"{self.path}, line {self.number}: longer than {_LONGEST_LINE:,} characters")
        if self.characters > _UNPACKED_FREELY and self.characters > _MOST_PACKED * self.raw.tell():
            raise DataError(
                f"{self.path}: unpacks to more than {_MOST_PACKED} times its size; no table of puzzles does"
            )
        if not line:
            raise StopIteration
        return line


def _records(path: Path, lines: _Lines, cells: int) -> Iterator[tuple[int, str, str]]:
    """Line, question and answer of each row."""
    start: list[str] = []
    for line in lines:
        start.append(line)
        if line.strip("\r\n"):
            break
    delimiter = _delimiter(start[-1] if start else "", cells)
    reader = csv.reader(chain(start, lines), delimiter=delimiter)
    try:
        values = next((row for row in reader if row), None)
        if values is None:
            return
        question, answer, has_header = _columns(path, values, cells)
        width = len(values)
        rows: Iterable[list[str]] = reader if has_header else chain([values], reader)
        for values in rows:
            if len(values) == width:
                yield reader.line_num, values[question], values[answer]
            elif values:
                raise DataError(f"{path}, line {reader.line_num}: {len(values)} columns, not {width}")
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _delimiter(line: str, cells: int) -> str:
    """What separates the columns of a table that begins with this line: the first under which it has some."""
    for delimiter in DELIMITERS:
        values = next(csv.reader([line], delimiter=delimiter), [])
        names = [_heading(value) for value in values]
        if {"question", "answer"} & set(names) or len(_texts(values, cells)) >= 2:
            return delimiter
    return max(DELIMITERS, key=line.count)


def _heading(name: str) -> str:
    """Which of the wanted columns a name in a header means; empty for none."""
    plain = name.strip().lower()
    return next((wanted for wanted, names in HEADINGS.items() if plain in names), "")


def _texts(values: Sequence[str], cells: int) -> list[int]:
    """The columns of a row whose texts are as long as a puzzle."""
    return [place for place, value in enumerate(values) if len(value) == cells]


def _columns(path: Path, first: Sequence[str], cells: int) -> tuple[int, int, bool]:
    """Where question and answer are, and whether the first row is a header.

    Raises:
        DataError: the header lacks a column, or names one twice.
    """
    names = [_heading(value) for value in first]
    shown = ", ".join(value.strip() for value in first)
    wanted = " and ".join(f"{names[0]} (or {', '.join(names[1:])})" for names in HEADINGS.values())
    if any(names):
        for name in HEADINGS:
            if names.count(name) != 1:
                problem = "lacks" if name not in names else "has several columns for"
                raise DataError(
                    f"{path}, line 1: the header {problem} {name}: {shown[:200]}; wanted: {wanted}"
                )
        return names.index("question"), names.index("answer"), True
    texts = _texts(first, cells)
    if len(texts) == 2:
        return texts[0], texts[1], False
    if len(texts) > 2:
        raise DataError(
            f"{path}, line 1: {len(texts)} columns as long as a puzzle and no header to tell them apart; "
            f"wanted: {wanted}"
        )
    if first and max(map(len, first)) < cells // 2:
        raise DataError(f"{path}, line 1: no header and no row: {shown[:200]}; wanted: {wanted}")
    if first and len(first) not in (len(COLUMNS) - 1, len(COLUMNS)):
        raise DataError(
            f"{path}, line 1: {len(first)} columns and no header; wanted: {wanted}, or {', '.join(COLUMNS)}"
        )
    return COLUMNS.index("question"), COLUMNS.index("answer"), False


def _tokens(
    texts: Sequence[str], cells: int, codes: Mapping[str, int], where: Callable[[int], str]
) -> Tokens:
    """The (N, L) token codes of N texts; ``where`` begins a message about one of them.

    Raises:
        DataError: one has another length or other characters.
    """
    for row, text in enumerate(texts):
        if len(text) != cells:
            raise DataError(f"{where(row)} has {len(text)} characters, not {cells}")
    table = np.full(256, _REFUSED, np.uint8)
    table[[ord(letter) for letter in codes]] = list(codes.values())
    # A character outside Latin-1 becomes '?', which is refused like any other without a code.
    letters = np.frombuffer("".join(texts).encode("latin-1", "replace"), np.uint8)
    tokens: Tokens = table[letters].reshape(-1, cells)
    wrong = tokens == _REFUSED
    if wrong.any():
        row, cell = (int(at[0]) for at in np.nonzero(wrong))
        allowed = "".join(codes)
        raise DataError(f"{where(row)} has {texts[row][cell]!r} at cell {cell}; it may hold {allowed!r}")
    return tokens


def _refuse_repeats(rows: Rows) -> None:
    """Raise `DataError` for the first row whose question is that of an earlier one."""
    keys = _keys(rows.questions)
    order = np.argsort(keys, kind="stable")
    earlier, later = order[:-1], order[1:]
    alike = keys[earlier] == keys[later]
    earlier, later = earlier[alike], later[alike]
    same = (rows.questions[earlier] == rows.questions[later]).all(axis=1)
    if same.any():
        first = int(np.argmin(np.where(same, later, len(rows))))
        raise DataError(f"{rows.where(later[first])}: repeats the question of {rows.where(earlier[first])}")


def _keys(tokens: Tokens) -> NDArray[np.uint64]:
    """(N,) 64 bits for each row of (N, L) token codes: equal for equal rows."""
    padded = np.pad(tokens, ((0, 0), (0, -tokens.shape[1] % 8)))
    return hashed(0, *padded.view(np.uint64).T)


@dataclass(frozen=True)
class Split:
    """Which train rows are for what, each in file order, and one line that describes it."""

    train: Ints
    validation: Ints
    note: str


def origin_notes(test: int, official: int) -> list[str]:
    """What is known of where ``test`` test rows come from, next to the number of the official ones."""
    notes = ["rows are taken as the files have them; their origin is not checked"]
    if test == official:
        return notes
    return [f"test: {plural(test, 'row')}; the official test split has {official:,}", *notes]


def split_validation(rows: int, seed: int, task: str) -> Split:
    """Choose by seed the train rows to train on and those to validate on.

    With 1064 rows or more, 1000 are for training and up to 100 others for validation. With fewer,
    validation takes 64 of them (a tenth where there are fewer than 640, at least one) and training
    the others. Without any, nothing will be trained, and both are empty.

    Raises:
        DataError: if there is one row.
    """
    if not rows:
        nothing = np.empty(0, np.int64)
        return Split(nothing, nothing, "no train table was read: nothing is trained")
    if rows < 2:
        raise DataError(
            f"{task}: the train tables have {rows} row in all; at least 2 are needed, one to validate on"
        )
    fewest, most = VALIDATION_ROWS
    if rows >= TRAIN_ROWS + fewest:
        train, held = TRAIN_ROWS, min(most, rows - TRAIN_ROWS)
    else:
        held = fewest if rows >= 10 * fewest else max(1, rows // 10)
        train = rows - held
    order = np.argsort(hashed(named_seed(task, "split", seed), np.arange(rows)), kind="stable")
    note = f"validation is {held} of the {rows:,} train rows, chosen with seed {seed}; train has {train:,}"
    if unused := rows - train - held:
        note += f"; {plural(unused, 'row')} {'is' if unused == 1 else 'are'} unused"
    return Split(np.sort(order[:train]), np.sort(order[train : train + held]), note)

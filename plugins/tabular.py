"""Tables of puzzles on disk or on the Hugging Face hub: finding, reading and splitting them.

Owns what any task that reads ``question,answer`` tables needs: files, lines, characters, repeats
and the validation rows. What makes an answer right is the task's own business.

Rows are kept as columns of token codes, not as objects: official sets have up to millions of them.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from ..harness.api.errors import DataError, UnavailableError, UsageError
from ..harness.api.puzzles import PuzzleSet, SourceFile, Tokens
from ..harness.api.randomness import hashed, named_seed
from ..harness.api.specs import BuildRequest

SUFFIXES = (".csv", ".csv.gz")
COLUMNS = ("source", "question", "answer", "rating")
"""The columns by position, for a table without a header; the last may be left out."""
TRAIN_ROWS = 1000
"""The papers train on 1000 puzzles; rows beyond that and the validation rows are left out."""
VALIDATION_ROWS = (64, 100)
"""Fewest and most rows to validate on where there are plenty."""
UNPINNED = "main"
_BATCH = 20_000
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
class Tables:
    """The tables of a folder, each list in name order."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]

    @property
    def all(self) -> tuple[Path, ...]:
        """Train, then test."""
        return (*self.train, *self.test)


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


@dataclass(frozen=True)
class HubTables:
    """Tables fetched from the hub, the commit they belong to, and what to say about that."""

    tables: Tables
    commit: str
    caveats: tuple[str, ...]


def find_tables(folder: Path) -> Tables:
    """The tables in a folder whose names contain ``train`` and ``test``.

    Raises:
        DataError: if the folder is missing, lacks either, has a name that contains both, or a
            table both packed and unpacked.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --data takes the folder with the train and test tables")
    tables = sorted(
        path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES) and path.is_file()
    )
    found: dict[str, list[Path]] = {"train": [], "test": []}
    for path in tables:
        splits = [split for split in found if split in path.name.lower()]
        if len(splits) > 1:
            raise DataError(f"{path}: the name contains both 'train' and 'test'; rename it after one of them")
        for split in splits:
            _refuse_twin(path, found[split])
            found[split].append(path)
    for split, paths in found.items():
        if not paths:
            names = ", ".join(path.name for path in tables) or "none"
            raise DataError(
                f"{folder}: no {split} table; looked for a name that contains {split!r} and ends in "
                f"{' or '.join(SUFFIXES)}; tables there: {names}"
            )
    return Tables(tuple(found["train"]), tuple(found["test"]))


def _refuse_twin(path: Path, others: Sequence[Path]) -> None:
    """Items are named after the table without its suffix, so two suffixes would clash."""
    for other in others:
        if stem(other) == stem(path):
            raise DataError(f"{path}: {other.name} is there as well; keep one of them")


def stem(path: Path) -> str:
    """The file's name without ``.csv`` or ``.csv.gz``."""
    return re.sub(r"\.csv(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def read_rows(paths: Sequence[Path], layout: Layout) -> Rows:
    """The rows of the ``.csv`` and ``.csv.gz`` tables of one split.

    The columns ``question`` and ``answer`` are found by the header, or by their place in `COLUMNS`
    where there is none. Empty lines are skipped. Spaces are kept: in a maze they are cells.

    Raises:
        DataError: naming file and line, if a table cannot be read, a text has another length or
            other characters than the layout allows, or a question is repeated.
    """
    parts: list[_Batch] = []
    files: list[SourceFile] = []
    for path in paths:
        batches = list(_batches(path, layout))
        count = sum(len(batch.lines) for batch in batches)
        if not count:
            raise DataError(f"{path}: no rows")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(SourceFile(path.name, digest, count))
        parts += batches
    questions = np.concatenate([part.questions for part in parts])
    answers = np.concatenate([part.answers for part in parts])
    lines = np.concatenate([part.lines for part in parts])
    rows = Rows(questions, answers, lines, tuple(paths), tuple(files))
    _refuse_repeats(rows)
    return rows


@dataclass(frozen=True)
class _Batch:
    """Some rows of one table, as in `Rows`."""

    questions: Tokens
    answers: Tokens
    lines: Ints


def _batches(path: Path, layout: Layout) -> Iterator[_Batch]:
    """The rows of one table, translated a batch at a time so that its text is never held whole."""
    try:
        with _opened(path) as file:
            records = _records(path, file)
            while batch := list(islice(records, _BATCH)):
                numbers, questions, answers = zip(*batch, strict=True)
                lines = np.array(numbers, np.int64)
                yield _Batch(
                    _Column(path, lines, "question", questions).tokens(layout.cells, layout.question),
                    _Column(path, lines, "answer", answers).tokens(layout.cells, layout.answer),
                    lines,
                )
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _opened(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _records(path: Path, file: TextIO) -> Iterator[tuple[int, str, str]]:
    """Line, question and answer of each row."""
    reader = csv.reader(file)
    try:
        first = next(reader, [])
        names = [name.strip().lower() for name in first]
        has_header = bool({"question", "answer"} & set(names))
        columns = names if has_header else COLUMNS[: max(len(first), 3)]
        if missing := [name for name in ("question", "answer") if name not in columns]:
            raise DataError(f"{path}, line 1: the header lacks {', '.join(missing)}")
        question, answer, width = columns.index("question"), columns.index("answer"), len(columns)
        rows: Iterable[list[str]] = reader if has_header else chain([first], reader)
        for values in rows:
            if len(values) == width:
                yield reader.line_num, values[question], values[answer]
            elif values:
                raise DataError(f"{path}, line {reader.line_num}: {len(values)} columns, not {width}")
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


@dataclass(frozen=True)
class _Column:
    """The questions or the answers of a batch, and where they are."""

    path: Path
    lines: Ints
    what: str
    texts: Sequence[str]

    def tokens(self, cells: int, codes: Mapping[str, int]) -> Tokens:
        """The (N, L) token codes of the N texts."""
        for row, text in enumerate(self.texts):
            if len(text) != cells:
                raise self._error(row, f"has {len(text)} characters, not {cells}")
        table = np.full(256, _REFUSED, np.uint8)
        table[[ord(letter) for letter in codes]] = list(codes.values())
        # A character outside Latin-1 becomes '?', which is refused like any other without a code.
        letters = np.frombuffer("".join(self.texts).encode("latin-1", "replace"), np.uint8)
        tokens: Tokens = table[letters].reshape(-1, cells)
        wrong = tokens == _REFUSED
        if wrong.any():
            row, cell = (int(at[0]) for at in np.nonzero(wrong))
            raise self._error(
                row, f"has {self.texts[row][cell]!r} at cell {cell}; it may hold {''.join(codes)!r}"
            )
        return tokens

    def _error(self, row: int, problem: str) -> DataError:
        return DataError(f"{self.path}, line {self.lines[row]}: the {self.what} {problem}")


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


def split_validation(rows: int, seed: int, task: str) -> Split:
    """Choose by seed the train rows to train on and those to validate on.

    With 1064 rows or more, 1000 are for training and up to 100 others for validation. With fewer,
    validation takes 64 of them (a tenth where there are fewer than 640, at least one) and training
    the others.

    Raises:
        DataError: if there are fewer than two rows.
    """
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
    note = (
        f"validation is {held} of the {rows} official train rows, chosen with seed {seed}; train has {train}"
    )
    if unused := rows - train - held:
        note += f"; {unused} rows are unused"
    return Split(np.sort(order[:train]), np.sort(order[train : train + held]), note)


def revision_of(request: BuildRequest, task: str) -> str | None:
    """The option ``revision`` of a request, None where it is not given.

    Raises:
        UsageError: if it is given for another source than the hub.
    """
    revision = request.options.get("revision")
    if revision is not None and request.source != "hub":
        raise UsageError(f"{task}: 'revision' goes with the source 'hub', not with {request.source!r}")
    return revision


def fetch_tables(repository: str, revision: str | None) -> HubTables:
    """``train.csv`` and ``test.csv`` of a Hugging Face data set, through huggingface_hub.

    A branch or tag, by default `UNPINNED`, is resolved first, so that both files come from the one
    commit that is named; a caveat then says that it was not pinned.

    Raises:
        UnavailableError: if the package is not installed or the hub does not deliver.
    """
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise UnavailableError(
            f"the source 'hub' needs the package huggingface_hub: pip install 'trm-bench[hub]'; or fetch "
            f"train.csv and test.csv of {repository} by hand and pass their folder with --data"
        ) from error
    asked = revision or UNPINNED
    try:
        commit = asked
        if not re.fullmatch("[0-9a-f]{40}", asked):
            commit = str(hub.HfApi().dataset_info(repository, revision=asked).sha)
        train, test = (
            Path(hub.hf_hub_download(repository, name, repo_type="dataset", revision=commit))
            for name in ("train.csv", "test.csv")
        )
    except Exception as error:  # the hub's errors share no base class
        raise UnavailableError(
            f"could not fetch {repository} at revision {asked!r} from the Hugging Face hub: "
            f"{type(error).__name__}: {error}; check the network and the revision, or put the "
            "files in a folder and pass it with --data"
        ) from error
    unpinned = f"the revision was not pinned: {asked!r} was {commit}; repeat with revision={commit}"
    return HubTables(Tables((train,), (test,)), commit, () if asked == commit else (unpinned,))

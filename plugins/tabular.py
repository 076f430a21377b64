"""Tables of puzzles on disk or on the Hugging Face hub: finding, reading and splitting them.

Owns what any task that reads ``question,answer`` tables needs. What a good row is, is the task's
own business.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..harness.errors import DataError, EnvironmentError_
from ..harness.puzzles import SourceFile
from ..harness.randomness import named_seed

SUFFIXES = (".csv", ".csv.gz")
COLUMNS = ("source", "question", "answer", "rating")
TRAIN_ROWS = 1000
"""The papers train on 1000 puzzles; rows beyond that and the validation rows are left out."""
VALIDATION_ROWS = 64


@dataclass(frozen=True)
class Tables:
    """The tables of a folder, each list in name order."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]


@dataclass(frozen=True)
class Row:
    """One row: the file and line (the header is line 1) it stands on, and its puzzle."""

    file: Path
    line: int
    question: str
    answer: str

    @property
    def where(self) -> str:
        """File and line, as error messages begin."""
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True)
class HubTables:
    """Tables fetched from the hub, and the commit that the revision stood for."""

    tables: Tables
    commit: str


def find_tables(folder: Path) -> Tables:
    """The tables in a folder whose names contain ``train`` and ``test``.

    Raises:
        DataError: if the folder is missing, lacks either, or has a name that contains both.
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
            found[split].append(path)
    for split, paths in found.items():
        if not paths:
            names = ", ".join(path.name for path in tables) or "none"
            raise DataError(
                f"{folder}: no {split} table; looked for a name that contains {split!r} and ends in "
                f"{' or '.join(SUFFIXES)}; tables there: {names}"
            )
    return Tables(tuple(found["train"]), tuple(found["test"]))


def read_rows(path: Path) -> list[Row]:
    """The rows of a ``.csv`` or ``.csv.gz`` table. Spaces are kept: in a maze they are cells.

    Raises:
        DataError: naming file and line, if the table cannot be read or lacks a column.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.name.lower().endswith(".gz") else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(reader, [])
        if missing := [column for column in COLUMNS if column not in header]:
            raise DataError(
                f"{path}, line 1: the header lacks {', '.join(missing)}; it should be {','.join(COLUMNS)}"
            )
        question, answer = header.index("question"), header.index("answer")
        rows = []
        for values in reader:
            if len(values) != len(header):
                raise DataError(f"{path}, line {reader.line_num}: {len(values)} columns, not {len(header)}")
            rows.append(Row(path, reader.line_num, values[question], values[answer]))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise DataError(f"{path}: no rows after the header")
    return rows


def source_file(path: Path, rows: int) -> SourceFile:
    """Name, SHA-256 and row count of a file that was read."""
    return SourceFile(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), rows)


def stem(path: Path) -> str:
    """The file's name without ``.csv`` or ``.csv.gz``."""
    name = path.name
    return re.sub(r"\.csv(\.gz)?$", "", name, flags=re.IGNORECASE)


def names_of(rows: Sequence[Row], split: str) -> list[str]:
    """Item ids ``<split>/<file stem>/<row>``, the rows of each file counted from 0."""
    seen: dict[Path, int] = {}
    names = []
    for row in rows:
        number = seen.get(row.file, 0)
        seen[row.file] = number + 1
        names.append(f"{split}/{stem(row.file)}/{number}")
    return names


def split_validation(rows: int, seed: int, task: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the train tables to train on and rows to validate on, each in file order.

    Validation takes 64 rows by seeded choice, a tenth where there are fewer than 640, at least
    one; training takes the others, at most 1000 of them by the same choice.

    Raises:
        DataError: if there are fewer than two rows.
    """
    if rows < 2:
        raise DataError(
            f"{task}: the train tables have {rows} row in all; at least 2 are needed, one to validate on"
        )
    held = VALIDATION_ROWS if rows >= 10 * VALIDATION_ROWS else max(1, rows // 10)
    order = np.random.default_rng(named_seed(task, "validation", seed)).permutation(rows)
    return np.sort(order[held:][:TRAIN_ROWS]), np.sort(order[:held])


def split_note(rows: int, train: int, validation: int, seed: int) -> str:
    """What `split_validation` did, in one line."""
    note = (
        f"validation is {validation} of the {rows} official train rows, chosen with seed {seed}; "
        f"train has {train}"
    )
    unused = rows - train - validation
    return f"{note}; {unused} rows are unused" if unused else note


def fetch_tables(repository: str, revision: str) -> HubTables:
    """``train.csv`` and ``test.csv`` of a Hugging Face data set, through huggingface_hub.

    A branch or tag is resolved first, so that both files come from the one commit that is named.

    Raises:
        EnvironmentError_: if the package is not installed or the hub does not deliver.
    """
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise EnvironmentError_(
            f"the source 'hub' needs the package huggingface_hub: pip install 'trm-bench[hub]'; or fetch "
            f"train.csv and test.csv of {repository} by hand and pass their folder with --data"
        ) from error
    try:
        commit = revision
        if not re.fullmatch("[0-9a-f]{40}", revision):
            commit = str(hub.HfApi().dataset_info(repository, revision=revision).sha)
        paths = [
            Path(hub.hf_hub_download(repository, name, repo_type="dataset", revision=commit))
            for name in ("train.csv", "test.csv")
        ]
    except Exception as error:  # the hub's errors share no base class
        raise EnvironmentError_(
            f"could not fetch {repository} at revision {revision!r} from the Hugging Face hub: "
            f"{type(error).__name__}: {error}"
        ) from error
    return HubTables(Tables((paths[0],), (paths[1],)), commit)

"""Which tables of a folder, or of the command line, are for training and which for the test.

A table says what it is by a whole word of its name: ``train``, ``training``, ``test`` or ``testing``, between
separators, digits or a change of case. One of several candidates is never taken without a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..harness.api.errors import DataError
from ..harness.api.reading import printable, require_file
from ..harness.api.specs import BuildRequest

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SPLITS = ("train", "test")
MOST_PARTS = 100_000
"""Of a table; a name may say any number."""
SHOWN = 6
"""Tables that an error lists."""
_PART = re.compile(r"(?<!\d)(\d+)[-_]of[-_](\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class Tables:
    """The tables of a request, each list in name order; ``train`` may be empty where nothing is trained.

    Attributes:
        left_out: tables of the folder whose name is that of no split.
    """

    train: tuple[Path, ...]
    test: tuple[Path, ...]
    left_out: tuple[Path, ...] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """Train, then test."""
        return (*self.train, *self.test)

    @property
    def names(self) -> str:
        """Of all of them, for a title."""
        return " + ".join(printable(path) for path in self.all)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        names = ", ".join(printable(path) for path in self.left_out)
        return (f"not read, as no word of the name is train or test: {names}",) if names else ()


def find_tables(request: BuildRequest) -> Tables:
    """The tables that a request names, and those of its folder for the splits that it does not name.

    Raises:
        DataError: the folder is missing, a split has no table or several that are no parts of one, or a
            table is no plain file.
    """
    named = {"train": request.train, "test": request.test}
    for split, paths in named.items():
        _require_tables(paths, f"--{split} ")
    open_splits = [split for split in SPLITS if not named[split]]
    found: dict[str, tuple[Path, ...]] = dict(named)
    left_out: tuple[Path, ...] = ()
    if request.folder is not None:
        in_folder, left_out = _in_folder(request.folder, open_splits)
        found |= in_folder
    for split in SPLITS:
        if not found[split] and (split == "test" or request.training):
            raise DataError(_missing(split, request, left_out))
    _refuse_shared(found["train"], found["test"])
    return Tables(found["train"], found["test"], left_out)


def _in_folder(folder: Path, splits: Sequence[str]) -> tuple[dict[str, tuple[Path, ...]], tuple[Path, ...]]:
    """The tables of a folder for some splits, and those that are of none."""
    if not folder.is_dir():
        problem = "is no folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {problem}; --data takes the folder with the train and test tables")
    found: dict[str, list[Path]] = {split: [] for split in splits}
    left_out = []
    for path in _tables(folder):
        own = sorted({NAMES[word] for word in words(stem(path)) if word in NAMES}, reverse=True)
        if len(own) > 1:
            raise DataError(
                f"{path}: the name contains both 'train' and 'test'; rename it after one of them, or name "
                "the files with --train FILE and --test FILE"
            )
        if not own:
            left_out.append(path)
        elif own[0] in found:
            found[own[0]].append(path)
    for split, paths in found.items():
        _require_tables(paths, "")
        _refuse_candidates(split, paths)
    return {split: tuple(paths) for split, paths in found.items()}, tuple(left_out)


def _tables(folder: Path) -> list[Path]:
    """Names that begin with a dot, as macOS adds them, are no data."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".") and not path.is_dir()
        )
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from error


def words(name: str) -> list[str]:
    """The words of a name in small letters: ``SudokuTrain-00`` has ``sudoku`` and ``train``."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def stem(path: Path) -> str:
    """The file's name without its suffix."""
    return re.sub(r"\.[ct]sv(\.gz)?$", "", printable(path), flags=re.IGNORECASE)


def _require_tables(paths: Sequence[Path], option: str) -> None:
    for place, path in enumerate(paths):
        if option and path.absolute() in [other.absolute() for other in paths[:place]]:
            raise DataError(f"{option}{path}: named twice")
        if not path.name.lower().endswith(SUFFIXES):
            raise DataError(f"{option}{path}: no table; its name must end in {' or '.join(SUFFIXES)}")
        try:
            require_file(path)
        except OSError as error:
            raise DataError(f"{option}{path}: {error.strerror or error}") from error


def _refuse_candidates(split: str, paths: Sequence[Path]) -> None:
    """Several tables of a split are read only as numbered parts of one.

    Raises:
        DataError: they are not; names them.
    """
    for place, path in enumerate(paths):
        for other in paths[:place]:  # items are named after the table without its suffix
            if stem(other) == stem(path):
                raise DataError(
                    f"{path}: {other.name} is there as well; keep one, or name it with --{split} FILE"
                )
    if len({_unnumbered(stem(path)) for path in paths}) > 1:
        names = ", ".join(printable(path) for path in paths)
        raise DataError(
            f"{paths[0].parent}: several {split} tables, which are no numbered parts of one: {names}; choose "
            f"with --{split} FILE, which may be repeated"
        )
    _require_whole(split, paths)


def _require_whole(split: str, paths: Sequence[Path]) -> None:
    """Of a table in parts whose names say how many there are, all must be there, and no other.

    Raises:
        DataError: one is missing, which is named, or there are others.
    """
    parts = [part for path in paths if (part := _PART.search(stem(path))) is not None]
    totals = {int(part[2]) for part in parts}
    if not parts:
        return
    if len(totals) > 1 or len(parts) < len(paths):
        names = ", ".join(printable(path) for path in paths)
        raise DataError(
            f"{paths[0].parent}: parts of one {split} table next to others: {names}; choose with "
            f"--{split} FILE, which may be repeated"
        )
    (total,) = totals
    numbers = {int(part[1]) for part in parts}
    first = 0 if 0 in numbers or total not in numbers else 1
    if missing := sorted({*range(first, min(total, MOST_PARTS) + first)} - numbers):
        raise DataError(
            f"{paths[0].parent}: part {missing[0]} of {total} of the {split} table is missing; parts there: "
            f"{', '.join(printable(path) for path in paths)}; add it, or name those to read with "
            f"--{split} FILE"
        )


def _unnumbered(name: str) -> str:
    """A name without its numbers: ``train2`` and ``train-00000-of-00002`` are parts, ``train_v2`` is not."""
    return re.sub(r"[\W_]*(?<![v\d])\d++(?![a-z])", "", name.lower())


def _missing(split: str, request: BuildRequest, left_out: Sequence[Path]) -> str:
    if request.folder is None:
        other = "test" if split == "train" else "train"
        return f"--{other} without --{split}: name the {split} table too, or a folder with --data DIR"
    tables = ", ".join(printable(path) for path in _tables(request.folder)) or "none"
    if below := _below(request.folder):
        more = f" and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
        tables += f"; tables below it: {', '.join(below[:SHOWN])}{more}; give their folder with --data"
    return (
        f"{request.folder}: no {split} table; looked for a name that contains {split!r} as a word and ends "
        f"in {' or '.join(SUFFIXES)}; tables there: {tables}; or name it with --{split} FILE"
    )


def _below(folder: Path) -> list[str]:
    """Tables in the folders of a folder and in theirs, relative to it: those of a hub's cache lie so."""
    names = [path.relative_to(folder) for depth in ("*/*", "*/*/*") for path in folder.glob(depth)]
    fine = [name for name in names if name.name.lower().endswith(SUFFIXES)]
    return sorted(str(name) for name in fine if not any(part.startswith(".") for part in name.parts))


def _refuse_shared(train: Sequence[Path], test: Sequence[Path]) -> None:
    for path in test:
        for other in train:
            if path.samefile(other):
                raise DataError(f"{path}: the same file is to be trained on, as {other}")

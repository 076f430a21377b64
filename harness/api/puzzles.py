"""Puzzle sets: the arrays, ids and clusters that every task hands to the core."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.uint8]
VOCABULARY = 256
"""Most token codes, padding included."""
PAD = 0
"""Token 0 is padding in every task: a target cell that holds it is not scored."""


@dataclass(frozen=True)
class TaskInfo:
    """All that a model may know of a task: its shape, not its data.

    Attributes:
        task: its name.
        scale: name of the scale.
        height, width: of the grid, in cells.
        vocab_size: token codes run from 0 (padding) to ``vocab_size - 1``; at most 256.
        identifiers: rows of the puzzle-embedding table; 1 where puzzles carry no identity. A task that has
            `Identities` gives their number here, and the harness puts a row for each of their augmentations
            in its place.
    """

    task: str
    scale: str
    height: int
    width: int
    vocab_size: int
    identifiers: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.vocab_size <= VOCABULARY:
            raise ValueError(
                f"TaskInfo: vocab_size={self.vocab_size} must be from 1 to {VOCABULARY}: tokens are uint8"
            )

    @property
    def cells(self) -> int:
        """L, the number of cells of one puzzle."""
        return self.height * self.width


@dataclass(frozen=True)
class PuzzleSet:
    """N puzzles of one shape.

    Attributes:
        inputs: (N, L) token codes of the questions, row-major.
        targets: (N, L) token codes of the solutions; ``PAD`` cells are not scored.
        ids: (N,) unique item names; they stay the same as long as the source does.
        clusters: (N,) names of groups of items that are not independent of one another.
        identifiers: (N,) who each puzzle is: a place in the task's `Identities` where it has them, else
            a row of the puzzle-embedding table.
    """

    inputs: Tokens
    targets: Tokens
    ids: NDArray[np.str_]
    clusters: NDArray[np.str_]
    identifiers: NDArray[np.int32]

    def __post_init__(self) -> None:
        count = len(self.inputs)
        if self.inputs.shape != self.targets.shape or self.inputs.ndim != 2:
            raise ValueError(
                f"inputs {self.inputs.shape} and targets {self.targets.shape} must be (N, L) alike"
            )
        for name in ("ids", "clusters", "identifiers"):
            if getattr(self, name).shape != (count,):
                raise ValueError(f"{name} must have shape ({count},), not {getattr(self, name).shape}")
        if len(np.unique(self.ids)) != count:
            raise ValueError("item ids must be unique")

    def __len__(self) -> int:
        return len(self.inputs)

    @classmethod
    def single_identity(cls, inputs: Tokens, targets: Tokens, ids: list[str]) -> PuzzleSet:
        """Puzzles that share identifier 0 and are each a cluster of their own (Sudoku, Maze)."""
        names = np.asarray(ids, dtype=np.str_)
        return cls(inputs, targets, names, names, np.zeros(len(inputs), np.int32))

    def take(self, rows: NDArray[np.integer] | slice) -> PuzzleSet:
        """The puzzles at ``rows``, in that order."""
        return replace(
            self,
            inputs=self.inputs[rows],
            targets=self.targets[rows],
            ids=self.ids[rows],
            clusters=self.clusters[rows],
            identifiers=self.identifiers[rows],
        )

    def fingerprint(self) -> str:
        """SHA-256 over every array, in hexadecimal: equal sets give equal ones."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.targets, self.identifiers):
            digest.update(repr((array.dtype.str, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        for names in (self.ids, self.clusters):
            digest.update("\n".join(names.tolist()).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Identities:
    """G identities; `PuzzleSet.identifiers` are places in these arrays.

    Attributes:
        names: (G,) unique.
        augmentations: (G,) how many distinct augmentations each has, itself included.
        symmetry: (G,) what the task's own augmentation has to know of each, as text.
    """

    names: NDArray[np.str_]
    augmentations: NDArray[np.int64]
    symmetry: NDArray[np.str_]

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.augmentations.shape != (count,) or self.symmetry.shape != (count,):
            raise ValueError(f"names, augmentations and symmetry must all have shape ({count},)")
        if len(np.unique(self.names)) != count:
            raise ValueError("names of identities must be unique")
        if count and self.augmentations.min() < 1:
            raise ValueError("an identity has one augmentation at least, itself")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class SourceFile:
    """One file that data was read from.

    Attributes:
        name: relative to the ``--data`` folder.
        sha256: of its content.
        rows: puzzles or tasks in it.
    """

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Source:
    """Where puzzles come from, as it is printed and stored.

    Attributes:
        kind: which of `TaskSpec.sources`, e.g. ``generated`` or ``official``.
        summary: one line for a table title, e.g. ``generated v1, seed 0``.
        files: what was read, empty for a generated set.
        notes: remarks on a score, e.g. that a split was cut short.
        caveats: reasons why a score on this data must not be cited.
        as_published: whether the sets are a public benchmark, whole. What its training and test puzzles share
            is then a note, not a caveat.
    """

    kind: str
    summary: str
    files: tuple[SourceFile, ...] = ()
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    as_published: bool = False


@dataclass(frozen=True)
class TaskData:
    """The three splits of a task. Test is for the one evaluation at the end.

    ``identities`` is for a task of few examples each of many rules, such as ARC: every augmentation of every
    rule then has a trained vector of its own.
    """

    info: TaskInfo
    train: PuzzleSet
    validation: PuzzleSet
    test: PuzzleSet
    source: Source
    identities: Identities | None = None

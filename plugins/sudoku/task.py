"""Build the sudoku-extreme task from one of its sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...harness.api.augment import Augmentation
from ...harness.api.errors import DataError, UsageError, nearest
from ...harness.api.puzzles import PuzzleSet, Source, TaskData, TaskInfo, Tokens
from ...harness.api.specs import AugmentationRequest, BuildRequest
from ..published import generated_summary
from ..tabular_hub import revision_of
from . import official
from .augment import SudokuSymmetries
from .board import BLANK, Shape
from .symmetry import invariants

SOURCES = ("generated", "official", "hub")


def build(request: BuildRequest) -> TaskData:
    """The three splits for a request.

    Raises:
        DataError: the files are missing or wrong, or the scale has no official puzzles.
        UnavailableError: the hub cannot be used.
        UsageError: an unknown source, or an option that does not fit it.
    """
    if request.source not in SOURCES:
        raise UsageError(f"unknown source {request.source!r}; {nearest(request.source, SOURCES)}")
    revision = revision_of(request, official.TASK)
    if request.source == "generated":
        return _generated(request)
    if request.scale == "mini":
        raise DataError("official Sudoku-Extreme puzzles are 9×9 only; use --scale small, lite or paper")
    if request.source == "hub":
        return official.from_hub(revision, request)
    if not request.reads_files:
        raise DataError("the official source needs --data FOLDER with a train and a test CSV file")
    return official.from_files(request)


def augmentation(request: AugmentationRequest) -> Augmentation:
    """All symmetries of the board."""
    return SudokuSymmetries(Shape.of_side(request.info.height))


def canonical(info: TaskInfo, inputs: Tokens, targets: Tokens) -> Sequence[bytes]:
    """`symmetry.invariants` of the questions; the answer follows from the question."""
    values = invariants(Shape.of_side(info.height), inputs)
    return [value.tobytes() for value in values]


def features(info: TaskInfo, puzzles: PuzzleSet) -> Mapping[str, NDArray[np.int64]]:
    """Givens, and the guesses of our solver (see `solver`)."""
    from .solver import solve  # compiles with numba

    solved = solve(Shape.of_side(info.height), puzzles.inputs)
    return {"givens": (puzzles.inputs != BLANK).sum(axis=1), "guesses": solved.guesses}


def _generated(request: BuildRequest) -> TaskData:
    from .generate import RECIPES, VERSION, generate

    if request.scale not in RECIPES:
        raise UsageError(f"unknown scale {request.scale!r}; {nearest(request.scale, RECIPES)}")
    recipe = RECIPES[request.scale].at_most(request.at_most)
    splits = generate(recipe, request.seed, request.progress)
    shape = recipe.shape
    info = TaskInfo(official.TASK, request.scale, shape.side, shape.side, shape.vocab_size)
    source = Source(
        kind="generated",
        summary=generated_summary(VERSION, request),
        notes=recipe.notes,
    )
    return TaskData(info, splits.train, splits.validation, splits.test, source)

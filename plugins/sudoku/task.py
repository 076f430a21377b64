"""Build the sudoku-extreme task from one of its sources."""

from __future__ import annotations

from ...harness.api.augment import Augmentation
from ...harness.api.errors import DataError, UsageError, nearest
from ...harness.api.puzzles import Source, TaskData, TaskInfo
from ...harness.api.specs import AugmentationRequest, BuildRequest
from ..tabular import revision_of
from . import official
from .augment import SudokuSymmetries
from .board import Shape

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
        raise DataError("official Sudoku-Extreme puzzles are 9×9 only; use --scale lite or --scale paper")
    if request.source == "hub":
        return official.from_hub(revision, request)
    if request.folder is None:
        raise DataError("the official source needs --data FOLDER with a train and a test CSV file")
    return official.from_folder(request.folder, request)


def augmentation(request: AugmentationRequest) -> Augmentation:
    """All symmetries of the board."""
    return SudokuSymmetries(Shape.of_side(request.info.height))


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
        summary=f"generated v{VERSION}, seed {request.seed}",
        notes=recipe.notes,
    )
    return TaskData(info, splits.train, splits.validation, splits.test, source)

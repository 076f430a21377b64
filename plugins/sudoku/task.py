"""Build the sudoku-extreme task from one of its sources."""

from __future__ import annotations

from dataclasses import replace

from ...harness.augment import Augmentation
from ...harness.errors import DataError, UsageError, nearest
from ...harness.puzzles import Source, TaskData, TaskInfo
from ...harness.specs import BuildRequest
from . import hub, official
from .augment import SudokuSymmetries
from .board import Shape


def build(request: BuildRequest) -> TaskData:
    """The three splits for a request.

    Raises:
        DataError: the files are missing or wrong, or the scale has no official puzzles.
        EnvironmentError_: the hub cannot be used.
        UsageError: an unknown source.
    """
    builders = {"generated": _generated, "official": _official, "hub": _hub}
    if request.source not in builders:
        raise UsageError(f"unknown source {request.source!r}; {nearest(request.source, builders)}")
    if request.source != "generated" and request.scale == "mini":
        raise DataError("official Sudoku-Extreme puzzles are 9×9 only; use --scale lite or --scale paper")
    return builders[request.source](request)


def augmentation(info: TaskInfo) -> Augmentation:
    """All symmetries of the board."""
    return SudokuSymmetries(Shape.of_side(info.height))


def _generated(request: BuildRequest) -> TaskData:
    from .generate import RECIPES, VERSION, generate

    if request.scale not in RECIPES:
        raise UsageError(f"unknown scale {request.scale!r}; {nearest(request.scale, RECIPES)}")
    recipe = RECIPES[request.scale]
    splits = generate(recipe, request.seed, request.progress)
    shape = recipe.shape
    info = TaskInfo("sudoku-extreme", request.scale, shape.side, shape.side, shape.vocab_size)
    source = Source(
        kind="generated",
        summary=f"generated v{VERSION}, seed {request.seed}",
        notes=recipe.notes,
    )
    return TaskData(info, splits.train, splits.validation, splits.test, source)


def _official(request: BuildRequest) -> TaskData:
    if request.folder is None:
        raise DataError("the official source needs --data FOLDER with a train and a test CSV file")
    train, test = official.find_files(request.folder)
    names = " + ".join(path.name for path in (*train, *test))
    return official.build_from(
        train, test, request.scale, request.seed, request.progress, f"files {names}, seed {request.seed}"
    )


def _hub(request: BuildRequest) -> TaskData:
    revision = request.options.get("revision", hub.UNPINNED)
    fetched = hub.fetch(revision)
    summary = f"hub {hub.DATASET} at {fetched.commit}, seed {request.seed}"
    data = official.build_from(
        [fetched.train], [fetched.test], request.scale, request.seed, request.progress, summary
    )
    if revision == fetched.commit:
        return data
    commit = fetched.commit
    caveat = f"the revision was not pinned: {revision!r} was {commit}; pin it with revision={commit}"
    return replace(data, source=replace(data.source, caveats=(*data.source.caveats, caveat)))

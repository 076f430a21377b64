"""A task that is made in no time: give a 4 × 4 grid back upside down. For tests of models, and as an example.

Shaped like the real ones: a square grid, symmetries, a padding token that does not occur.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..harness.api.augment import CellTokenTransforms, Ints
from ..harness.api.hookspecs import hookimpl
from ..harness.api.puzzles import PuzzleSet, Source, TaskData, TaskInfo, Tokens
from ..harness.api.randomness import hashed, permutations
from ..harness.api.specs import AugmentationRequest, BuildRequest, Scale, TaskSpec

NAME = "tiny-grid"
SIDE, COLOURS = 4, 4
TINY_INFO = TaskInfo(NAME, "mini", SIDE, SIDE, vocab_size=1 + COLOURS)
SIZES = (60, 20, 20)


def build(request: BuildRequest) -> TaskData:
    """Three splits of random grids, no two of them the same but for the names of the colours."""
    grids = np.random.default_rng(request.seed).integers(0, COLOURS, (4 * sum(SIZES), SIDE * SIDE))
    _, first = np.unique([_canonical(grid) for grid in grids], axis=0, return_index=True)
    tokens = (1 + grids[np.sort(first)[: sum(SIZES)]]).astype(np.uint8)
    answers = tokens.reshape(-1, SIDE, SIDE)[:, ::-1].reshape(tokens.shape)
    puzzles = PuzzleSet.single_identity(tokens, answers, [f"grid-{row}" for row in range(len(tokens))])
    train, validation, _ = SIZES
    return TaskData(
        TINY_INFO,
        puzzles.take(slice(0, train)),
        puzzles.take(slice(train, train + validation)),
        puzzles.take(slice(train + validation, None)),
        Source("generated", f"generated, seed {request.seed}"),
    )


def _canonical(grid: Ints) -> Ints:
    """The same for two grids that differ in the names of colours alone: numbered as they appear."""
    _, first, where = np.unique(grid, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[where])


@dataclass(frozen=True)
class Recolour:
    """Other names for the colours."""

    max_augmentations: int | None = None

    def transforms(self, seed: int, items: Ints, ks: Ints) -> CellTokenTransforms:
        """See `harness.api.augment.Augmentation.transforms`."""
        bits = hashed(seed, items[:, None], ks[:, None], np.arange(COLOURS))
        names = np.tile(np.arange(1 + COLOURS), (len(items), 1))
        names[:, 1:] = np.where((ks == 0)[:, None], names[:, 1:], 1 + permutations(bits))
        cells = np.tile(np.arange(SIDE * SIDE), (len(items), 1))
        return CellTokenTransforms(cells, names.astype(np.uint8))


def canonical(info: TaskInfo, inputs: Tokens, targets: Tokens) -> list[bytes]:
    """The grid with its colours numbered as they appear; the target follows from it."""
    return [_canonical(grid.astype(np.int64)).astype(np.uint8).tobytes() for grid in inputs]


def features(info: TaskInfo, puzzles: PuzzleSet) -> dict[str, Ints]:
    """How many cells change."""
    return {"changes": (puzzles.inputs != puzzles.targets).sum(axis=1)}


def augmentation(request: AugmentationRequest) -> Recolour:
    """The names of the colours mean nothing."""
    del request
    return Recolour()


TINY_TASK = TaskSpec(
    name=NAME,
    summary="give a 4×4 grid back upside down; for tests",
    version=1,
    scales={"mini": Scale("mini", "60 train, 20 validation, 20 test", 40, batch_size=8, augmentations=4)},
    build=build,
    augmentation=augmentation,
    evaluators=("exact", "cells"),
    primary="exact",
    canonical=canonical,
    features=features,
)


@hookimpl
def trm_bench_register_tasks() -> list[TaskSpec]:
    """The task, for a plugin that wants it."""
    return [TINY_TASK]

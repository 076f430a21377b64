"""What both maze tasks share: splits of generated mazes, and what is known of a maze."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import PuzzleSet, Source, TaskData, TaskInfo, Tokens
from ...harness.api.specs import BuildRequest
from .scales import WALL, Shape
from .symmetry import canonical_walls

CHUNK = 8192
"""Mazes whose eight images are held at once."""


def generated(request: BuildRequest, shape: Shape, info: TaskInfo, summary: str) -> TaskData:
    """The three splits of a shape, one after the other from the mazes of the request's seed."""
    from .generate import generate  # compiles with numba

    questions, answers = generate(shape, request.seed, shape.total, progress=request.progress)
    first_test = shape.train + shape.validation

    def split(name: str, start: int, stop: int) -> PuzzleSet:
        family = f"{name}/{shape.side}x{shape.side}-v{shape.version}-seed{request.seed}"
        ids = [f"{family}/{row}" for row in range(stop - start)]
        return PuzzleSet.single_identity(questions[start:stop], answers[start:stop], ids)

    return TaskData(
        info=info,
        train=split("train", 0, shape.train),
        validation=split("validation", shape.train, first_test),
        test=split("test", first_test, shape.total),
        source=Source("generated", summary),
    )


def canonical(info: TaskInfo, inputs: Tokens, targets: Tokens) -> Sequence[bytes]:
    """The wall map up to turns and reflections: mazes that differ in S and G alone count as the same."""
    parts = (canonical_walls(inputs[at : at + CHUNK], info.width) for at in range(0, len(inputs), CHUNK))
    return [bytes(key) for part in parts for key in part]


def features(info: TaskInfo, puzzles: PuzzleSet) -> Mapping[str, NDArray[np.int64]]:
    """Moves of a shortest path, and the number of walls."""
    from .grid import shortest_moves_all  # compiles with numba

    moves = shortest_moves_all(puzzles.inputs, info.height, info.width)
    return {"moves": moves, "walls": (puzzles.inputs == WALL).sum(axis=1)}

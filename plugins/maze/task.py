"""The task maze-hard: its spec, and its splits from a generator, a folder or the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...harness.api.errors import DataError
from ...harness.api.puzzles import PuzzleSet, Source, TaskData, TaskInfo, Tokens
from ...harness.api.specs import BuildRequest, TaskSpec
from ..published import generated_summary, published
from ..tabular_files import find_tables
from ..tabular_hub import revision_of
from .augment import dihedral
from .scales import CHARSET, SCALES, SHAPES, VERSION, VOCAB_SIZE, WALL, Shape
from .symmetry import canonical_walls
from .typed import check_rules, parse

NAME = "maze-hard"
CHUNK = 8192
"""Mazes whose eight images are held at once."""

CITATION = """\
@article{wang2025hierarchical,
  title   = {Hierarchical Reasoning Model},
  author  = {Wang, Guan and Li, Jin and Sun, Yuhao and Chen, Xing and Liu, Changling and Wu, Yue
             and Lu, Meng and Song, Sen and Abbasi Yadkori, Yasin},
  journal = {arXiv preprint arXiv:2506.21734},
  year    = {2025}
}"""

LICENCE = (
    "Generated mazes are free of rights of others. No licence is known to us of the official rows "
    "(sapientinc/maze-30x30-hard-1k); trm-bench does not contain them."
)


def build(request: BuildRequest) -> TaskData:
    """The three splits of a scale from the requested source.

    Raises:
        UsageError: if an option does not fit the source.
        DataError: if official rows are missing or wrong, or are requested at ``mini`` or ``small``.
        UnavailableError: if the hub cannot be reached.
    """
    shape = SHAPES[request.scale].at_most(request.at_most)
    info = TaskInfo(NAME, request.scale, shape.side, shape.side, VOCAB_SIZE)
    revision = revision_of(request, NAME)
    if request.source == "generated":
        return _generated(request, shape, info)
    if request.scale in ("mini", "small"):
        raise DataError(f"{NAME}: the official mazes are 30x30 only; use --scale lite or --scale paper")
    from . import official  # compiles with numba

    if request.source == "hub":
        return official.from_hub(revision, request.seed, info)
    if not request.reads_files:
        raise DataError(f"{NAME}: official rows are read from a folder; pass it with --data DIR")
    return official.from_files(request, info)


def files(request: BuildRequest) -> Sequence[Path]:
    """The tables that `build` would read."""
    return find_tables(request).all


def canonical(info: TaskInfo, inputs: Tokens, targets: Tokens) -> Sequence[bytes]:
    """The wall map up to turns and reflections: mazes that differ in S and G alone count as the same."""
    parts = (canonical_walls(inputs[at : at + CHUNK], info.width) for at in range(0, len(inputs), CHUNK))
    return [bytes(key) for part in parts for key in part]


def features(info: TaskInfo, puzzles: PuzzleSet) -> Mapping[str, NDArray[np.int64]]:
    """Moves of a shortest path, and the number of walls."""
    from .grid import shortest_moves_all  # compiles with numba

    moves = shortest_moves_all(puzzles.inputs, info.height, info.width)
    return {"moves": moves, "walls": (puzzles.inputs == WALL).sum(axis=1)}


def _generated(request: BuildRequest, shape: Shape, info: TaskInfo) -> TaskData:
    from .generate import generate  # compiles with numba

    questions, answers = generate(shape, request.seed, shape.total, progress=request.progress)
    first_test = shape.train + shape.validation

    def split(name: str, start: int, stop: int) -> PuzzleSet:
        family = f"{shape.side}x{shape.side}-v{VERSION}-seed{request.seed}"
        return _puzzles(questions[start:stop], answers[start:stop], f"{name}/{family}")

    return TaskData(
        info=info,
        train=split("train", 0, shape.train),
        validation=split("validation", shape.train, first_test),
        test=split("test", first_test, shape.total),
        source=Source("generated", generated_summary(VERSION, request)),
    )


def _puzzles(questions: Tokens, answers: Tokens, prefix: str) -> PuzzleSet:
    return PuzzleSet.single_identity(questions, answers, [f"{prefix}/{row}" for row in range(len(questions))])


TASK = TaskSpec(
    name=NAME,
    summary="shortest paths through random mazes (Maze-Hard: 30x30, at least 109 moves)",
    version=2,
    scales=SCALES,
    build=build,
    augmentation=dihedral,
    evaluators=("exact", "maze-shortest", "maze-valid", "cells"),
    primary="exact",
    sources=("generated", "official", "hub"),
    files=files,
    canonical=canonical,
    features=features,
    options=("revision",),
    citation=CITATION,
    licence=LICENCE,
    symbols=("", *CHARSET),
    published=published(NAME),
    parse=parse,
    check_rules=check_rules,
)

"""The task maze-unique: mazes whose open cells form a tree, so that one path leads from S to G."""

from __future__ import annotations

from ...harness.api.puzzles import TaskData, TaskInfo
from ...harness.api.specs import BuildRequest, TaskSpec
from ..eqr import CITATION
from ..published import published
from .augment import dihedral
from .common import canonical, features, generated
from .scales import CHARSET, UNIQUE_NAME, UNIQUE_SCALES, UNIQUE_SHAPES, VOCAB_SIZE
from .typed import check_rules, parse


def build(request: BuildRequest) -> TaskData:
    """The three splits of a scale; every maze is generated.

    Raises:
        DataError: if the mazes of the scale seem to have run out.
    """
    shape = UNIQUE_SHAPES[request.scale].at_most(request.at_most)
    info = TaskInfo(UNIQUE_NAME, request.scale, shape.side, shape.side, VOCAB_SIZE)
    kind = "depth-first" if shape.depth_first else "Wilson's"
    summary = f"generated v{shape.version} ({kind} spanning trees), seed {request.seed}"
    return generated(request, shape, info, summary)


TASK = TaskSpec(
    name=UNIQUE_NAME,
    summary="the one path through a spanning-tree maze (Maze-Unique: 30x30, 100 to 140 moves)",
    version=2,
    scales=UNIQUE_SCALES,
    build=build,
    augmentation=dihedral,
    evaluators=("exact", "maze-shortest", "maze-valid", "cells"),
    primary="exact",
    canonical=canonical,
    features=features,
    citation=CITATION,
    licence="Generated mazes are free of rights of others.",
    symbols=("", *CHARSET),
    published=published(UNIQUE_NAME),
    parse=parse,
    check_rules=check_rules,
)

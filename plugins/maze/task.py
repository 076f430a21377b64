"""The task maze-hard: its spec, and its splits from a generator, a folder or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...harness.api.errors import DataError
from ...harness.api.puzzles import TaskData, TaskInfo
from ...harness.api.specs import BuildRequest, TaskSpec
from ...hrm_baseline import CITATION
from ..published import generated_summary, published
from ..tabular_files import find_tables
from ..tabular_hub import revision_of
from .augment import dihedral
from .common import canonical, features, generated
from .scales import CHARSET, HARD_NAME, SCALES, SHAPES, VERSION, VOCAB_SIZE
from .typed import check_rules, parse

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
    info = TaskInfo(HARD_NAME, request.scale, shape.side, shape.side, VOCAB_SIZE)
    revision = revision_of(request, HARD_NAME)
    if request.source == "generated":
        return generated(request, shape, info, generated_summary(VERSION, request))
    if request.scale in ("mini", "small"):
        raise DataError(f"{HARD_NAME}: the official mazes are 30x30 only; use --scale lite or --scale paper")
    from . import official  # compiles with numba

    if request.source == "hub":
        return official.from_hub(revision, request.seed, info)
    if not request.reads_files:
        raise DataError(f"{HARD_NAME}: official rows are read from a folder; pass it with --data DIR")
    return official.from_files(request, info)


def files(request: BuildRequest) -> Sequence[Path]:
    """The tables that `build` would read."""
    return find_tables(request).all


TASK = TaskSpec(
    name=HARD_NAME,
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
    published=published(HARD_NAME),
    parse=parse,
    check_rules=check_rules,
)

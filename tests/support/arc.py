"""Hand-made ARC tasks, and the augmentation of a set of tasks, for the tests of the ARC plugin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from trm_bench.harness.api.puzzles import Identities
from trm_bench.harness.api.specs import AugmentationRequest
from trm_bench.plugins.arc.augment import ArcSymmetries
from trm_bench.plugins.arc.grids import VOCAB_SIZE, Grid, to_canvases
from trm_bench.plugins.arc.symmetry import orbit_of
from trm_bench.plugins.arc.tasks import ArcTask, Pair

from trm_bench import PuzzleSet, TaskInfo

Rows = Sequence[Sequence[int]]


def grid(rows: Rows) -> Grid:
    return np.array(rows, np.uint8)


def pair(question: Rows, answer: Rows) -> Pair:
    return Pair(grid(question), grid(answer))


def task(name: str, *pairs: Pair, test: Sequence[Pair] = ()) -> ArcTask:
    """A task whose last pair is its test where none is named."""
    return ArcTask(name, pairs, tuple(test)) if test else ArcTask(name, pairs[:-1], pairs[-1:])


def symmetries(
    tasks: Sequence[ArcTask], side: int, *, training: bool = False
) -> tuple[ArcSymmetries, PuzzleSet]:
    """The augmentation of every pair of some tasks, and those pairs."""
    orbits = [orbit_of(one) for one in tasks]
    identities = Identities(
        np.array([one.id for one in tasks]),
        np.array([orbit.count for orbit in orbits], np.int64),
        np.array([orbit.to_text() for orbit in orbits]),
    )
    named = [(place, index, pair) for place, one in enumerate(tasks) for index, pair in enumerate(one.pairs)]
    puzzles = PuzzleSet(
        to_canvases([pair.input for _, _, pair in named], side),
        to_canvases([pair.output for _, _, pair in named], side),
        np.array([f"{tasks[place].id}/{index}" for place, index, _ in named]),
        np.array([tasks[place].id for place, _, _ in named]),
        np.array([place for place, _, _ in named], np.int32),
    )
    info = TaskInfo("arc-agi-1", "mini", side, side, VOCAB_SIZE, identifiers=len(tasks))
    return ArcSymmetries(AugmentationRequest(info, puzzles, identities, training)), puzzles


def made(name: str, seed: int, pairs: int = 3) -> ArcTask:
    """A task of random 3×4 and 2×3 grids."""
    random = np.random.default_rng(seed)
    return task(
        name, *(pair(random.integers(0, 6, (3, 4)), random.integers(0, 6, (2, 3))) for _ in range(pairs))
    )


def write(place: Path, *tasks: ArcTask) -> Path:
    """A file for each task, as the repositories have them."""
    place.mkdir(parents=True, exist_ok=True)
    for one in tasks:
        content = {
            part: [{"input": p.input.tolist(), "output": p.output.tolist()} for p in pairs]
            for part, pairs in (("train", one.train), ("test", one.test))
        }
        (place / f"{one.id}.json").write_text(json.dumps(content))
    return place

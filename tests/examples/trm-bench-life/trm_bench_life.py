"""The task ``life-back``: Conway's Game of Life one step back, on a torus of 6×6 cells.

The question is what a pattern of at most 4×4 cells has become, and any board that becomes it is correct. The
label is only one of them: `exact` compares with that one, `life-valid` applies the rules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import trm_bench as bench
from trm_bench import hashed, named_seed, permutations

Boards = NDArray[np.bool_]
SIDE, DEAD, ALIVE, PATIENCE = 6, 1, 2, 100  # token 0 is padding in every task
PATTERN: Boards = (np.indices((SIDE, SIDE)) < 4).all(0).ravel()

_GRID = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
_TURNED = [np.rot90(grid, turns) for grid in (_GRID, _GRID.T) for turns in range(4)]
_SHIFTED = [np.roll(grid, shift, (0, 1)) for grid in _TURNED for shift in np.ndindex(SIDE, SIDE)]
IMAGES = np.reshape(_SHIFTED, (-1, SIDE * SIDE))
"""(288, 36): cell l of image g is cell ``[g, l]`` of the board; image 0 is the board itself."""


def step(boards: Boards) -> Boards:
    """The next generation of boards (N, 36); what leaves on one side comes in on the other."""
    grids = boards.reshape(-1, SIDE, SIDE)
    # Each cell counts itself too: it lives with three, or with four where it is one of them.
    crowd = np.sum([np.roll(grids, (y, x), (1, 2)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)
    return np.reshape((crowd == 3) | (grids & (crowd == 4)), boards.shape)


def generate(seed: int, count: int, density: float) -> bench.PuzzleSet:
    """Puzzles of which no question is another one turned, reflected or shifted."""
    random = np.random.default_rng(named_seed("life-back", seed))
    found: dict[bytes, Boards] = {}
    for _ in range(PATIENCE):
        labels = (random.random((count, SIDE * SIDE)) < density) & PATTERN
        questions = step(labels)
        # Of three cells there is little to ask, and a still life would answer itself.
        fit = (questions.sum(1) > 3) & (step(questions) != questions).any(1)
        for question, label in zip(questions[fit], labels[fit], strict=True):
            key = min(map(bytes, np.packbits(question[IMAGES], axis=1)))
            found.setdefault(key, np.stack((question, label)))
        if len(found) >= count:
            # Common patterns are found first: without a shuffle they would all be trained on.
            kept = np.stack(list(found.values()))[random.permutation(len(found))[:count]]
            tokens = np.where(kept, ALIVE, DEAD).astype(np.uint8)
            names = [f"v1-density{density:g}-seed{seed}/{row}" for row in range(count)]
            return bench.PuzzleSet.single_identity(tokens[:, 0], tokens[:, 1], names)
    raise bench.DataError(f"life-back: density={density:g} gives only {len(found)} boards, not {count}")


def build(request: bench.BuildRequest) -> bench.TaskData:
    """Three splits of one list of puzzles."""
    text = request.options.get("density", "0.5")
    if not text.replace(".", "", 1).isdecimal() or not 0 < float(text) < 1:
        raise bench.UsageError(f"--set density={text}: write a share of living cells between 0 and 1")
    counts = [min(count, request.at_most or count) for count in (1000, 200, 500)]
    puzzles, ends = generate(request.seed, sum(counts), float(text)), np.cumsum(counts)
    train, validation, test = (puzzles.take(slice(end - n, end)) for end, n in zip(ends, counts, strict=True))
    info = bench.TaskInfo("life-back", request.scale, SIDE, SIDE, vocab_size=ALIVE + 1)
    source = bench.Source("generated", f"generated v1, seed {request.seed}, density {text}")
    return bench.TaskData(info, train, validation, test, source)


class Torus:
    """Turns, reflections and shifts; for each board all but itself come in an order of its own."""

    max_augmentations: int | None = len(IMAGES)

    def transforms(self, seed: int, items: bench.Ints, ks: bench.Ints) -> bench.CellTokenTransforms:
        order = permutations(hashed(seed, items[:, None], np.arange(1, len(IMAGES)))) + 1
        images = np.where(ks == 0, 0, order[np.arange(len(ks)), ks - 1])
        return bench.CellTokenTransforms(IMAGES[images], np.tile(np.arange(3, dtype=np.uint8), (len(ks), 1)))


def valid(_: bench.TaskInfo, puzzles: bench.PuzzleSet, given: bench.Predictions) -> list[bench.Sample]:
    """1 where each cell is dead or alive and the next generation is the question."""
    reached = step(given.tokens == ALIVE) == (puzzles.inputs == ALIVE)
    right = reached.all(1) & np.isin(given.tokens, (DEAD, ALIVE)).all(1)
    rows = zip(puzzles.ids.tolist(), puzzles.clusters.tolist(), right, reached.mean(1), strict=True)
    return [bench.Sample(item, of, float(ok), {"reached": float(share)}) for item, of, ok, share in rows]


@bench.hookimpl
def trm_bench_register_tasks() -> list[bench.TaskSpec]:
    return [
        bench.TaskSpec(
            name="life-back",
            summary="Conway's Game of Life one step back, on a torus",
            version=1,
            scales={"mini": bench.Scale("mini", "6×6; 1000 train, 200 validation, 500 test", 2000, 32, 288)},
            build=build,
            augmentation=lambda request: Torus(),
            evaluators=("life-valid", "exact", "cells"),
            primary="life-valid",
            options=("density",),
            symbols=("", "·", "■"),
            api_version="1.0",
        )
    ]


@bench.hookimpl
def trm_bench_register_evaluators() -> list[bench.EvaluatorSpec]:
    summary = "the next generation of the prediction is the question"
    return [bench.EvaluatorSpec("life-valid", summary, valid, ("life-back",), "valid %", api_version="1.0")]

"""Generated mazes: numbered chunks of draws, worked off by threads and taken in order.

Owns the order, the refusal of repeats and the number of workers, which changes nothing but the
time: chunk c of seed s holds the same mazes on every machine. What is drawn is `hard`, `small` and `tree`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ...harness.api.cores import available_cores
from ...harness.api.errors import DataError
from ...harness.api.puzzles import Tokens
from ...harness.api.randomness import named_seed
from ...harness.api.specs import Progress, no_progress
from .dice import Dice, new_dice
from .grid import solve_all
from .hard import draw_hard
from .scales import (
    HARD,
    HARD_CAP,
    HARD_WALLS,
    MINI,
    MINI_WALL_SHARE,
    SMALL,
    SMALL_WALLS,
    UNIQUE_SHAPES,
    Shape,
)
from .small import draw_small
from .symmetry import canonical_walls
from .tree import draw_trees

Draw = Callable[[Dice, Shape], Tokens]
"""Advances the dice through one chunk and returns the questions (K, L) that were kept."""

_HARD_DRAWS = 4096
_MINI_DRAWS = 16_384
_TREE_DRAWS = 64
_PATIENCE = 200
"""Chunks in a row without a new maze after which there are none left to find."""


def _draw_hard_chunk(dice: Dice, shape: Shape) -> Tokens:
    kept: Tokens = draw_hard(dice, _HARD_DRAWS, shape.side, shape.min_moves, *HARD_WALLS, HARD_CAP)
    return kept


def _draw_half_chunk(dice: Dice, shape: Shape) -> Tokens:
    kept: Tokens = draw_hard(dice, _HARD_DRAWS, shape.side, shape.min_moves, *SMALL_WALLS, HARD_CAP)
    return kept


def _draw_mini_chunk(dice: Dice, shape: Shape) -> Tokens:
    kept: Tokens = draw_small(dice, _MINI_DRAWS, shape.side, shape.min_moves, MINI_WALL_SHARE)
    return kept


def _draw_tree_chunk(dice: Dice, shape: Shape) -> Tokens:
    kept: Tokens = draw_trees(
        dice, _TREE_DRAWS, shape.side, shape.min_moves, shape.max_moves, shape.depth_first
    )
    return kept


DRAWS: dict[tuple[str, int], Draw] = {
    (HARD.task, HARD.side): _draw_hard_chunk,
    (SMALL.task, SMALL.side): _draw_half_chunk,
    (MINI.task, MINI.side): _draw_mini_chunk,
    **{(shape.task, shape.side): _draw_tree_chunk for shape in UNIQUE_SHAPES.values()},
}
"""By task and side."""


def generate(
    shape: Shape, seed: int, count: int, *, workers: int | None = None, progress: Progress = no_progress
) -> tuple[Tokens, Tokens]:
    """The first ``count`` mazes of a seed, as questions and answers (count, L).

    No two share a wall map, also not after a turn or a reflection. The first n of a larger
    ``count`` are the mazes of ``count=n``. ``workers`` is the number of threads, by default the
    number of processors this process may use; it does not change the result.

    Raises:
        DataError: if the mazes of this shape seem to have run out.
    """
    found: list[Tokens] = []
    keys: set[bytes] = set()
    barren = 0
    for chunk in _chunks(shape, seed, workers or available_cores()):
        before = len(found)
        for question, key in zip(chunk, canonical_walls(chunk, shape.side).tolist(), strict=True):
            if key not in keys and len(found) < count:
                keys.add(key)
                found.append(question)
        progress(len(found), count, "mazes")
        if len(found) == count:
            break
        barren = barren + 1 if len(found) == before else 0
        if barren == _PATIENCE:
            raise DataError(f"only {before} different {shape.side}x{shape.side} mazes found, not {count}")
    questions = np.stack(found)
    return questions, solve_all(questions, shape.side, shape.side)


def _chunks(shape: Shape, seed: int, workers: int) -> Iterator[Tokens]:
    """The chunks of a seed in order, a few of them worked on ahead."""
    waiting: deque[Future[Tokens]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for number in itertools.count():
                dice = new_dice(named_seed(shape.task, "chunk", shape.side, seed, number))
                waiting.append(pool.submit(DRAWS[shape.task, shape.side], dice, shape))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

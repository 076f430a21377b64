"""The sizes of both maze tasks: how large, how hard and how many mazes, and the budget to train on them.

Every number that may be tuned is here. Nothing here imports numba.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...harness.api.specs import Scale

CHARSET = "# SGo"
"""The characters of tokens 1 to 5; token 0 is padding."""
WALL, OPEN, START, GOAL, PATH = 1, 2, 3, 4, 5
VOCAB_SIZE = 1 + len(CHARSET)

VERSION, UNIQUE_VERSION = 1, 2
"""Versions of the tasks' generators; one goes up whenever the same seed would give other mazes."""

HARD_NAME, UNIQUE_NAME = "maze-hard", "maze-unique"


@dataclass(frozen=True)
class Shape:
    """Shape and number of a scale's mazes.

    Attributes:
        side: cells along one side.
        min_moves: the shortest path has at least this many moves.
        train: generated training puzzles.
        validation: generated validation puzzles.
        test: generated test puzzles.
        task: name of the task that draws them.
        max_moves: the path has at most this many moves; None for no limit.
        version: of the generator.
        depth_first: for a tree, whether it is drawn by depth-first search, and not by Wilson's algorithm.
    """

    side: int
    min_moves: int
    train: int
    validation: int
    test: int
    task: str = HARD_NAME
    max_moves: int | None = None
    version: int = VERSION
    depth_first: bool = False

    def at_most(self, count: int | None) -> Shape:
        """The same with no more than ``count`` puzzles in a split."""
        if count is None:
            return self
        train, validation, test = (min(count, split) for split in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)

    @property
    def total(self) -> int:
        """Puzzles of all three splits."""
        return self.train + self.validation + self.test


MINI = Shape(side=5, min_moves=6, train=1000, validation=200, test=500)
MINI_WALL_SHARE = 0.35

SMALL = Shape(side=15, min_moves=28, train=1000, validation=200, test=500)
SMALL_WALLS = (60, 105)
"""As `HARD_WALLS`, for a quarter of the cells; ``min_moves`` is a quarter, too."""

HARD = Shape(side=30, min_moves=109, train=1000, validation=100, test=1000)
HARD_WALLS = (240, 420)
"""Fewest and most walls of a generated 30x30 maze; the official 2000 have 249 to 405."""
HARD_CAP = 0.05
"""Wall maps with a larger share of qualifying pairs are all kept alike, see `hard`."""

SHAPES = {"mini": MINI, "small": SMALL, "lite": HARD, "paper": HARD}

SCALES = {
    "mini": Scale(
        name="mini",
        summary="5x5, 35 % walls, at least 6 moves, one shortest path; 1000 train, 200 validation, 500 test",
        steps=1200,
        batch_size=32,
        augmentations=1,
        takes="a run takes minutes on two CPU cores",
    ),
    "small": Scale(
        name="small",
        summary="15x15, at least 28 moves, drawn as the 30x30 ones; 1000 train, 200 validation, 500 test",
        steps=6_000,
        batch_size=32,
        augmentations=1,
        takes="a run takes about an hour on one CPU core with bf16 instructions, several hours on others",
    ),
    "lite": Scale(
        name="lite",
        summary="30x30, at least 109 moves; 1000 train, 100 validation, 1000 test",
        steps=20_000,
        batch_size=128,
        augmentations=1,
        takes="a run takes hours on a GPU",
    ),
    "paper": Scale(
        name="paper",
        summary="30x30, at least 109 moves, with the papers' budget: the official mazes",
        steps=65_104,
        batch_size=768,
        augmentations=1,
        takes="a run takes days on a GPU",
        source="hub",
    ),
}

UNIQUE = Shape(
    side=30,
    min_moves=100,
    train=1000,
    validation=100,
    test=1000,
    task=UNIQUE_NAME,
    max_moves=140,
    version=UNIQUE_VERSION,
    depth_first=True,
)
"""As published, see `depth_first`."""
UNIQUE_SMALL = replace(UNIQUE, side=15, min_moves=30, max_moves=41, validation=200, test=500)
"""Its lengths have the same ratio to the median diameter of a tree."""
UNIQUE_MINI = replace(UNIQUE_SMALL, side=7, min_moves=16, max_moves=22, depth_first=False)
"""Inside a border 7x7 has 3x3 rooms, with too few trees. The ratio is higher than that of the larger ones."""

UNIQUE_SHAPES = {"mini": UNIQUE_MINI, "small": UNIQUE_SMALL, "lite": UNIQUE, "paper": UNIQUE}

UNIQUE_SCALES = {
    "mini": Scale(
        name="mini",
        summary="7x7, one path of 16 to 22 moves; 1000 train, 200 validation, 500 test",
        steps=800,
        batch_size=32,
        augmentations=1,
        takes="a run takes minutes on two CPU cores",
    ),
    "small": Scale(
        name="small",
        summary="15x15, one path of 30 to 41 moves; 1000 train, 200 validation, 500 test",
        steps=6_000,
        batch_size=32,
        augmentations=1,
        takes="a run takes about an hour on one CPU core with bf16 instructions, several hours on others",
    ),
    "lite": Scale(
        name="lite",
        summary="30x30, one path of 100 to 140 moves; 1000 train, 100 validation, 1000 test",
        steps=20_000,
        batch_size=128,
        augmentations=1,
        takes="a run takes hours on a GPU",
    ),
    "paper": Scale(
        name="paper",
        summary="30x30, one path of 100 to 140 moves, with the budget of the EqR paper",
        steps=None,
        epochs=100_000,
        batch_size=768,
        augmentations=1,
        takes="a run takes days on a GPU",
    ),
}

"""The sizes of the ARC tasks and the budget to train on them. Every number that may be tuned is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...harness.api.specs import Scale
from .grids import MAX_SIDE

VERSION = 2
"""Goes up whenever the same request would give other puzzles, or train on them for longer or shorter."""


@dataclass(frozen=True)
class Shape:
    """Which tasks of a benchmark a scale takes.

    Attributes:
        side: cells along a side of the canvas, and the largest side of a grid.
        held_out: training tasks whose test pairs are the validation split.
        stand_ins: training tasks used as evaluation tasks in addition to the real ones, where too few of
            those are small enough; they are taken out of the training tasks.
    """

    side: int
    held_out: int
    stand_ins: int = 0


FULL = Shape(side=MAX_SIDE, held_out=40)
SHAPES: Mapping[str, Mapping[str, Shape]] = {
    "arc-agi-1": {"mini": Shape(side=6, held_out=40, stand_ins=17), "lite": FULL, "paper": FULL},
    "arc-agi-2": {"mini": Shape(side=6, held_out=40, stand_ins=30), "lite": FULL, "paper": FULL},
}

_LITE = Scale(
    name="lite",
    summary="all tasks on the 30x30 canvas",
    steps=20_000,
    batch_size=256,
    augmentations=100,
    votes=100,
    takes="a run takes days on a GPU",
)
_PAPER = Scale(
    name="paper",
    summary="all tasks on the 30x30 canvas with the papers' budget",
    steps=None,
    epochs=100_000,  # as in the commands of the HRM and TRM repositories
    batch_size=768,
    augmentations=1000,
    votes=1000,
    takes="a run takes weeks on a GPU",
)


def _scales(mini: str) -> Mapping[str, Scale]:
    """The scales of a benchmark; ``mini`` says which tasks its smallest one has."""
    small = Scale(
        name="mini",
        summary=f"{mini} whose grids are at most 6x6",
        steps=1500,
        batch_size=32,
        augmentations=8,
        votes=8,
        takes="a run takes minutes on two CPU cores",
    )
    return {"mini": small, "lite": _LITE, "paper": _PAPER}


SCALES: Mapping[str, Mapping[str, Scale]] = {
    "arc-agi-1": _scales("evaluation tasks, joined by 17 training tasks,"),
    "arc-agi-2": _scales("30 training tasks, in place of evaluation tasks,"),
}

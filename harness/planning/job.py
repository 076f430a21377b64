"""Runs that are planned, and what a process needs to carry them out. Nothing is run here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..data.prepare import Prepared
from ..store.records import CellIdentity, Manifest
from ..training.checkpoint import Interval


@dataclass(frozen=True)
class StoredWeights:
    """Weights on disk, and what is known of their training.

    Attributes:
        file: in any of the forms that `weights.read_weights` reads.
        sha256: of the file.
        origin: the manifest of the cell that trained them; None for weights from elsewhere.
    """

    file: Path
    sha256: str
    origin: Manifest | None = None


@dataclass(frozen=True)
class CellJob:
    """Everything that a process needs to run one cell; can be pickled.

    Attributes:
        plan: the cell.
        output: the folder of its study.
        stored: weights that are evaluated instead of being trained.
        deeper: further cells that the same pass over the test split fills: the same but for their depth.
        interval: when training sets itself down.
        fresh: whether to start anew where there is a checkpoint to go on from.
    """

    plan: CellPlan
    output: Path
    prepared: Prepared
    not_citable_because: tuple[str, ...]
    command: tuple[str, ...]
    stored: StoredWeights | None = None
    deeper: tuple[CellPlan, ...] = ()
    interval: Interval = field(default_factory=Interval)
    fresh: bool = False

    @property
    def plans(self) -> tuple[CellPlan, ...]:
        """Every cell of the job."""
        return (self.plan, *self.deeper)


@dataclass(frozen=True)
class CellPlan:
    """One cell to be run: a model, a seed, and the name of its folder."""

    name: str
    asked: str
    identity: CellIdentity
    notes: tuple[str, ...] = ()

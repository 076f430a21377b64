"""Runs that are planned, and what a process needs to carry them out. Nothing is run here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..data.prepare import Prepared
from ..store.records import Description, Manifest, PartIdentity, RunIdentity
from ..training.config import ExecutionConfig
from ..training.gpus import Gpu


@dataclass(frozen=True)
class PlannedRun:
    """A run to be carried out: one model, one seed.

    Attributes:
        name: of its folder.
        scored_by: the evaluators, the task's own first.
        notes: to print under the table.
        reasons: why the run may not be cited.
    """

    name: str
    identity: RunIdentity
    description: Description
    scored_by: tuple[PartIdentity, ...]
    notes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredWeights:
    """Weights on disk, and what is known of their training.

    Attributes:
        file: in any of the forms that `weights.files.read_weights` reads.
        sha256: of the file.
        tensors: checksum of the tensors by our names (`store.tensors`), which is what weights are identified
            by; of external weights it is known when their model is.
        origin: the manifest of the run that trained them; None for external weights.
        key: of the weights in the file, where ``--weights-key`` names one.
    """

    file: Path
    sha256: str
    tensors: str = ""
    origin: Manifest | None = None
    key: str | None = None


@dataclass(frozen=True)
class Job:
    """The work of one process: train one model, or load weights, then evaluate. Can be pickled.

    Attributes:
        runs: the runs that it fills. Several differ in evaluation depth alone and share one pass over the
            test split, the shallowest first.
        prepared: the puzzles.
        stored: weights to evaluate instead of training.
        folder: output folder of the runs.
        command: what the user typed, for the manifest.
        fresh: whether to start from scratch where there is a checkpoint.
        queued: whether a batch system carries it out, which may continue it after an interruption.
        gpu: the one that its process sees; None where it sees what its parent sees.
        memory: bytes that it may use; None for what is free on its device when it starts.
    """

    runs: tuple[PlannedRun, ...]
    prepared: Prepared
    execution: ExecutionConfig
    stored: StoredWeights | None = None
    folder: Path = Path()
    command: tuple[str, ...] = ()
    fresh: bool = False
    queued: bool = False
    gpu: Gpu | None = None
    memory: int | None = None

    @property
    def run(self) -> PlannedRun:
        """The first run, which names the job."""
        return self.runs[0]

"""Files of a run: its manifest, and one record per test item."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..api.budget import Budget, Ledger
from ..api.embedding_rows import PuzzleIds
from ..api.rollouts import Rollouts

SCHEMA_VERSION = 3
"""Version of `manifest.json` and `samples.jsonl.gz`; a file of another version is refused."""


ScoredSplit = Literal["test", "validation"]
"""The puzzles that a run may be scored on."""


class Status(StrEnum):
    """How a run fared."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Frozen(BaseModel):
    """A record that is never changed, and whose every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PartIdentity(Frozen):
    """A plugin's part: which code a run depends on."""

    kind: str
    name: str
    distribution: str
    version: str
    code: str | None = Field(None, description="SHA-256 of the plugin's sources; None for parts of trm-bench")

    @property
    def full_name(self) -> str:
        """``distribution:name``."""
        return f"{self.distribution}:{self.name}"


class RunIdentity(Frozen):
    """Everything that the numbers of a run depend on; its hash names the run's folder."""

    procedure: int = Field(description="version of the training procedure")
    task_version: int
    scale: str
    fingerprints: dict[str, str] = Field(description="of the puzzles, by split")
    task_seed: int
    split: ScoredSplit = Field("test", description="the puzzles that the run is scored on")
    limit: int | None = Field(None, description="items of that split that were requested with --limit")
    architecture: dict[str, Any]
    training: dict[str, Any]
    budget: Budget | None = Field(description="None for external weights: it is unknown here")
    weights: str | None = Field(None, description="checksum of external weights' tensors; None for ours")
    trained: dict[str, Any] | None = Field(
        None, description="what our weights were trained with, where it is not what is said here"
    )
    votes: int | None = Field(None, description="most predictions for a test item; None for a single one")
    puzzle_ids: PuzzleIds = Field(PuzzleIds.OWN, description="puzzle-embedding rows at evaluation")
    steps: int | None = Field(
        None, description="supervision steps at evaluation; None for the trained number"
    )
    rollouts: Rollouts | None = Field(
        None, description="several answers per puzzle; None: one, without noise"
    )
    halting: bool = Field(False, description="whether a puzzle stops when the model's own rule says stop")
    seed: int
    device: str
    threads: int
    deterministic: bool
    parts: list[PartIdentity] = Field(description="the task and the model")

    def part(self, kind: str) -> PartIdentity:
        """The task or the model of the run."""
        return next(part for part in self.parts if part.kind == kind)


NO_WEIGHTS = "none"
"""`Manifest.weights` of a model that is not trained."""


class Description(Frozen):
    """Facts about a run that change none of its numbers."""

    requested: str = Field(description="the model as the user wrote it, and after @ how it was evaluated")
    model: str = Field(description="the model that it resolves to, with the options that change something")
    display_name: str = Field(description="what tables call the model")
    primary: str = Field(description="name of the evaluator that the table compares")
    headings: dict[str, str] = Field({}, description="of the evaluators' columns, where they have any")
    cluster: str = Field(description="what a group of dependent test items is called")
    cells: int = Field(description="L, cells of one puzzle")
    supervision_steps: int = Field(description="N_sup of the model")
    source_kind: str
    source: str = Field(description="where the puzzles come from, one line")
    files: list[dict[str, Any]] = Field([], description="files that the puzzles were read from")
    source_notes: list[str] = []
    counts: dict[str, int] = Field(description="puzzles by split")
    task_options: dict[str, Any] = Field({}, description="the task's own settings that built the puzzles")
    margin: float | None = Field(None, description="declared differences that do not matter, 0 to 1")
    baseline: str = Field("", description="the model, as requested, that the others are compared with")
    looks: list[int] = Field([], description="seeds at which looks at the results were planned")
    api_versions: dict[str, str] = Field({}, description="of the plugin interface, by part")
    plugin_files: dict[str, str] = Field({}, description="file of each part that no distribution installed")


class Manifest(Frozen):
    """`manifest.json`: what was run, with what, how it went, and whether it may be cited."""

    schema_version: int = SCHEMA_VERSION
    status: Status
    run: str = Field(description="name of the run's folder")
    identity: RunIdentity
    description: Description
    execution: dict[str, Any] = Field({}, description="how it was carried out, see `ExecutionConfig`")
    ledger: Ledger = Ledger()
    scored_by: list[PartIdentity] = Field(
        [], description="the evaluators; no part of the identity, since more can be added to a finished run"
    )
    citable: bool
    not_citable_because: list[str] = []
    notes: list[str] = Field([], description="notes to print under the table")
    started: str
    finished: str | None = None
    command: list[str] = []
    environment: dict[str, Any] = {}
    code: dict[str, Any] = {}
    resumed: list[int] = Field([], description="optimiser steps at which training was resumed")
    weights: str = Field("final", description="which weights were evaluated")
    weights_sha256: str = Field("", description="of the file of those weights")
    tensors_sha256: str = Field("", description="of their tensors, whatever file holds them")
    weights_file: str = Field("", description="where stored weights were read from")
    validation: list[dict[str, float]] = Field(
        [], description="the validation curve; nothing was chosen by it"
    )
    samples: int = 0
    samples_sha256: str = ""
    predictions_sha256: str = ""
    error: str | None = None
    trace: str | None = None

    @property
    def evaluators(self) -> list[str]:
        """Names of the evaluators, in the order of their columns."""
        return [part.name for part in self.scored_by]

    @property
    def evaluation(self) -> str:
        """How stored weights were evaluated, e.g. ``steps=32``; empty for the evaluation after training."""
        return self.description.requested.partition(" @ ")[2]


class Record(Frozen):
    """One line of `samples.jsonl.gz`: one test item, scored by every evaluator.

    ``scores`` is by evaluator; ``extras`` by ``evaluator.key``, ``puzzle.feature``, and ``steps`` and
    ``halt_step`` of the inference.
    """

    item: str
    cluster: str
    scores: dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]
    extras: dict[str, float] = {}

"""What a cell leaves behind: its manifest and one record per test item."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ..api.budget import Budget, Ledger
from ..api.embedding_rows import PuzzleIds

SCHEMA_VERSION = 1
"""Version of `manifest.json` and `samples.jsonl.gz`; a file of another version is refused."""


class Status(StrEnum):
    """How a cell fared."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataRecord(_Frozen):
    """Which puzzles a cell was trained and tested on."""

    kind: str
    summary: str
    files: list[dict[str, Any]] = []
    notes: list[str] = []
    fingerprints: dict[str, str]
    counts: dict[str, int]
    task_seed: int
    limit: int | None = Field(None, description="test items that were asked for with --limit")
    cluster: str = Field("cluster", description="what a group of test items that depend on one another is")


class PartRecord(_Frozen):
    """A plugin's part and where it came from."""

    kind: str
    name: str
    distribution: str
    version: str
    api_version: str | None = Field(None, description="None in results older than the field")
    file: str | None = Field(None, description="name of the file, for a part that no distribution installed")
    code: str | None = Field(
        None, description="SHA-256 of its package's sources; None for parts of trm-bench"
    )


class CellIdentity(_Frozen):
    """Everything that a cell's numbers depend on; its hash names the cell's folder."""

    task: str
    task_version: int
    scale: str
    cells: int = Field(description="L, cells of one puzzle")
    primary: str
    evaluators: list[str]
    model: str
    architecture: dict[str, Any]
    training: dict[str, Any]
    budget: Budget | None = Field(description="None for weights from elsewhere: nobody here knows it")
    votes: int | None = Field(None, description="most answers to a test item; None for a single one")
    puzzle_ids: PuzzleIds = Field(PuzzleIds.OWN, description="puzzle-embedding rows at evaluation")
    steps: int | None = Field(
        None, description="supervision steps at evaluation; None for the trained number"
    )
    halting: bool = Field(False, description="whether a puzzle stops when the model's own rule says so")
    weights: str | None = Field(None, description="SHA-256 of weights from elsewhere; None for ours")
    margin: float | None = Field(None, gt=0, description="differences that do not matter, declared; 0 to 1")
    data: DataRecord
    seed: int
    device: str
    threads: int
    deterministic: bool
    parts: list[PartRecord]


class Manifest(_Frozen):
    """`manifest.json`: what was run, with what, how it went, and whether it may be cited."""

    schema_version: int = SCHEMA_VERSION
    status: Status
    cell: str = Field(description="name of the cell's folder")
    asked: str = Field(description="the model as the user wrote it")
    identity: CellIdentity
    ledger: Ledger = Ledger()
    citable: bool
    not_citable_because: list[str] = []
    notes: list[str] = Field([], description="what must be said beside the row")
    started: str
    finished: str | None = None
    command: list[str] = []
    environment: dict[str, Any] = {}
    code: dict[str, Any] = {}
    resumed: list[int] = Field([], description="optimiser steps at which training went on after a stop")
    weights: str = Field("final", description="which weights answered the test split")
    weights_sha256: str = Field("", description="of the file of those weights")
    weights_file: str = Field("", description="where stored weights were read from")
    validation: list[dict[str, float]] = Field(
        [], description="the validation curve; nothing was chosen by it"
    )
    samples: int = 0
    samples_sha256: str = ""
    error: str | None = None
    trace: str | None = None


class Answer(_Frozen):
    """One test item as a cell answered it, token codes row by row, for figures."""

    item: str
    question: list[int]
    target: list[int]
    answer: list[int]


class Answers(_Frozen):
    """`answers.json`: the first few test items of a cell.

    ``symbols`` stand for the token codes; empty for the codes themselves.
    """

    height: int
    width: int
    symbols: list[str]
    answers: list[Answer]


class Record(_Frozen):
    """One line of `samples.jsonl.gz`: one test item, scored by every evaluator.

    ``scores`` is by evaluator; ``extras`` by ``evaluator.key``, and ``steps`` and ``halt_step``
    of the inference.
    """

    item: str
    cluster: str
    scores: dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]
    extras: dict[str, float] = {}

"""Result folders made by hand, for the tests of reports."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trm_bench.harness.api.budget import Budget
from trm_bench.harness.api.predictions import Predictions
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo
from trm_bench.harness.host.host import OWN_DISTRIBUTION, Host, find_entry_points
from trm_bench.harness.planning.identity import run_name
from trm_bench.harness.report.build import build_report
from trm_bench.harness.report.read import read_folders
from trm_bench.harness.report.table import Pair, Report, Row, Table
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.predictions import pack_predictions
from trm_bench.harness.store.records import (
    Description,
    Manifest,
    PartIdentity,
    Record,
    RunIdentity,
    Status,
)
from trm_bench.harness.store.requests import RequestedRun, write_requested

GOLDEN = Path(__file__).parent.parent / "golden"
REPORTERS = Host([found for found in find_entry_points() if found.distribution == OWN_DISTRIBUTION]).reporters
ITEMS = 40
INCOMPLETE = "incomplete: not every requested seed is done"
Change = Callable[[RunIdentity], RunIdentity]
Describe = Callable[[Description], Description]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def report_of(*folders: Path) -> Report:
    return build_report(read_folders(folders))


def render(report: Report, reporter: str = "text") -> str:
    return REPORTERS.get(reporter).spec.render(report)


def printed(report: Report, heading: str = "") -> dict[str, dict[str, str]]:
    """A grid of the report as printed: cells by row and header. The first grid has no heading."""
    blocks = render(report, "markdown").split("\n\n")
    start = f"**{heading}" if heading else "|"
    at = next(place for place, block in enumerate(blocks) if block.startswith(start))
    lines = blocks[at + bool(heading)].splitlines()
    headers, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {row[0]: dict(zip(headers, row, strict=True)) for row in rows}


def solved(seed: int, *shares: float, items: int = ITEMS) -> np.ndarray:
    """Scores (S, I) of 0 and 1; one share of solved items for each training seed."""
    difficulty = np.random.default_rng(99).random(items)
    noise = np.random.default_rng(seed).normal(0, 0.1, (len(shares), items))
    return (np.asarray(shares)[:, None] + noise > difficulty).astype(float)


def clusters_of(size: int, items: int = ITEMS) -> np.ndarray:
    return np.array([f"c{row // size}" for row in range(items)])


def same(identity: RunIdentity) -> RunIdentity:
    return identity


def write_run(
    folder: Path,
    model: str,
    seed: int,
    scores: Sequence[float] | np.ndarray,
    *,
    cells: Sequence[float] | None = None,
    clusters: Sequence[str] | None = None,
    order: Sequence[int] | None = None,
    halt_step: float = 1,
    change: Change = same,
    describe: Describe = lambda description: description,
    requested: str = "",
    status: Status = Status.DONE,
    name: str = "",
    **more: Any,
) -> str:
    """Write one run as a run would, and give its name; ``name`` is another one for its folder."""
    of_model = with_part("model", name=model.partition("[")[0])
    variant = {"hidden": 48, "options": model} if "[" in model else {"hidden": 48}
    identity = change(of_model(IDENTITY).model_copy(update={"seed": seed, "architecture": variant}))
    named = {"model": model, "requested": requested or model, "display_name": model}
    description = describe(DESCRIPTION.model_copy(update=named))
    called = run_name(model, identity)
    what = manifest(run=called, identity=identity, description=description, **more)
    run = RunFolder(folder / (name or called))
    run.folder.mkdir(parents=True, exist_ok=True)
    if status is not Status.DONE:
        run.write_manifest(what.model_copy(update={"status": status}))
        return called
    second = scores if cells is None else cells
    records = [
        Record(
            item=f"p{row}",
            cluster=clusters[row] if clusters is not None else f"p{row}",
            scores={"exact": scores[row], "cells": second[row]},
            extras={"steps": 6, "halt_step": halt_step, "cells.copy": 0.25},
        )
        for row in (range(len(scores)) if order is None else order)
    ]
    run.finish(what, records, predictions_of(len(records)))
    return called


def predictions_of(count: int, value: int = 1) -> bytes:
    """The predictions of a run for boards of two by two cells, all of them ``value``; solutions are all 1."""
    boards = np.ones((count, 4), np.uint8)
    test = PuzzleSet.single_identity(boards, boards, [f"p{row}" for row in range(count)])
    answers = Predictions(np.full_like(boards, value), 6, np.ones(count, np.int64), np.full(count, np.nan))
    return pack_predictions(answers, TaskInfo("made", "mini", 2, 2, 3), ".ab", test)


def write_model(folder: Path, model: str, scores: np.ndarray, **more: Any) -> list[str]:
    """Write one run for each row of ``scores``; training seeds are 0, 1, …"""
    return [write_run(folder, model, seed, row, **more) for seed, row in enumerate(scores)]


def request(folder: Path, names: Sequence[str]) -> None:
    """Say which runs were requested; a run's name holds its model and seed."""
    parts = [(name, *re.fullmatch(r"(.+)-s(\d+)-.*", name).groups()) for name in names]  # type: ignore[union-attr]
    write_requested(
        folder,
        [RequestedRun(run=name, model=model, requested=model, seed=int(seed)) for name, model, seed in parts],
    )


def only_table(report: Report) -> Table:
    (table,) = report.tables
    return table


def row_of(report: Report, model: str) -> Row:
    (row,) = [row for table in report.tables for row in table.rows if row.name == model]
    return row


def pair_of(report: Report, a: str, b: str) -> Pair:
    (pair,) = [pair for table in report.tables for pair in table.pairs if {pair.a, pair.b} == {a, b}]
    return pair


TRM, HRM, PLAIN = solved(1, 0.9, 0.92, 0.88), solved(2, 0.4, 0.5, 0.45), solved(3, 0.45, 0.4, 0.45)


def three_models(folder: Path, **more: Any) -> list[str]:
    names = [
        name
        for model, scores in (("trm-mlp", TRM), ("hrm", HRM), ("plain", PLAIN))
        for name in write_model(folder, model, scores, **more)
    ]
    request(folder, names)
    return names


def other(**changes: Any) -> Change:
    """Another identity."""
    assert changes.keys() <= RunIdentity.model_fields.keys()
    return lambda identity: identity.model_copy(update=changes)


def with_part(kind: str, **changes: str) -> Change:
    """Another task or another model."""

    def change(identity: RunIdentity) -> RunIdentity:
        parts = [part.model_copy(update=changes) if part.kind == kind else part for part in identity.parts]
        return identity.model_copy(update={"parts": parts})

    return change


def on_task(name: str, scale: str = "mini") -> Change:
    change = with_part("task", name=name)
    return lambda identity: change(identity).model_copy(update={"scale": scale})


def described(**changes: Any) -> Describe:
    """Another description."""
    assert changes.keys() <= Description.model_fields.keys()
    return lambda description: description.model_copy(update=changes)


IDENTITY = RunIdentity(
    procedure=1,
    task_version=1,
    scale="mini",
    fingerprints={"train": "aa", "validation": "bb", "test": "cc"},
    task_seed=0,
    architecture={"hidden": 48},
    training={"lr": 0.001},
    budget=Budget(amount=100, batch_size=8, augmentations=1),
    seed=0,
    device="cpu",
    threads=1,
    deterministic=True,
    parts=[
        PartIdentity(kind=kind, name=name, distribution="trm-bench", version="1.0")
        for kind, name in (
            ("task", "made"),
            ("model", "trm-mlp"),
        )
    ],
)
SCORED_BY = [
    PartIdentity(kind="evaluator", name=name, distribution="trm-bench", version="1.0")
    for name in ("exact", "cells")
]
DESCRIPTION = Description(
    requested="trm",
    model="trm-mlp",
    display_name="",
    primary="exact",
    headings={"exact": "solved %", "cells": "cell acc. %"},
    cluster="item",
    cells=4,
    supervision_steps=6,
    source_kind="generated",
    source="generated v1, seed 0",
    counts={"train": 20, "validation": 4, "test": 8},
)


def manifest(**changes: Any) -> Manifest:
    """A manifest of a run that has just begun, but for ``changes``."""
    values: dict[str, Any] = {
        "status": Status.RUNNING,
        "run": "trm-mlp-s0-0123abcd",
        "identity": IDENTITY,
        "description": DESCRIPTION,
        "scored_by": SCORED_BY,
        "citable": True,
        "started": "2026-01-01T00:00:00+00:00",
    }
    return Manifest(**{**values, **changes})

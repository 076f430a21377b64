"""Result folders made by hand, for the tests of reports."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_store import IDENTITY, manifest
from trm_bench.harness.host.host import OWN_DISTRIBUTION, Host, find_entry_points
from trm_bench.harness.report.table import Pair, Report, Row, Table
from trm_bench.harness.store.folders import Cell
from trm_bench.harness.store.records import CellIdentity, Record, Status
from trm_bench.harness.store.requests import Requested, write_requests

GOLDEN = Path(__file__).parent / "golden"
REPORTERS = Host([found for found in find_entry_points() if found.distribution == OWN_DISTRIBUTION]).reporters
ITEMS = 40
INCOMPLETE = "incomplete: not every requested seed is done"
Change = Callable[[CellIdentity], CellIdentity]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait neither for the disk nor for the garbage that statsmodels collects in every call of Holm."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(gc, "collect", lambda: 0)


def render(report: Report, reporter: str = "text") -> str:
    return REPORTERS.get(reporter).spec.render(report)


def solved(seed: int, *shares: float, items: int = ITEMS) -> np.ndarray:
    """Scores (S, I) of 0 and 1; one share of solved items for each training seed."""
    difficulty = np.random.default_rng(99).random(items)
    noise = np.random.default_rng(seed).normal(0, 0.1, (len(shares), items))
    return (np.asarray(shares)[:, None] + noise > difficulty).astype(float)


def clusters_of(size: int, items: int = ITEMS) -> np.ndarray:
    return np.array([f"c{row // size}" for row in range(items)])


def same(identity: CellIdentity) -> CellIdentity:
    return identity


def write_cell(
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
    status: Status = Status.DONE,
    tag: str = "00000000",
    **more: Any,
) -> str:
    """Write one cell as a run would, and give the name of its folder."""
    name = f"{model}-s{seed}-{tag}"
    identity = change(IDENTITY.model_copy(update={"model": model, "seed": seed}))
    what = manifest(**{"cell": name, "asked": model, "identity": identity, **more})
    cell = Cell(folder / name)
    cell.folder.mkdir(parents=True, exist_ok=True)
    if status is not Status.DONE:
        cell.write_manifest(what.model_copy(update={"status": status}))
        return name
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
    cell.finish(what, records)
    return name


def write_model(folder: Path, model: str, scores: np.ndarray, **more: Any) -> list[str]:
    """Write one cell for each row of ``scores``; training seeds are 0, 1, …"""
    return [write_cell(folder, model, seed, row, **more) for seed, row in enumerate(scores)]


def request(folder: Path, names: Sequence[str]) -> None:
    """Say which cells a run asked for; a cell's name holds its model and seed."""
    parts = [(name, *re.fullmatch(r"(.+)-s(\d+)-.*", name).groups()) for name in names]  # type: ignore[union-attr]
    write_requests(
        folder,
        [Requested(cell=name, model=model, asked=model, seed=int(seed)) for name, model, seed in parts],
    )


def only_table(report: Report) -> Table:
    (table,) = report.tables
    return table


def row_of(report: Report, model: str) -> Row:
    (row,) = [row for table in report.tables for row in table.rows if row.model == model]
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


def data(**changes: Any) -> Change:
    def change(identity: CellIdentity) -> CellIdentity:
        return identity.model_copy(update={"data": identity.data.model_copy(update=changes)})

    return change


def other(**changes: Any) -> Change:
    return lambda identity: identity.model_copy(update=changes)

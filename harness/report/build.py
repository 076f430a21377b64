"""Read result folders and compute their report from the records alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..budget import Ledger
from ..errors import NothingToReport
from ..records import Manifest, Status
from ..stats import (
    Difference,
    ItemScores,
    Kind,
    McNemar,
    Verdict,
    align,
    cell_interval,
    cluster_means,
    crossed_test,
    holm,
    mcnemar,
    minimum_detectable,
    stack,
    verdict,
)
from ..store import Cell, DamagedResult, Output
from .table import Pair, Report, Row, SeedResult, Table

REQUESTS = "requests.json"
INCOMPLETE = "incomplete: not every requested seed is done"


@dataclass(frozen=True)
class _Run:
    """A cell as found on disk."""

    cell: str
    manifest: Manifest
    order: int
    records: list[dict[str, object]] | None
    status: str
    reason: str


def build_report(folders: Sequence[Path]) -> Report:
    """Every table of the given output folders (or cell folders).

    Raises:
        NothingToReport: no finished cell in any of them.
    """
    runs: list[_Run] = []
    problems: list[str] = []
    for folder in folders:
        _read_folder(folder, runs, problems)
    if not any(run.records is not None for run in runs):
        found = "; ".join(problems) if problems else "no cell was found"
        raise NothingToReport(f"nothing to report in {', '.join(map(str, folders))}: {found}")
    groups: dict[str, list[_Run]] = {}
    for run in runs:
        groups.setdefault(_comparable(run.manifest), []).append(run)
    tables = [_table(group) for group in groups.values()]
    commands = dict.fromkeys(" ".join(run.manifest.command) for run in runs if run.manifest.command)
    return Report(tuple(_adjusted(tables)), tuple(problems), tuple(commands))


def _read_folder(folder: Path, runs: list[_Run], problems: list[str]) -> None:
    cells = [Cell(folder)] if (folder / "manifest.json").exists() else Output(folder).cells()
    requested = read_requests(folder)
    for cell in cells:
        if requested and cell.name not in requested:
            continue  # of an earlier version of a recipe or of the code
        order = requested.index(cell.name) if requested else len(runs)
        try:
            manifest = cell.manifest()
        except DamagedResult as error:
            problems.append(str(error))
            continue
        if manifest.status is not Status.DONE:
            reason = manifest.error or ""
            runs.append(_Run(cell.name, manifest, order, None, manifest.status.value, reason))
            continue
        try:
            runs.append(_Run(cell.name, manifest, order, cell.records(), "done", ""))
        except DamagedResult as error:
            problems.append(str(error))
            runs.append(_Run(cell.name, manifest, order, None, "damaged", str(error)))
    problems.extend(
        f"{folder / name}: requested, but there is no such cell"
        for name in requested
        if not (folder / name).is_dir()
    )


def read_requests(folder: Path) -> list[str]:
    """Names of the cells that the runs into a folder asked for, in their order; empty if unknown."""
    try:
        return [str(name) for name in json.loads((folder / REQUESTS).read_text(encoding="utf-8"))["cells"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _comparable(manifest: Manifest) -> str:
    """Cells with the same key may stand in one table; a table never mixes budgets or data."""
    identity = manifest.identity
    key = (
        identity.task,
        identity.task_version,
        identity.scale,
        identity.primary,
        identity.evaluators,
        identity.data.summary,
        sorted(identity.data.fingerprints.items()),
        identity.data.task_seed,
        identity.data.limit,
        identity.budget.model_dump(mode="json"),
    )
    return repr(key)


def _table(runs: Sequence[_Run]) -> Table:
    identity = runs[0].manifest.identity
    by_model: dict[str, list[_Run]] = {}
    for run in sorted(runs, key=lambda run: run.order):
        by_model.setdefault(_model_key(run.manifest), []).append(run)
    scores = {key: _scores(group, identity.primary) for key, group in by_model.items()}
    rows = {key: _row(group, scores[key], identity.evaluators) for key, group in by_model.items()}
    rows = dict(zip(rows, _distinct_labels(list(rows.values())), strict=True))
    pairs = [
        _pair(rows[a], rows[b], first, second)
        for a, b in combinations(rows, 2)
        if (first := scores[a]) is not None and (second := scores[b]) is not None
    ]
    limit = identity.data.limit
    tested = identity.data.counts["test"]
    return Table(
        task=identity.task,
        scale=identity.scale,
        source=identity.data.summary,
        train=identity.data.counts["train"],
        test=tested if limit is None else min(limit, tested),
        budget=identity.budget,
        primary=identity.primary,
        evaluators=tuple(identity.evaluators),
        rows=tuple(rows.values()),
        pairs=tuple(pairs),
        notes=tuple(_notes(runs, list(rows.values()))),
    )


def _model_key(manifest: Manifest) -> str:
    identity = manifest.identity
    return repr((identity.model, sorted(identity.architecture.items()), sorted(identity.training.items())))


def _distinct_labels(rows: Sequence[Row]) -> list[Row]:
    """Number the rows of a model that was run with two recipes."""
    labels = [row.label for row in rows]
    seen: dict[str, int] = {}
    distinct = []
    for row in rows:
        seen[row.label] = seen.get(row.label, 0) + 1
        if labels.count(row.label) > 1:
            row = replace(row, model=f"{row.model} #{seen[row.label]}")
        distinct.append(row)
    return distinct


def _scores(runs: Sequence[_Run], metric: str) -> ItemScores | None:
    """The finished seeds of one model, (S, I), in the order of the first one's items."""
    found = [
        ItemScores(
            run.cell,
            np.array([record["item"] for record in run.records]),
            np.array([record["cluster"] for record in run.records]),
            np.array([[record["scores"][metric] for record in run.records]]),  # type: ignore[index]
        )
        for run in runs
        if run.records is not None
    ]
    return stack(runs[0].manifest.identity.model, found) if found else None


def _row(runs: Sequence[_Run], scores: ItemScores | None, evaluators: Sequence[str]) -> Row:
    manifest = runs[0].manifest
    done = [run for run in runs if run.records is not None]
    values = iter(scores.scores.mean(axis=1).tolist() if scores is not None else [])
    seeds = [
        SeedResult(
            run.manifest.identity.seed,
            run.cell,
            next(values) if run.records is not None else None,
            run.status,
            run.reason,
        )
        for run in runs
    ]
    summary = None
    if scores is not None:
        summary = cell_interval(cluster_means(scores.scores, scores.clusters), items=len(scores.items))
    return Row(
        model=manifest.identity.model,
        asked=manifest.asked,
        seeds=tuple(sorted(seeds, key=lambda seed: seed.seed)),
        summary=summary,
        means={name: _mean(done, "scores", name) for name in evaluators} if done else {},
        copy_cells=_mean_or_none(done, "extras", "cells.copy"),
        halt_step=_mean_or_none(done, "extras", "halt_step"),
        ledger=_mean_ledger([run.manifest.ledger for run in done]),
        devices=tuple(sorted({run.manifest.identity.device for run in runs})),
        not_citable_because=tuple(
            dict.fromkeys(reason for run in runs for reason in run.manifest.not_citable_because)
        ),
    )


def _column(run: _Run, group: str, name: str) -> list[float]:
    rows: Iterable[Mapping[str, Mapping[str, float]]] = run.records or ()  # type: ignore[assignment]
    return [row[group][name] for row in rows if name in row[group]]


def _mean(runs: Sequence[_Run], group: str, name: str) -> float:
    return float(np.mean([np.mean(_column(run, group, name)) for run in runs]))


def _mean_or_none(runs: Sequence[_Run], group: str, name: str) -> float | None:
    return _mean(runs, group, name) if runs and all(_column(run, group, name) for run in runs) else None


def _mean_ledger(ledgers: Sequence[Ledger]) -> Ledger:
    if not ledgers:
        return Ledger()
    fields: dict[str, Any] = {}
    for name, field in Ledger.model_fields.items():
        mean = float(np.mean([getattr(ledger, name) for ledger in ledgers]))
        fields[name] = round(mean) if field.annotation is int else mean
    return Ledger(**fields)


def _pair(a: Row, b: Row, first: ItemScores, second: ItemScores) -> Pair:
    first, second = align(first, second)
    a_SC = cluster_means(first.scores, first.clusters)
    b_SC = cluster_means(second.scores, second.clusters)
    difference = crossed_test(a_SC, b_SC)
    single = len(a_SC) == len(b_SC) == 1
    checkpoints: McNemar | None = mcnemar(a_SC[0], b_SC[0]) if single else None
    detectable = None
    if difference.kind is Kind.CROSSED and difference.se is not None and difference.df is not None:
        detectable = minimum_detectable(difference.se, difference.df)
    complete = a.complete and b.complete
    note = difference.note if complete else INCOMPLETE
    return Pair(a.label, b.label, difference, checkpoints, None, Verdict.UNTESTED, detectable, note)


def _tested(pair: Pair) -> float | None:
    """The raw p that enters the family; none from an incomplete or untested pair."""
    return None if pair.note == INCOMPLETE else pair.difference.p


def _adjusted(tables: Sequence[Table]) -> list[Table]:
    """Holm over the family: every pair of every table, on each task's primary metric."""
    adjusted = iter(holm([_tested(pair) for table in tables for pair in table.pairs]))
    return [
        replace(table, pairs=tuple(_judged(pair, next(adjusted)) for pair in table.pairs)) for table in tables
    ]


def _judged(pair: Pair, holm_p: float | None) -> Pair:
    difference: Difference = pair.difference
    word = Verdict.UNTESTED if pair.note == INCOMPLETE else verdict(difference, holm_p)
    return replace(pair, holm_p=holm_p, verdict=word)


def _notes(runs: Sequence[_Run], rows: Sequence[Row]) -> list[str]:
    """What a reader must know before using a number of this table."""
    notes = [_protocol(runs, rows)]
    notes += [f"{row.asked} stands for {row.model} here" for row in rows if row.asked != row.model]
    notes += dict.fromkeys(note for run in runs for note in run.manifest.identity.data.notes)
    for row in rows:
        for seed in row.seeds:
            if seed.status != "done":
                because = f": {seed.reason}" if seed.reason else ""
                notes.append(f"incomplete: {row.label}, seed {seed.seed}, {seed.status}{because}")
    reasons = dict.fromkeys(reason for row in rows for reason in row.not_citable_because)
    if reasons:
        notes.append(f"NOT CITABLE: {'; '.join(reasons)}")
    return notes


def _protocol(runs: Sequence[_Run], rows: Sequence[Row]) -> str:
    weights = dict.fromkeys(run.manifest.weights for run in runs if run.status == "done")
    steps = ", ".join(f"{row.label} {row.ledger.inference_steps}" for row in rows)
    return (
        f"protocol: the test split was answered once, after training, by the {' or '.join(weights)}; "
        f"nothing was chosen on validation; one answer per puzzle, no votes; inference steps: {steps}"
    )

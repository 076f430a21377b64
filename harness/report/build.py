"""Read result folders and compute their report from the records alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..budget import Ledger
from ..errors import NothingToReport
from ..records import Manifest, Status
from ..stats import (
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
from ..store import MANIFEST, Cell, DamagedResult, Output, write_atomically
from .table import OtherMeans, Pair, Report, Row, SeedResult, Table

REQUESTS = "requests.json"
INCOMPLETE = "incomplete: not every requested seed is done"


class Requested(BaseModel):
    """A cell that a run into a folder asked for; its report must account for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: str
    model: str
    asked: str
    seed: int


@dataclass(frozen=True)
class _Run:
    """A cell as found on disk; ``records`` is None where it is not done."""

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
        runs += _without_repeats(_read_folder(folder, problems), runs, folder, problems)
    if not any(run.records is not None for run in runs):
        unfinished = [f"{run.cell}: {run.status} {run.reason}".strip() for run in runs]
        missing = [f"{folder}: no such folder" for folder in folders if not folder.exists()]
        found = "; ".join([*missing, *problems, *unfinished]) or "no cell was found"
        raise NothingToReport(f"nothing to report in {', '.join(map(str, folders))}: {found}")
    groups: dict[str, list[_Run]] = {}
    for run in runs:
        groups.setdefault(_comparable(run.manifest), []).append(run)
    tables = [_table(group) for group in groups.values()]
    commands = dict.fromkeys(" ".join(run.manifest.command) for run in runs if run.manifest.command)
    return Report(tuple(_adjusted(tables)), tuple(problems), tuple(commands))


def _read_folder(folder: Path, problems: list[str]) -> list[_Run]:
    if (folder / MANIFEST).exists():
        requested, cells = [], [Cell(folder)]
    else:
        requested, cells = _requests_or_problem(folder, problems), Output(folder).cells()
    order = {one.cell: place for place, one in enumerate(requested)}
    # A cell that nobody asks for any more is of an earlier version of a recipe or of the code.
    cells = [cell for cell in cells if not requested or cell.name in order]
    runs: list[_Run] = []
    for cell in cells:
        try:
            runs.append(_read_cell(cell, order.get(cell.name, len(runs)), problems))
        except DamagedResult as error:
            problems.append(str(error))
    found = {run.cell for run in runs}
    absent = [one for one in requested if one.cell not in found]
    runs += [run for one in absent for run in _absent(one, order[one.cell], folder, runs, problems)]
    return runs


def _requests_or_problem(folder: Path, problems: list[str]) -> list[Requested]:
    try:
        return read_requests(folder)
    except DamagedResult as error:
        problems.append(f"{error}; every cell in the folder is reported")
        return []


def _read_cell(cell: Cell, order: int, problems: list[str]) -> _Run:
    manifest = cell.manifest()
    if manifest.status is not Status.DONE:
        return _Run(cell.name, manifest, order, None, manifest.status.value, manifest.error or "")
    try:
        return _Run(cell.name, manifest, order, cell.records(), "done", "")
    except DamagedResult as error:
        problems.append(str(error))
        return _Run(cell.name, manifest, order, None, "damaged", str(error))


def _absent(
    one: Requested, order: int, folder: Path, runs: Sequence[_Run], problems: list[str]
) -> list[_Run]:
    """Stand-in for a requested cell without a readable manifest, so that its row is incomplete.

    What it has in common with the folder's other cells is taken from one of them, of the same
    model if there is one.
    """
    path = folder / one.cell
    status, reason = (
        ("damaged", "manifest.json cannot be read") if path.is_dir() else ("missing", "no such folder")
    )
    if status == "missing":
        problems.append(f"{path}: requested, but there is no such cell")
    siblings = sorted(runs, key=lambda run: run.manifest.identity.model != one.model)
    if not siblings:
        return []
    like = siblings[0].manifest
    identity = like.identity.model_copy(update={"model": one.model, "seed": one.seed})
    manifest = like.model_copy(update={"identity": identity, "asked": one.asked, "cell": one.cell})
    return [_Run(one.cell, manifest, order, None, status, reason)]


def _without_repeats(
    found: Sequence[_Run], known: Sequence[_Run], folder: Path, problems: list[str]
) -> list[_Run]:
    """A run that was read from another folder already must not count as a second seed."""
    identities = {repr(run.manifest.identity) for run in known}
    repeated = [run for run in found if repr(run.manifest.identity) in identities]
    problems += [
        f"{folder / run.cell}: the same cell was read from another folder; left out" for run in repeated
    ]
    return [run for run in found if run not in repeated]


def read_requests(folder: Path) -> list[Requested]:
    """The cells that the runs into a folder asked for, in their order; empty without the file.

    Raises:
        DamagedResult: the file is there and cannot be read.
    """
    path = folder / REQUESTS
    if not path.exists():
        return []
    try:
        return TypeAdapter(list[Requested]).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise DamagedResult(
            f"{path}: cannot be read ({first}); delete it, finished cells are kept"
        ) from error


def write_requests(folder: Path, requested: Sequence[Requested]) -> None:
    """Replace `requests.json`."""
    write_atomically(folder / REQUESTS, TypeAdapter(list[Requested]).dump_json(list(requested), indent=1))


def _comparable(manifest: Manifest) -> str:
    """Cells with the same key may stand in one table; a table never mixes budgets or data."""
    identity = manifest.identity
    key = (
        identity.task,
        identity.task_version,
        identity.scale,
        identity.primary,
        identity.evaluators,
        identity.data.kind,
        sorted(identity.data.fingerprints.items()),
        identity.data.task_seed,
        identity.data.limit,
        identity.budget.model_dump(mode="json"),
        identity.votes,
        identity.puzzle_ids.value,
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
        votes=identity.votes,
        puzzle_ids=identity.puzzle_ids,
        cluster=identity.data.cluster,
        primary=identity.primary,
        evaluators=tuple(identity.evaluators),
        rows=tuple(rows.values()),
        pairs=tuple(pairs),
        notes=tuple(_notes(runs, list(rows.values()))),
    )


def _model_key(manifest: Manifest) -> str:
    identity = manifest.identity
    parts = [part.model_dump_json() for part in identity.parts]
    settings = sorted(identity.architecture.items()), sorted(identity.training.items())
    where = (identity.device, identity.threads, identity.deterministic)
    return repr((parts, identity.model, settings, where))


def _distinct_labels(rows: Sequence[Row]) -> list[Row]:
    """Number the rows of a model that was run with two recipes."""
    labels = [row.label for row in rows]
    seen: dict[str, int] = {}
    distinct = []
    for row in rows:
        seen[row.label] = seen.get(row.label, 0) + 1
        if labels.count(row.label) > 1:
            distinct.append(replace(row, number=seen[row.label]))
        else:
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
    means = None if scores is None else cluster_means(scores.scores, scores.clusters)
    values = iter([] if means is None else means.mean(axis=1).tolist())
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
    if scores is not None and means is not None:
        summary = cell_interval(means, items=len(scores.items))
    return Row(
        model=manifest.identity.model,
        asked=manifest.asked,
        seeds=tuple(sorted(seeds, key=lambda seed: seed.seed)),
        summary=summary,
        means={name: _mean_over_clusters(done, "scores", name) for name in evaluators} if done else {},
        other_means=_other_means(scores),
        vote_curve=_vote_curve(done),
        copy_cells=_copy_cells(done),
        halt_step=_halt_step(done),
        ledger=_mean_ledger([run.manifest.ledger for run in done]),
        devices=tuple(sorted({run.manifest.identity.device for run in runs})),
        not_citable_because=tuple(
            dict.fromkeys(reason for run in runs for reason in run.manifest.not_citable_because)
        ),
    )


def _column(run: _Run, group: str, name: str) -> list[float]:
    rows: Iterable[Mapping[str, Mapping[str, float]]] = run.records or ()  # type: ignore[assignment]
    return [row[group][name] for row in rows if name in row[group]]


def _mean_over_clusters(runs: Sequence[_Run], group: str, name: str) -> float:
    """The mean over runs of the mean over clusters, as that of the primary metric is taken."""
    each = []
    for run in runs:
        clusters = np.array([record["cluster"] for record in run.records or ()])
        each.append(cluster_means([_column(run, group, name)], clusters).mean())
    return float(np.mean(each))


def _other_means(scores: ItemScores | None) -> OtherMeans | None:
    """The primary metric averaged in two more ways; None where every item is a cluster of its own."""
    if scores is None or len(np.unique(scores.clusters)) == len(scores.items):
        return None
    whole = cluster_means(scores.scores, scores.clusters) == 1
    return OtherMeans(float(scores.scores.mean()), float(whole.mean()))


def _vote_curve(runs: Sequence[_Run]) -> dict[int, float]:
    """The primary metric by the first so many votes, from the extras ``at_N`` of its samples."""
    if not runs or not runs[0].records:
        return {}
    prefix = f"{runs[0].manifest.identity.primary}.at_"
    extras: Mapping[str, float] = runs[0].records[0]["extras"]  # type: ignore[assignment]
    points = [int(key.removeprefix(prefix)) for key in extras if key.startswith(prefix)]
    return {point: _mean_over_clusters(runs, "extras", f"{prefix}{point}") for point in sorted(points)}


def _copy_cells(runs: Sequence[_Run]) -> float | None:
    there = runs and all(_column(run, "extras", "cells.copy") for run in runs)
    return _mean_over_clusters(runs, "extras", "cells.copy") if there else None


def _halt_step(runs: Sequence[_Run]) -> float | None:
    columns = [_column(run, "extras", "halt_step") for run in runs]
    return float(np.mean([np.mean(column) for column in columns])) if columns and all(columns) else None


def _mean_ledger(ledgers: Sequence[Ledger]) -> Ledger | None:
    if not ledgers:
        return None
    fields: dict[str, Any] = {}
    for name, field in Ledger.model_fields.items():
        if name == "variants_of":  # of the data, so the same in all
            fields[name] = ledgers[0].variants_of
            continue
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
    note = difference.note
    if not (a.complete and b.complete):
        note, detectable = INCOMPLETE, None
        difference = replace(difference, low=None, high=None, p=None, df=None, se=None, kind=Kind.UNTESTED)
    return Pair(a.label, b.label, difference, checkpoints, None, Verdict.UNTESTED, detectable, note)


def _adjusted(tables: Sequence[Table]) -> list[Table]:
    """Holm over the family: every pair of every table, on each task's primary metric."""
    adjusted = iter(holm([pair.difference.p for table in tables for pair in table.pairs]))
    return [
        replace(table, pairs=tuple(_judged(pair, next(adjusted)) for pair in table.pairs)) for table in tables
    ]


def _judged(pair: Pair, holm_p: float | None) -> Pair:
    return replace(pair, holm_p=holm_p, verdict=verdict(pair.difference, holm_p))


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
    notes += [f"{row.label}: {row.summary.note}" for row in rows if row.summary and row.summary.note]
    reasons = dict.fromkeys(reason for row in rows for reason in row.not_citable_because)
    reasons |= dict.fromkeys(_mixed_code(runs))
    if not all(row.complete for row in rows):
        reasons["incomplete"] = None
    if reasons:
        notes.append(f"NOT CITABLE: {'; '.join(reasons)}")
    return notes


def _mixed_code(runs: Sequence[_Run]) -> list[str]:
    """Cells that were made by different code, or with another torch, are not one experiment."""
    done = [run.manifest for run in runs if run.records is not None]
    codes = {str(manifest.code.get("fingerprint")) for manifest in done}
    torches = {str(manifest.environment.get("libraries", {}).get("torch")) for manifest in done}
    mixed = [f"cells made by {len(codes)} states of the code"] if len(codes) > 1 else []
    return mixed + ([f"cells made with torch {', '.join(sorted(torches))}"] if len(torches) > 1 else [])


def _protocol(runs: Sequence[_Run], rows: Sequence[Row]) -> str:
    weights = {run.manifest.identity.model: run.manifest.weights for run in runs if run.status == "done"}
    measured = [(row, row.ledger) for row in rows if row.ledger is not None]
    each = ", ".join(f"{row.label} {weights[row.model]}" for row, _ in measured)
    steps = ", ".join(f"{row.label} {ledger.inference_steps}" for row, ledger in measured)
    return (
        "protocol: the test split was answered once, after training; validation chose nothing in these runs; "
        f"{_answers(runs)}; weights: {each}; inference steps: {steps}"
    )


def _answers(runs: Sequence[_Run]) -> str:
    """How many answers a test item was given, by one and the same weights."""
    most = runs[0].manifest.identity.votes
    if most is None:
        return "one answer per puzzle, no votes"
    means = {f"{run.manifest.ledger.votes_per_puzzle:.1f}" for run in runs if run.status == "done"}
    return (
        f"each test item was answered under up to {most:,} of its variants, {' or '.join(sorted(means))} "
        "on average, and the answers were counted; all votes of a seed come from one checkpoint"
    )

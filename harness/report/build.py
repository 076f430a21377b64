"""Read result folders and compute their report from the records alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..across import Overall, across_tasks
from ..budget import Ledger
from ..design import variance_shares
from ..errors import NothingToReport
from ..records import Manifest
from ..stats import (
    Difference,
    Floats,
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
from .read import Run, Samples, read_runs
from .table import CurvePoint, OtherMeans, Pair, Report, Row, SeedResult, Table

INCOMPLETE = "incomplete: not every requested seed is done"


def build_report(folders: Sequence[Path]) -> Report:
    """Every table of the given output folders (or cell folders).

    Raises:
        NothingToReport: no finished cell in any of them.
    """
    problems: list[str] = []
    runs = read_runs(folders, problems)
    if not any(run.samples is not None for run in runs):
        unfinished = [f"{run.cell}: {run.status} {run.reason}".strip() for run in runs]
        missing = [f"{folder}: no such folder" for folder in folders if not folder.exists()]
        found = "; ".join([*missing, *problems, *unfinished]) or "no cell was found"
        raise NothingToReport(f"nothing to report in {', '.join(map(str, folders))}: {found}")
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_comparable(run.manifest), []).append(run)
    tables = [_table(group) for group in groups.values()]
    commands = dict.fromkeys(" ".join(run.manifest.command) for run in runs if run.manifest.command)
    return Report(tuple(_adjusted(tables)), tuple(problems), tuple(commands), tuple(_overall(tables)))


def _overall(tables: Sequence[Table]) -> list[Overall]:
    """Each model over all tasks, by the names it was asked for; a task with two tables has no say."""
    tasks = [table.task for table in tables]
    return across_tasks(
        [
            {
                row.asked if row.number is None else row.label: [
                    seed.score for seed in row.seeds if seed.score is not None
                ]
                for row in table.rows
                if row.complete
            }
            for table in tables
            if tasks.count(table.task) == 1
        ]
    )


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


def _table(runs: Sequence[Run]) -> Table:
    identity = runs[0].manifest.identity
    by_model: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.order):
        by_model.setdefault(model_key(run.manifest), []).append(run)
    scores = {key: scores_of(group, identity.primary) for key, group in by_model.items()}
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


def model_key(manifest: Manifest) -> str:
    """Cells with the same key are seeds of one model, with one recipe on one kind of device."""
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


def scores_of(runs: Sequence[Run], metric: str) -> ItemScores | None:
    """The finished seeds of one model, (S, I), in the order of the first one's items."""
    found = [
        ItemScores(
            run.cell,
            run.samples.names.items,
            run.samples.names.clusters,
            run.samples.scores[metric][None],
            run.samples.names.codes,
            run.samples.names.distinct,
        )
        for run in runs
        if run.samples is not None
    ]
    return stack(runs[0].manifest.identity.model, found) if found else None


def _row(runs: Sequence[Run], scores: ItemScores | None, evaluators: Sequence[str]) -> Row:
    manifest = runs[0].manifest
    done = [run for run in runs if run.samples is not None]
    means = None if scores is None else scores.means()
    values = iter([] if means is None else means.mean(axis=1).tolist())
    seeds = [
        SeedResult(
            run.manifest.identity.seed,
            run.cell,
            next(values) if run.samples is not None else None,
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
        means=_means(done, evaluators),
        other_means=_other_means(scores),
        vote_curve=_vote_curve(done),
        copy_cells=_mean_of_extra(done, "cells.copy"),
        halt_step=_halt_step(done),
        validation=tuple(_validation(done)),
        halting=_halting(done),
        answers=next((run.answers for run in done if run.answers is not None), None),
        ledger=_mean_ledger([run.manifest.ledger for run in done]),
        devices=tuple(sorted({run.manifest.identity.device for run in runs})),
        not_citable_because=tuple(
            dict.fromkeys(reason for run in runs for reason in run.manifest.not_citable_because)
        ),
    )


def _mean_over_clusters(runs: Sequence[Run], column: Callable[[Samples], Floats]) -> float:
    """The mean over runs of the mean over clusters, as that of the primary metric is taken."""
    done = [run.samples for run in runs if run.samples is not None]
    return float(np.mean([cluster_means(column(one)[None], one.names.codes).mean() for one in done]))


def _means(runs: Sequence[Run], evaluators: Sequence[str]) -> dict[str, float]:
    if not runs:
        return {}

    def column(name: str) -> Callable[[Samples], Floats]:
        return lambda samples: samples.scores[name]

    return {name: _mean_over_clusters(runs, column(name)) for name in evaluators}


def _other_means(scores: ItemScores | None) -> OtherMeans | None:
    """The primary metric averaged in two more ways; None where every item is a cluster of its own."""
    if scores is None or scores.means().shape[1] == len(scores.items):
        return None
    whole = scores.means() == 1
    return OtherMeans(float(scores.scores.mean()), float(whole.mean()))


def _vote_curve(runs: Sequence[Run]) -> dict[int, float]:
    """The primary metric by the first so many votes, from the extras ``at_N`` of its samples."""
    if not runs or runs[0].samples is None:
        return {}
    prefix = f"{runs[0].manifest.identity.primary}.at_"
    extras = [key.removeprefix(prefix) for key in runs[0].samples.extras if key.startswith(prefix)]
    points = [int(point) for point in extras if point.isdecimal()]
    curve = {point: _mean_of_extra(runs, f"{prefix}{point}") for point in points}
    return {votes: score for votes, score in sorted(curve.items()) if score is not None}


def _mean_of_extra(runs: Sequence[Run], key: str) -> float | None:
    """The mean of an extra of 0 to 1; None unless every sample of every run has it."""
    done = [run.samples for run in runs if run.samples is not None]
    if not done or not all(key in one.extras and np.isfinite(one.extras[key]).all() for one in done):
        return None
    return _mean_over_clusters(runs, lambda one: one.extras[key])


def _halt_step(runs: Sequence[Run]) -> float | None:
    done = [run.samples for run in runs if run.samples is not None]
    if not done or not all("halt_step" in one.extras for one in done):
        return None
    return float(np.mean([np.mean(one.extras["halt_step"]) for one in done]))


def _validation(runs: Sequence[Run]) -> list[CurvePoint]:
    """The steps at which every finished seed was validated."""
    curves = [
        {int(line["step"]): line["validation_exact"] for line in run.manifest.validation} for run in runs
    ]
    shared = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return [
        CurvePoint(step, float(np.mean(scores)), min(scores), max(scores))
        for step in shared
        for scores in [[curve[step] for curve in curves]]
    ]


def _halting(runs: Sequence[Run]) -> dict[int, float]:
    done = [run.samples.extras.get("halt_step") for run in runs if run.samples is not None]
    columns = [column for column in done if column is not None]
    if not columns or len(columns) != len(runs):
        return {}
    steps, counts = np.unique(np.concatenate(columns).astype(np.int64), return_counts=True)
    return {int(step): float(share) for step, share in zip(steps, counts / counts.sum(), strict=True)}


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
    a_SC = first.means()
    b_SC = second.means()
    difference = crossed_test(a_SC, b_SC)
    single = len(a_SC) == len(b_SC) == 1
    checkpoints: McNemar | None = mcnemar(a_SC[0], b_SC[0]) if single else None
    detectable = None
    if difference.kind is Kind.CROSSED and difference.se is not None and difference.df is not None:
        detectable = minimum_detectable(difference.se, difference.df)
    note = difference.note
    if not (a.complete and b.complete):
        note, detectable, difference = INCOMPLETE, None, untested(difference, INCOMPLETE)
    shares = variance_shares(a_SC, b_SC) if difference.kind is Kind.CROSSED else None
    return Pair(a.label, b.label, difference, checkpoints, None, Verdict.UNTESTED, detectable, shares, note)


def untested(difference: Difference, why: str) -> Difference:
    """The difference alone, without interval or test."""
    return replace(difference, low=None, high=None, p=None, df=None, se=None, kind=Kind.UNTESTED, note=why)


def _adjusted(tables: Sequence[Table]) -> list[Table]:
    """Holm over the family: every pair of every table, on each task's primary metric."""
    adjusted = iter(holm([pair.difference.p for table in tables for pair in table.pairs]))
    return [
        _advised(replace(table, pairs=tuple(_judged(pair, next(adjusted)) for pair in table.pairs)))
        for table in tables
    ]


def _advised(table: Table) -> Table:
    """With a note, for every pair that is undecided, on what would narrow its interval."""
    advice = [
        f"{pair.a} – {pair.b}: twice the seeds would narrow the interval by "
        f"{pair.shares.twice_the_seeds:.0%}, twice the {table.cluster}s by {pair.shares.twice_the_items:.0%}"
        for pair in table.pairs
        if pair.verdict is Verdict.UNDECIDED and pair.shares is not None
    ]
    return replace(table, notes=(*table.notes, *advice))


def _judged(pair: Pair, holm_p: float | None) -> Pair:
    return replace(pair, holm_p=holm_p, verdict=verdict(pair.difference, holm_p))


def _notes(runs: Sequence[Run], rows: Sequence[Row]) -> list[str]:
    """What a reader must know before using a number of this table."""
    notes = [_protocol(runs, rows)]
    notes += [f"{row.asked} stands for {row.model} here" for row in rows if row.asked != row.model]
    notes += dict.fromkeys(note for run in runs for note in run.manifest.notes)
    notes += dict.fromkeys(note for run in runs for note in run.manifest.identity.data.notes)
    for row in rows:
        for seed in row.seeds:
            if seed.status != "done":
                because = f": {seed.reason}" if seed.reason else ""
                notes.append(f"incomplete: {row.label}, seed {seed.seed}, {seed.status}{because}")
    notes += [f"{row.label}: {row.summary.note}" for row in rows if row.summary and row.summary.note]
    notes += _made_with(runs)
    reasons = dict.fromkeys(reason for row in rows for reason in row.not_citable_because)
    reasons |= dict.fromkeys(_mixed_code(runs))
    if not all(row.complete for row in rows):
        reasons["incomplete"] = None
    if reasons:
        notes.append(f"NOT CITABLE: {'; '.join(reasons)}")
    return notes


def _made_with(runs: Sequence[Run]) -> list[str]:
    """Versions and fingerprints, the same for all cells of a table unless it says otherwise."""
    done = [run.manifest for run in runs if run.samples is not None]
    if not done:
        return []
    parts = dict.fromkeys(
        f"{part.distribution} {part.version}" for one in done for part in one.identity.parts
    )
    torches = dict.fromkeys(str(one.environment.get("libraries", {}).get("torch", "?")) for one in done)
    codes = dict.fromkeys(str(one.code.get("fingerprint", "?"))[:12] for one in done)
    prints = done[0].identity.data.fingerprints
    data = ", ".join(f"{split} {value[:12]}" for split, value in prints.items())
    made = f"{', '.join(parts) or 'no distribution'}, code {', '.join(codes)}, torch {', '.join(torches)}"
    return [f"made with {made}; puzzles {data}"]


def _mixed_code(runs: Sequence[Run]) -> list[str]:
    """Cells that were made by different code, or with another torch, are not one experiment."""
    done = [run.manifest for run in runs if run.samples is not None]
    codes = {str(manifest.code.get("fingerprint")) for manifest in done}
    torches = {str(manifest.environment.get("libraries", {}).get("torch")) for manifest in done}
    mixed = [f"cells made by {len(codes)} states of the code"] if len(codes) > 1 else []
    return mixed + ([f"cells made with torch {', '.join(sorted(torches))}"] if len(torches) > 1 else [])


def _protocol(runs: Sequence[Run], rows: Sequence[Row]) -> str:
    weights = {run.manifest.identity.model: run.manifest.weights for run in runs if run.status == "done"}
    measured = [(row, row.ledger) for row in rows if row.ledger is not None]
    each = ", ".join(f"{row.label} {weights[row.model]}" for row, _ in measured)
    steps = ", ".join(f"{row.label} {ledger.inference_steps}" for row, ledger in measured)
    return (
        "protocol: the test split was answered once, after training; validation chose nothing in these runs; "
        f"{_answers(runs)}; weights: {each}; inference steps: {steps}"
    )


def _answers(runs: Sequence[Run]) -> str:
    """How many answers a test item was given, by one and the same weights."""
    most = runs[0].manifest.identity.votes
    if most is None:
        return "one answer per puzzle, no votes"
    means = {f"{run.manifest.ledger.votes_per_puzzle:.1f}" for run in runs if run.status == "done"}
    return (
        f"each test item was answered under up to {most:,} of its variants, {' or '.join(sorted(means))} "
        "on average, and the answers were counted; all votes of a seed come from one checkpoint"
    )

"""Read result folders and compute their report from the records alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..api.budget import Ledger
from ..api.errors import NothingToReport
from ..planning.study import declared_in, leaves
from ..stats.across_tasks import Overall, across_tasks
from ..stats.stats import Floats, ItemScores, Verdict, cell_interval, cluster_means, holm
from ..store.records import Manifest
from .contrasts import answered
from .pairs import judged, mixed_code, model_key, pair_of, scores_of
from .read import Run, Samples, read_runs
from .table import CurvePoint, OtherMeans, Report, Row, SeedResult, Table


def build_report(folders: Sequence[Path]) -> Report:
    """Every table of the given output folders (or cell folders).

    Raises:
        NothingToReport: no finished cell in any of them.
    """
    problems: list[str] = []
    studies = {folder: declared for folder in folders if (declared := declared_in(folder)) is not None}
    plain = read_runs([folder for folder in folders if folder not in studies], problems)
    # Two studies may have trained the same cell, and each needs it for its answers.
    of_study = {folder: read_runs(leaves([folder]), problems) for folder in studies}
    runs = [*plain, *(run for found in of_study.values() for run in found)]
    if not any(run.samples is not None for run in runs):
        unfinished = [f"{run.cell}: {run.status} {run.reason}".strip() for run in runs]
        missing = [f"{folder}: no such folder" for folder in folders if not folder.exists()]
        found = "; ".join([*missing, *problems, *unfinished]) or "no cell was found"
        raise NothingToReport(f"nothing to report in {', '.join(map(str, folders))}: {found}")
    # A study asks its own questions; every pair of its many models would be a family that nobody declared.
    tables = [_table(group, pairs=False) for found in of_study.values() for group in _groups(found)]
    tables += [_table(group, pairs=True) for group in _groups(plain)]
    commands = dict.fromkeys(" ".join(run.manifest.command) for run in runs if run.manifest.command)
    return Report(
        tuple(_adjusted(tables)),
        tuple(problems),
        tuple(commands),
        tuple(_overall(tables)),
        tuple(answered(folder, declared, of_study[folder]) for folder, declared in studies.items()),
    )


def _groups(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs that may stand in one table each, in the order in which they were found."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_comparable(run.manifest), []).append(run)
    return list(groups.values())


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
    budget = None if identity.budget is None else identity.budget.model_dump(mode="json")
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
        budget,
        identity.votes,
        identity.puzzle_ids.value,
    )
    return repr(key)


def _table(runs: Sequence[Run], pairs: bool) -> Table:
    identity = runs[0].manifest.identity
    by_model: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.order):
        by_model.setdefault(model_key(run.manifest), []).append(run)
    scores = {key: scores_of(group, identity.primary) for key, group in by_model.items()}
    rows = {key: _row(group, scores[key], identity.evaluators) for key, group in by_model.items()}
    rows = dict(zip(rows, _distinct_labels(list(rows.values())), strict=True))
    compared = [
        pair_of(rows[a].label, rows[b].label, by_model[a], by_model[b])
        for a, b in (combinations(rows, 2) if pairs else ())
        if scores[a] is not None and scores[b] is not None and _comparable_rows(rows, a, b)
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
        pairs=tuple(compared),
        notes=tuple(_notes(runs, list(rows.values()))),
    )


def _comparable_rows(rows: Mapping[str, Row], a: str, b: str) -> bool:
    """Whether two rows are worth a test: models answered alike, or one model with one thing changed.

    Of one model's depths, each is compared with the next: all pairs of them would be a family in which
    nothing is decided any more.
    """
    first, second = rows[a], rows[b]
    if first.evaluation == second.evaluation:
        return True
    if first.name != second.name:
        return False
    depths = [row.depth for row in rows.values() if row.name == first.name]
    one, other = sorted((first.depth, second.depth))
    if first.halts != second.halts:
        return one == other
    return not any(one < depth < other for depth in depths)


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


def _adjusted(tables: Sequence[Table]) -> list[Table]:
    """Holm over the family: every pair of every table, on each task's primary metric."""
    adjusted = iter(holm([pair.difference.p for table in tables for pair in table.pairs]))
    return [
        _advised(replace(table, pairs=tuple(judged(pair, next(adjusted)) for pair in table.pairs)))
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


def _notes(runs: Sequence[Run], rows: Sequence[Row]) -> list[str]:
    """What a reader must know before using a number of this table."""
    notes = [_protocol(runs, rows)]
    asked = dict.fromkeys((row.asked.partition(" @ ")[0], row.model) for row in rows)
    notes += [f"{name} stands for {model} here" for name, model in asked if name != model]
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
    reasons |= dict.fromkeys(mixed_code(runs))
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


def _protocol(runs: Sequence[Run], rows: Sequence[Row]) -> str:
    done = [run.manifest for run in runs if run.status == "done"]
    weights = {manifest.identity.model: manifest.weights for manifest in done}
    each = ", ".join(f"{model} {which}" for model, which in weights.items())
    measured = [(row, row.ledger) for row in rows if row.ledger is not None]
    steps = ", ".join(f"{row.label} {_steps(ledger)}" for row, ledger in measured)
    return f"protocol: {_when(done)}; {_answers(runs)}; weights: {each}; inference steps: {steps}"


def _when(done: Sequence[Manifest]) -> str:
    """When the test split was answered, for every kind of cell that is there."""
    kinds = {
        "the test split was answered once, after training; validation chose nothing in these runs": any(
            not manifest.weights_file for manifest in done
        ),
        "for rows with @, stored weights answered it again: nothing may be chosen by what they scored": any(
            manifest.weights_file and manifest.identity.weights is None for manifest in done
        ),
        "weights from elsewhere answered the test split; what chose them is not known": any(
            manifest.identity.weights is not None for manifest in done
        ),
    }
    return "; ".join(words for words, there in kinds.items() if there)


def _steps(ledger: Ledger) -> str:
    """The steps of every puzzle, or their mean and most where puzzles halt."""
    if ledger.steps_taken in (0, ledger.inference_steps):  # 0: of a manifest that does not have it yet
        return str(ledger.inference_steps)
    return f"{ledger.steps_taken:.1f} of up to {ledger.inference_steps}"


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

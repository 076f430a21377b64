"""The rows of a table: each model's numbers over its finished runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from math import fsum
from typing import Any

import numpy as np

from ..api.budget import Ledger
from ..inference.scoring import AGREE, ANY_RIGHT
from ..stats.interval import score_interval
from ..stats.scores import Floats, ItemScores, cluster_means
from ..store.records import NO_WEIGHTS, Manifest
from .pairs import mixed_code
from .read import Run
from .samples import Samples
from .table import CurvePoint, Row, SeedResult

FEATURE = "puzzle."
"""Before the name of what a task knows of a puzzle, in a sample's extras."""


def row_of(runs: Sequence[Run], scores: ItemScores | None, evaluators: Sequence[str]) -> Row:
    """The row of one model; ``scores`` are those of its finished runs."""
    described = runs[0].manifest.description
    done = [run for run in runs if run.samples is not None]
    means = None if scores is None else scores.means()
    values = iter([] if means is None else means.mean(axis=1).tolist())
    seeds = [
        SeedResult(
            run.manifest.identity.seed,
            run.name,
            next(values) if run.samples is not None else None,
            run.status,
            run.reason,
        )
        for run in runs
    ]
    summary = None
    if scores is not None and means is not None:
        summary = score_interval(means, items=len(scores.items))
    return Row(
        model=described.model,
        requested=described.requested,
        display_name=described.display_name,
        seeds=tuple(sorted(seeds, key=lambda seed: seed.seed)),
        summary=summary,
        means=_means(done, evaluators),
        other_means=_other_means(scores),
        vote_curve=_vote_curve(done),
        copy_cells=_mean_of_extra(done, "cells.copy"),
        rollouts=runs[0].manifest.identity.rollouts,
        any_right=_mean_of_extra(done, ANY_RIGHT),
        agree=_mean_of_extra(done, AGREE),
        halt_step=_halt_step(done),
        validation=tuple(_validation(done)),
        halting=_halting(done),
        by_feature=_by_feature(done, described.primary),
        predictions=next((run.predictions for run in done if run.predictions is not None), None),
        ledger=_mean_ledger([run.manifest.ledger for run in done]),
        devices=tuple(sorted({run.manifest.identity.device for run in runs})),
        not_citable_because=tuple(
            dict.fromkeys(
                [
                    *(reason for run in runs for reason in (*run.manifest.not_citable_because, *run.reasons)),
                    *mixed_code(runs),
                ]
            )
        ),
        is_fixed=bool(done) and all(run.manifest.weights == NO_WEIGHTS for run in done),
        device_hours=fsum(_device_hours(run.manifest) for run in done),
    )


def distinct_names(rows: Sequence[Row], weights: Sequence[Collection[str]]) -> list[Row]:
    """Number the rows of a model that was trained with two recipes: a training has one, however evaluated.

    ``weights`` are those of each row. Of rows of one name and one number, as of unfinished runs or on two
    devices, each further one gets a number that no training of its model has.
    """
    trainings = _trainings(rows, weights)
    most: dict[str, int] = {}
    for row, number in zip(rows, trainings, strict=True):
        if number > 1:
            most[row.display_name] = max(number, most.get(row.display_name, 0))
    numbered = [
        replace(row, number=number) if row.display_name in most else row
        for row, number in zip(rows, trainings, strict=True)
    ]
    names, highest, seen = [row.name for row in numbered], dict(most), set()
    distinct = []
    for row in numbered:
        kind = row.display_name
        if row.name in seen:
            highest[kind] = highest.get(kind, 1) + 1
            distinct.append(replace(row, number=highest[kind]))
        else:
            several = names.count(row.name) > 1
            distinct.append(replace(row, number=row.number or 1) if several else row)
        seen.add(row.name)
    return distinct


def _trainings(rows: Sequence[Row], weights: Sequence[Collection[str]]) -> list[int]:
    """Which of the trainings of its model each row is of, from 1; unknown weights may be of any."""
    known: dict[str, list[set[str]]] = {}
    numbers = []
    for row, mine in zip(rows, weights, strict=True):
        trained = known.setdefault(row.display_name, [])
        place = next((at for at, one in enumerate(trained) if not (mine and one) or one & set(mine)), None)
        if place is None:
            place = len(trained)
            trained.append(set())
        trained[place] |= set(mine)
        numbers.append(place + 1)
    return numbers


def _mean_over_clusters(runs: Sequence[Run], column: Callable[[Samples], Floats]) -> float:
    """The mean over runs of the mean over clusters, as that of the primary metric is taken."""
    done = [run.samples for run in runs if run.samples is not None]
    return float(np.mean([cluster_means(column(one)[None], one.names.codes).mean() for one in done]))


def _means(runs: Sequence[Run], evaluators: Sequence[str]) -> dict[str, float]:
    if not runs:
        return {}

    def column(name: str) -> Callable[[Samples], Floats]:
        return lambda samples: samples.scores[name]

    # A seed that an evaluator has not scored, or another version of it, leaves no mean.
    everywhere = [
        name
        for name in evaluators
        if all(name in run.samples.scores for run in runs if run.samples)
        and versions_of(name, [run.manifest for run in runs]) == 1
    ]
    return {name: _mean_over_clusters(runs, column(name)) for name in everywhere}


def versions_of(evaluator: str, manifests: Sequence[Manifest]) -> int:
    """How many versions of an evaluator have scored some runs."""
    parts = [part for one in manifests for part in one.scored_by if part.name == evaluator]
    return len({part.model_dump_json() for part in parts})


def _other_means(scores: ItemScores | None) -> dict[str, float]:
    """The primary metric averaged in two more ways; empty where every item is a cluster of its own."""
    if scores is None or scores.means().shape[1] == len(scores.items):
        return {}
    whole = scores.means() == 1
    return {"items": float(scores.scores.mean()), "whole clusters": float(whole.mean())}


def _vote_curve(runs: Sequence[Run]) -> dict[int, float]:
    """The primary metric by the first N votes, from the extras ``at_N`` of its samples."""
    if not runs or runs[0].samples is None:
        return {}
    prefix = f"{runs[0].manifest.description.primary}.at_"
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


GROUPS = 8
"""Groups of puzzles with like features."""


def _by_feature(runs: Sequence[Run], metric: str) -> dict[str, dict[float, float]]:
    """The mean score of puzzles with like features; of up to `GROUPS` groups about as large."""
    done = [run.samples for run in runs if run.samples is not None]
    features = [key for key in (done[0].extras if done else ()) if key.startswith(FEATURE)]
    found = {}
    for key in features:
        if not all(key in one.extras and np.isfinite(one.extras[key]).all() for one in done):
            continue
        values = np.concatenate([one.extras[key] for one in done])
        scores = np.concatenate([one.scores[metric] for one in done])
        edges = np.unique(np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1]))
        group = np.searchsorted(edges, values, side="right")
        members = [group == place for place in np.unique(group)]
        curve = {float(values[these].mean()): float(scores[these].mean()) for these in members}
        if len(curve) > 1:
            found[key.removeprefix(FEATURE)] = curve
    return found


def _mean_ledger(ledgers: Sequence[Ledger]) -> Ledger | None:
    if not ledgers:
        return None
    fields: dict[str, Any] = {}
    for name, field in Ledger.model_fields.items():
        if name == "augmentations_of":  # of the data, so the same in all
            fields[name] = ledgers[0].augmentations_of
            continue
        mean = float(np.mean([getattr(ledger, name) for ledger in ledgers]))
        fields[name] = round(mean) if field.annotation is int else mean
    return Ledger(**fields)


def _device_hours(manifest: Manifest) -> float:
    """What one run took; of one that evaluated stored weights, the evaluation alone."""
    ledger = manifest.ledger
    if manifest.weights_file:
        processes = manifest.execution.get("processes", 1)
        ledger = Ledger(evaluation_seconds=ledger.evaluation_seconds, processes=processes)
    return ledger.device_hours

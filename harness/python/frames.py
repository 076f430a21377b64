"""Reports as pandas DataFrames. The order of columns is part of the interface; see docs/glossary.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..api.budget import described
from ..report.read import Run
from ..report.table import Pair, Report, Row, Table

if TYPE_CHECKING:
    import pandas as pd

RUNS: Mapping[str, str] = {
    "task": "name of the task",
    "scale": "mini, small, lite or paper",
    "split": "the puzzles that are scored: test or validation",
    "model": "what tables call the model",
    "requested": "the model as it was typed",
    "resolved": "the model that was run, with the options that change something",
    "evaluation": "how stored weights were evaluated, e.g. steps=32; empty after training",
    "seed": "training seed",
    "status": "done, failed, interrupted, running, damaged or missing",
    "score": "mean of the primary metric over clusters, 0 to 1; missing where the run is not done",
    "metric": "name of the primary metric",
    "optimiser_steps": "optimiser steps of training",
    "inference_steps": "supervision steps that a puzzle may take at test",
    "training_seconds": "wall time of training",
    "device": "cpu, cuda or mps",
    "citable": "whether the run may be cited",
    "reason": "why it is not done, or may not be cited",
    "run": "name of the run's folder",
    "folder": "output folder",
}
SAMPLES: Mapping[str, str] = {
    "task": "name of the task",
    "scale": "mini, small, lite or paper",
    "split": "the puzzles that are scored: test or validation",
    "model": "what tables call the model",
    "evaluation": "how stored weights were evaluated, e.g. steps=32; empty after training",
    "seed": "training seed",
    "item": "name of the test item",
    "cluster": "name of its cluster of dependent items",
}
"""Then a column for each evaluator, 0 to 1, and one for each extra such as ``halt_step``."""
COMPARISONS: Mapping[str, str] = {
    "task": "name of the task; empty for the questions of a study",
    "scale": "mini, small, lite or paper",
    "split": "the puzzles that are scored: test or validation",
    "source": "where the puzzles come from; empty for the questions of a study",
    "budget": "of training; empty for the questions of a study",
    "metric": "the primary metric; empty for the questions of a study",
    "citable": "whether the runs of both may be cited, and together",
    "study": "name of the study whose question it is; empty for the pairs of a table",
    "grid": "the study's grid",
    "question": "the study's question",
    "a": "first model",
    "b": "second model",
    "delta": "score of A minus score of B, -1 to 1",
    "low": "lower end of the 95 % interval; missing without a test",
    "high": "upper end of the 95 % interval; missing without a test",
    "p": "two-sided p of this pair alone",
    "tests": "tests of the family: of the table, or of the study; missing where it is no member",
    "family_low": "lower end of the interval in the family, at the level at which this pair was tested",
    "family_high": "upper end of the interval in the family",
    "holm_p": "p adjusted over the family",
    "verdict": "A > B, B > A, equivalent, undecided (alone: …), undecided or untested",
    "decidable": "smallest true difference that the family finds with 80 % power; above 1 there is none",
    "margin": "declared difference that does not matter, 0 to 1; missing without one",
    "equivalence_p": "p of the two one-sided tests against it, adjusted for the family",
    "seeds": "seeds of the model that has fewer",
    "share_seeds": "share of the variance that comes from seeds",
    "share_puzzles": "share of the variance that comes from puzzles",
    "share_residual": "rest of the variance",
    "note": "what must be said with it",
}
COSTS: Mapping[str, str] = {
    "task": "name of the task",
    "scale": "mini, small, lite or paper",
    "split": "the puzzles that are scored: test or validation",
    "source": "where the puzzles come from",
    "budget": "of training",
    "model": "what tables call the model",
    "evaluation": "how stored weights were evaluated, e.g. steps=32; empty after training",
    "devices": "where the runs ran",
    "core_parameters": "trainable numbers without embeddings and heads",
    "io_parameters": "token embedding and output heads",
    "puzzle_embedding_parameters": "table of puzzle embeddings",
    "training_flops": "FLOPs of a training run",
    "optimiser_steps": "optimiser steps of a training run",
    "supervision_steps": "supervision steps of a training run, all slots together",
    "draws": "training examples drawn",
    "distinct_augmentations": "distinct pairs of puzzle and augmentation drawn",
    "training_seconds": "wall time of training, without validating and saving",
    "validation_seconds": "wall time of validating and saving during training",
    "processes": "that trained a run together; device-hours are hours times these",
    "device_hours": "of all finished runs; of stored weights, of the evaluation alone",
    "inference_flops_per_puzzle": "FLOPs of a prediction, all votes together",
    "inference_steps": "supervision steps that a puzzle may take at test",
    "steps_taken": "supervision steps that it took, mean",
    "mean_halt_step": "mean step at which the model's own rule would have stopped",
    "milliseconds_per_puzzle": "one puzzle alone, one vote, median",
    "puzzles_per_second": "in batches",
    "evaluation_seconds": "wall time of the evaluation",
    "peak_memory_bytes": "largest memory of the run's process, or on the GPU",
    "votes_per_puzzle": "predictions per test item, mean",
}
TABLE: Mapping[str, str] = {
    "task": "name of the task",
    "scale": "mini, small, lite or paper",
    "split": "the puzzles that are scored: test or validation",
    "source": "where the puzzles come from",
    "budget": "of training",
    "model": "what tables call the model",
    "evaluation": "how stored weights were evaluated, e.g. steps=32; empty after training",
    "score": "mean of the primary metric over seeds, 0 to 1",
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
    "seed_sd": "standard deviation of the seeds' scores",
    "seeds": "finished seeds",
    "inference_steps": "supervision steps that a puzzle may take at test",
    "inference_flops_per_puzzle": "FLOPs of a prediction, all votes together",
}


def frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Rows with the documented columns first, in their order."""
    import pandas as pd

    further = dict.fromkeys(key for row in rows for key in row if key not in columns)
    made = pd.DataFrame(list(rows), columns=[*columns, *further])
    # A column of numbers stays one where some of them, or all, are missing.
    numbers = {
        name: float
        for name in made.columns
        if made[name].dtype == object
        and all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            for value in made[name]
        )
    }
    return made.astype(numbers)


def table_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each model of each table."""
    for table in report.tables:
        for row in table.rows:
            summary, ledger = row.summary, row.ledger
            yield {
                **_row_names(table, row),
                "score": summary.mean if summary else None,
                "low": summary.low if summary else None,
                "high": summary.high if summary else None,
                "seed_sd": summary.seed_sd if summary else None,
                "seeds": summary.seeds if summary else 0,
                "inference_steps": row.depth,
                "inference_flops_per_puzzle": ledger.inference_flops_per_puzzle if ledger else None,
            }


def _row_names(table: Table, row: Row) -> dict[str, Any]:
    return {
        "task": table.task,
        "scale": table.scale,
        "split": table.split,
        "source": table.source,
        "budget": described(table.budget),
        "model": row.name.replace(f" @ {row.evaluation}", "") if row.evaluation else row.name,
        "evaluation": row.evaluation,
    }


def cost_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each model of each table that has a finished run."""
    for table in report.tables:
        for row in table.rows:
            if row.ledger is not None:
                ledger = row.ledger.model_dump(
                    exclude={"augmentations_of", "evaluation_batch", "device_seconds"}
                )
                devices = {"devices": ", ".join(row.devices), "device_hours": row.device_hours}
                yield {**_row_names(table, row), **devices, "mean_halt_step": row.halt_step, **ledger}


def comparison_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each pair of each table, and for each question of each study."""
    for table in report.tables:
        for pair in table.pairs:
            names = _names(
                task=table.task,
                scale=table.scale,
                split=table.split,
                source=table.source,
                budget=described(table.budget),
                metric=table.primary,
                citable=_citable(pair),
            )
            yield {**names, **_pair(pair)}
    for study in report.studies:
        for answer in study.answers:
            names = _names(
                scale=study.scale,
                split="test",
                citable=answer.pair is not None and _citable(answer.pair),
                study=study.name,
                grid=answer.grid,
                question=answer.asks,
            )
            yield {**names, **(_pair(answer.pair) if answer.pair else {"note": answer.sentence})}


def _citable(pair: Pair) -> bool:
    return not pair.not_citable


def _names(**given: str | bool) -> dict[str, Any]:
    texts = ("task", "scale", "split", "source", "budget", "metric", "study", "grid", "question")
    return {**dict.fromkeys(texts, ""), **given}


def _pair(pair: Pair) -> dict[str, Any]:
    difference, family, shares = pair.difference, pair.family, pair.shares
    return {
        "a": pair.a,
        "b": pair.b,
        "delta": difference.delta,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "tests": family.tests if family else None,
        "family_low": family.low if family else None,
        "family_high": family.high if family else None,
        "holm_p": family.p if family else None,
        "verdict": pair.verdict.value,
        "decidable": family.decidable if family else None,
        "margin": pair.equivalence.margin if pair.equivalence else None,
        "equivalence_p": pair.equivalence.family_p if pair.equivalence else None,
        "seeds": difference.seeds,
        "share_seeds": shares.seeds if shares else None,
        "share_puzzles": shares.items if shares else None,
        "share_residual": shares.residual if shares else None,
        "note": pair.remarks,
    }


def run_row(run: Run) -> dict[str, Any]:
    """The row of one run."""
    manifest, described, identity = run.manifest, run.manifest.description, run.manifest.identity
    score = None
    if run.samples is not None:
        from ..stats.scores import cluster_means

        column = run.samples.scores[described.primary][None]
        score = float(cluster_means(column, run.samples.names.codes).mean())
    return {
        **_run_names(run),
        "requested": described.requested.partition(" @ ")[0],
        "resolved": described.model,
        "seed": identity.seed,
        "status": run.status,
        "score": score,
        "metric": described.primary,
        "optimiser_steps": manifest.ledger.optimiser_steps,
        "inference_steps": manifest.ledger.inference_steps,
        "training_seconds": manifest.ledger.training_seconds,
        "device": identity.device,
        "citable": manifest.citable and run.status == "done" and not run.reasons,
        "reason": "; ".join([*filter(None, [run.reason]), *manifest.not_citable_because, *run.reasons]),
        "run": run.name,
        "folder": str(run.folder),
    }


def _run_names(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    return {
        "task": manifest.identity.part("task").name,
        "scale": manifest.identity.scale,
        "split": manifest.identity.split,
        "model": manifest.description.display_name,
        "evaluation": manifest.evaluation,
    }


def samples_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Every test item of every finished run."""
    import pandas as pd

    parts = []
    for run in runs:
        if run.samples is None:
            continue
        samples = run.samples
        columns: dict[str, Any] = {
            **{name: np.repeat(value, len(samples.names.items)) for name, value in _run_names(run).items()},
            "seed": run.manifest.identity.seed,
            "item": samples.names.items,
            "cluster": samples.names.clusters,
            **samples.scores,
            **samples.extras,
        }
        parts.append(pd.DataFrame(columns))
    empty = pd.DataFrame(columns=[*SAMPLES])
    return pd.concat(parts, ignore_index=True) if parts else empty

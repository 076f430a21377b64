"""The report as CSV, for a spreadsheet or a data frame; scores 0 to 1.

One line for each model and metric of a table (``line`` is score), each pair of a table (difference) and each
question of a study (answer).
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from ...harness.python.frames import comparison_rows
from ...harness.report.table import Report, Row, Table

COLUMNS = (
    "line", "task", "scale", "source", "train", "test", "split", "match", "amount", "batch_size",
    "augmentations", "votes", "model", "requested", "metric", "mean", "low", "high", "seed_sd", "seeds",
    "items", "clusters", "each_seed", "complete", "citable", "core_parameters", "io_parameters",
    "puzzle_embedding_parameters", "training_flops", "training_seconds",
    "validation_seconds", "optimiser_steps", "draws",
    "distinct_augmentations", "inference_steps", "inference_flops_per_puzzle",
    "milliseconds_per_puzzle", "puzzles_per_second", "peak_memory_bytes", "study", "grid", "question",
    "budget", "a", "b", "delta", "p", "tests", "family_low", "family_high", "holm_p", "verdict", "decidable",
    "margin", "equivalence_p", "note",
)  # fmt: skip


def render(report: Report) -> str:
    """Everything under one header; the primary metric has its interval, the others their means."""
    lines = [line for table in report.tables for row in table.rows for line in _lines(table, row)]
    lines += map(_comparison, comparison_rows(report))
    lines = [
        {name: _text(value) if isinstance(value, str) else value for name, value in line.items()}
        for line in lines
    ]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue().rstrip("\n")


_FORMULA = re.compile(r"[\t\r]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?( [+-]?\d[\d.e+-]*)*", re.IGNORECASE)


def _text(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; a number, or several of them, stay as they are."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _digits(value: float) -> str:
    """Nine digits: more than any score has, and the same on every processor."""
    return f"{value:.9g}"


def _comparison(found: dict[str, Any]) -> dict[str, object]:
    """A pair of a table, or a question of a study."""
    kind = "answer" if found["study"] else "difference"
    kept = {name: found[name] for name in COLUMNS if found.get(name) is not None}
    return {"line": kind} | {
        name: _digits(value) if isinstance(value, float) else value for name, value in kept.items()
    }


def _lines(table: Table, row: Row) -> list[dict[str, object]]:
    """The primary metric's line, and one for every other metric."""
    budget, summary = table.budget, row.summary
    common: dict[str, object] = {
        "line": "score",
        "task": table.task,
        "scale": table.scale,
        "source": table.source,
        "train": table.train,
        "test": table.test,
        "split": table.split,
        "match": "" if budget is None else budget.match.value,
        "amount": "" if budget is None else f"{budget.amount:g}",
        "batch_size": "" if budget is None else budget.batch_size,
        "augmentations": "" if budget is None else budget.augmentations,
        "votes": table.votes or 1,
        "model": row.name,
        "requested": row.requested,
        "complete": row.complete,
        "citable": row.complete and not row.not_citable_because,
    }
    if row.ledger is not None:
        ledger = row.ledger.model_dump(exclude={"augmentations_of"})
        common |= {name: ledger[name] for name in COLUMNS if name in ledger}
    primary = {**common, "metric": table.primary}
    if summary is not None:
        scores = [_digits(seed.score) for seed in row.seeds if seed.score is not None]
        primary |= {
            "mean": _digits(summary.mean),
            "low": _digits(summary.low),
            "high": _digits(summary.high),
            "seed_sd": "" if summary.seed_sd is None else _digits(summary.seed_sd),
            "seeds": summary.seeds,
            "items": summary.items,
            "clusters": summary.clusters,
            "each_seed": " ".join(scores),
        }
    others = [
        {**common, "metric": name, "mean": _digits(row.means[name])}
        for name in table.evaluators
        if name != table.primary and name in row.means
    ]
    return [primary, *others]

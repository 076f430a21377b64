"""Studies made by hand and their answers, for the tests of reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm_bench.harness.api.budget import Budget
from trm_bench.harness.report.table import Answer, Report, StudyAnswers

from support.folders import (
    HRM,
    PLAIN,
    TRM,
    other,
    report_of,
)
from support.studies import declare, definition, write_evaluated, write_study

MODELS = ("trm-mlp", "hrm", "plain")
SCORES = dict(zip(MODELS, (TRM, HRM, PLAIN), strict=True))
SHORT = other(budget=Budget(amount=40, batch_size=8, augmentations=1))


def made(
    folder: Path, *contrasts: Mapping[str, str], scores: Mapping[str, Any] = SCORES, **more: Any
) -> Path:
    return write_study(folder, *contrasts, scores=scores, **more)


def study_of(report: Report) -> StudyAnswers:
    (study,) = report.studies
    return study


def only_answer(folder: Path) -> Answer:
    (answer,) = study_of(report_of(folder)).answers
    return answer


def percent(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def p_of(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def grids(folder: Path, *contrasts: Mapping[str, str]) -> Path:
    """A study of two grids, of which the second has another budget."""
    content = definition(*contrasts, models=["a", "b"], grids={"long": {}, "short": {"share": {"mini": 0.4}}})
    declare(folder, content)
    for model, long, short in (("a", TRM, HRM), ("b", HRM, PLAIN)):
        write_evaluated(folder / "long", model, long)
        write_evaluated(folder / "short", model, short, change=SHORT)
    return folder

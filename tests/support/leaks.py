"""Broken tasks for the checks of leaks, canonical forms and features: task, failing checks, words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from trm_bench.testing import TINY_TASK, tiny

from trm_bench import PuzzleSet, TaskData, TaskInfo, TaskSpec

TESTED = tiny.SIZES[2]
LEAK, COPY = "training puzzle up to symmetry", "copy of another"
CANONICAL, FEATURES = "canonical form", "finite number"


def built(change: Callable[[TaskData], TaskData], spec: TaskSpec = TINY_TASK) -> TaskSpec:
    return replace(spec, build=lambda request: change(tiny.build(request)))


OTHERS = np.array([0, 2, 3, 4, 1], np.uint8)
"""Other names of the colours."""


def leaking(data: TaskData) -> TaskData:
    """The test puzzles are training puzzles in other colours."""
    train = data.train.take(slice(0, TESTED))
    return replace(data, test=replace(data.test, inputs=OTHERS[train.inputs], targets=OTHERS[train.targets]))


def copying(data: TaskData) -> TaskData:
    """Every second test puzzle is the one before it in other colours."""
    before, odd = np.arange(TESTED) // 2 * 2, (np.arange(TESTED) % 2 == 1)[:, None]
    inputs, targets = data.test.inputs[before], data.test.targets[before]
    inputs, targets = (np.where(odd, OTHERS[tokens], tokens) for tokens in (inputs, targets))
    return replace(data, test=replace(data.test, inputs=inputs, targets=targets))


def by_value(info: TaskInfo, inputs: Any, targets: Any) -> list[bytes]:
    """No canonical form: another one for every augmentation."""
    return [row.tobytes() for row in inputs]


def constant(info: TaskInfo, inputs: Any, targets: Any) -> list[bytes]:
    return [b"the same"] * len(inputs)


def not_a_number(info: TaskInfo, puzzles: PuzzleSet) -> dict[str, Any]:
    return {"depth": np.full(len(puzzles), np.nan)}


def too_few(info: TaskInfo, puzzles: PuzzleSet) -> dict[str, Any]:
    return {"depth": np.zeros(len(puzzles) - 1)}


BROKEN: dict[str, tuple[TaskSpec, set[str], str]] = {
    "leak": (built(leaking), {LEAK}, r"20 of 20 test puzzles, e\.g\. 'grid-80', are in train"),
    "leak without a canonical form": (
        built(leaking, replace(TINY_TASK, canonical=None)),
        {LEAK},
        r"augmentation \d+ of test puzzle .*grid-80.* asks what training puzzle .*grid-0.* asks",
    ),
    "copies": (built(copying), {COPY}, r"10 of 20 test puzzles are the same as another one"),
    "no canonical form": (
        replace(TINY_TASK, canonical=by_value),
        {CANONICAL},
        r"augmentation 1 of train puzzle 'grid-0' has another key",
    ),
    "one canonical form for all": (
        replace(TINY_TASK, canonical=constant),
        {LEAK, COPY, CANONICAL},
        r"60 different train puzzles have only 1 keys",
    ),
    "feature that is no number": (
        replace(TINY_TASK, features=not_a_number),
        {FEATURES},
        r"feature 'depth' must be a finite number for each of 20 test puzzles",
    ),
    "too few of a feature": (replace(TINY_TASK, features=too_few), {FEATURES}, r"each of 20 test puzzles"),
}

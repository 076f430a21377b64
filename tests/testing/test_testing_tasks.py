"""What `trm_bench.testing` finds in tasks, correct ones and broken ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.findings import failed, require_only, samples, unbroken
from support.leaks import BROKEN, LEAK
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import Tokens
from trm_bench.testing import (
    TINY_TASK,
    NotConforming,
    check_task,
    tasks,
    tiny,
)
from trm_bench.testing.tasks import find_in_task

from trm_bench import (
    BuildRequest,
    DataError,
    EvaluatorSpec,
    NoAugmentation,
    PuzzleSet,
    Sample,
    TaskData,
    TaskSpec,
)

SIDE, COLOURS = tiny.SIDE, tiny.COLOURS
TESTED = tiny.SIZES[2]
Predicted = Any


# --- the tiny task ---------------------------------------------------------------------------------

SEEDS = st.integers(0, 2**63 - 1)
GRIDS = st.integers(1, 12).flatmap(
    lambda count: arrays(np.uint8, (count, SIDE * SIDE), elements=st.integers(0, COLOURS))
)


def upside_down(tokens: Tokens) -> Tokens:
    return tokens.reshape(-1, SIDE, SIDE)[:, ::-1].reshape(tokens.shape)


@settings(max_examples=60, deadline=None)
@given(SEEDS, GRIDS, st.data())
def test_augmentations_of_the_tiny_task_rename_colours_can_be_undone_and_keep_the_rule(
    seed: int, grids: Tokens, data: st.DataObject
) -> None:
    count = len(grids)
    items = data.draw(arrays(np.int64, count, elements=st.integers(0, 2**31)))
    ks = data.draw(arrays(np.int64, count, elements=st.integers(0, 2**31)))
    transforms = tiny.Recolour().transforms(seed, items, ks)
    made = transforms.apply(grids)
    assert made.dtype == np.uint8
    assert made.max() <= COLOURS
    assert np.array_equal(made == 0, grids == 0)  # padding stays padding
    for before, after in zip(grids, made, strict=True):
        pairs = set(zip(before.tolist(), after.tolist(), strict=True))
        assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
    assert np.array_equal(transforms.invert(made), grids)
    assert np.array_equal(transforms.apply(upside_down(grids)), upside_down(made))
    assert np.array_equal(made[ks == 0], grids[ks == 0])


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 12), st.data())
def test_an_augmentation_of_the_tiny_task_is_a_function_of_seed_puzzle_and_number(
    seed: int, count: int, data: st.DataObject
) -> None:
    items = data.draw(arrays(np.int64, count, elements=st.integers(0, 2**31)))
    ks = data.draw(arrays(np.int64, count, elements=st.integers(0, 2**31)))
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=8)))
    whole = tiny.Recolour().transforms(seed, items, ks).tokens
    assert np.array_equal(tiny.Recolour().transforms(seed, items[rows], ks[rows]).tokens, whole[rows])


def test_the_tiny_task_has_every_renaming_and_other_seeds_have_other_ones() -> None:
    ks = np.arange(400)
    names = tiny.Recolour().transforms(0, np.zeros_like(ks), ks).tokens
    wanted = {(0, *order) for order in permutations(range(1, COLOURS + 1))}
    assert {tuple(row) for row in names.tolist()} == wanted
    for seed, items in ((1, np.zeros_like(ks)), (0, np.ones_like(ks))):
        assert not np.array_equal(tiny.Recolour().transforms(seed, items, ks).tokens, names)


@pytest.mark.parametrize("seed", [0, 1, 12])
def test_no_puzzle_of_the_tiny_task_is_another_one_recoloured(seed: int) -> None:
    data = tiny.build(BuildRequest("mini", seed))
    assert tuple(len(split) for split in (data.train, data.validation, data.test)) == tiny.SIZES
    seen: set[bytes] = set()
    for split in (data.train, data.validation, data.test):
        assert np.array_equal(split.targets, upside_down(split.inputs))
        for grid in split.inputs:
            names = {old: new for new, old in enumerate(dict.fromkeys(grid.tolist()))}
            seen.add(bytes(names[token] for token in grid.tolist()))
    assert len(seen) == sum(tiny.SIZES)


# --- tasks -----------------------------------------------------------------------------------------


def by_rule(task: Any, puzzles: PuzzleSet, predictions: Predicted) -> list[Sample]:
    return samples(puzzles, (predictions.tokens == upside_down(puzzles.inputs)).all(1))


def but_one(task: Any, puzzles: PuzzleSet, predictions: Predicted) -> list[Sample]:
    return samples(puzzles, (predictions.tokens == puzzles.targets)[:, 1:].all(1))


def blind(task: Any, puzzles: PuzzleSet, predictions: Predicted) -> list[Sample]:
    return samples(puzzles, np.ones(len(puzzles)))


RULE = EvaluatorSpec("by-rule", "is it upside down", evaluate=by_rule)
BUT_ONE = EvaluatorSpec("but-one", "the first cell is not looked at", evaluate=but_one)
BLIND = EvaluatorSpec("blind", "everything is right", evaluate=blind)
OWN = (RULE, BUT_ONE, BLIND)
RULED = replace(TINY_TASK, evaluators=("exact", "by-rule"))

Change = Callable[[TaskData], TaskData]


def built(change: Change, spec: TaskSpec = RULED) -> TaskSpec:
    return replace(spec, build=lambda request: change(tiny.build(request)))


def in_split(split: str, **arrays_of: Callable[[PuzzleSet], Any]) -> TaskSpec:
    """The task with arrays of a split replaced."""

    def change(data: TaskData) -> TaskData:
        puzzles: PuzzleSet = getattr(data, split)
        changed = replace(puzzles, **{name: make(puzzles) for name, make in arrays_of.items()})
        return replace(data, **{split: changed})

    return built(change)


def put(name: str, row: Any, cell: Any, value: int) -> Callable[[PuzzleSet], Tokens]:
    def changed(puzzles: PuzzleSet) -> Tokens:
        tokens: Tokens = getattr(puzzles, name).copy()
        tokens[row, cell] = value
        return tokens

    return changed


@dataclass(frozen=True)
class Made:
    """An augmentation by a function."""

    transforms: Callable[[int, Any, Any], Any]
    max_augmentations: int | None = None


def augmented(transforms: Callable[[int, Any, Any], Any]) -> TaskSpec:
    return replace(RULED, augmentation=lambda request: Made(transforms), canonical=None)


@dataclass(frozen=True)
class OneWay:
    """Transforms that are undone by doing them again."""

    inner: Any

    def apply(self, tokens: Tokens) -> Tokens:
        return self.inner.apply(tokens)

    def invert(self, tokens: Tokens) -> Tokens:
        return self.inner.apply(tokens)


def recoloured(seed: int, items: Any, ks: Any) -> Any:
    return tiny.Recolour().transforms(seed, items, ks)


def by_place(seed: int, items: Any, ks: Any) -> Any:
    return recoloured(seed, np.where(ks == 0, items, np.arange(len(items))), ks)


def turned(seed: int, items: Any, ks: Any) -> Any:
    """Rows move down by one, which is no symmetry of turning a grid upside down."""
    transforms = recoloured(seed, items, ks)
    cells = transforms.cells.copy()
    cells[ks > 0] = np.roll(cells[ks > 0], SIDE, axis=1)
    return replace(transforms, cells=cells)


def anything(request: BuildRequest) -> TaskData:
    return tiny.build(replace(request, seed=int(np.random.default_rng().integers(1 << 30))))


def repeating(data: TaskData) -> TaskData:
    return replace(data, test=replace(data.test, ids=data.train.ids[:TESTED]))


def solved_already(data: TaskData) -> TaskData:
    same = {name: getattr(data, name) for name in ("train", "validation", "test")}
    return replace(data, **{name: replace(one, targets=one.inputs) for name, one in same.items()})


def no_file(request: BuildRequest) -> TaskData:
    raise DataError("grids.csv:3: 15 cells, not 16")


MADE, TOKENS, AGAIN, OTHER = "it builds", "tokens and shapes", "same request", "another seed gives other"
IDS, ITSELF = "ids are unique", "augmentation 0"
PURE = "function of (seed, puzzle, k)"
UNDONE, KEEPS, OWN_TARGETS = "can be undone", "augmentation of a target", "every target is accepted"
SPOILT, INPUT = "spoilt target is refused", "input is not the target"
SCORED = replace(TINY_TASK, evaluators=("exact", "but-one"), primary="but-one")

TASKS: dict[str, tuple[TaskSpec, set[str], str]] = {
    **BROKEN,
    "no file": (replace(RULED, build=no_file), {MADE}, r"^grids\.csv:3: 15 cells, not 16$"),
    "crash": (replace(RULED, build=lambda request: 1 // 0), {MADE}, r"^ZeroDivisionError"),
    "unknown evaluator": (replace(RULED, evaluators=("exakt",)), {MADE}, r"exakt.*did you mean 'exact'"),
    "token": (
        in_split("test", inputs=put("inputs", 3, 4, 9)),
        {TOKENS},
        r"test\.inputs .*up to 9.*vocab_size=5",
    ),
    "wide tokens": (
        in_split("train", targets=lambda puzzles: puzzles.targets.astype(np.int64)),
        {TOKENS},
        r"train\.targets is int64.*expected uint8",
    ),
    "cells": (
        built(lambda data: replace(data, info=replace(data.info, width=5))),
        {TOKENS},
        r"\(60, 16\).*expected .*\(N, 20\)",
    ),
    "empty label": (
        in_split("validation", targets=put("targets", 3, slice(None), 0)),
        {TOKENS},
        r"a validation puzzle has no labelled cell",
    ),
    "empty split": (
        built(lambda data: replace(data, test=data.test.take(slice(0, 0)))),
        {TOKENS},
        r"the test split is empty",
    ),
    "not deterministic": (replace(RULED, build=anything), {AGAIN}, r"the train split differs"),
    "seed ignored": (
        replace(RULED, build=lambda request: tiny.build(replace(request, seed=0))),
        {OTHER},
        r"another seed gives the same puzzles",
    ),
    "repeated ids": (built(repeating), {IDS}, r"grid-0"),
    "augmentation 0": (
        augmented(lambda seed, items, ks: recoloured(seed, items, ks + 1)),
        {ITSELF},
        r"augmentation 0 is not the puzzle",
    ),
    "by place": (augmented(by_place), {PURE}, r"function of \(seed, i, k\)"),
    "one way": (
        augmented(lambda seed, items, ks: OneWay(recoloured(seed, items, ks))),
        {UNDONE},
        r"invert\(apply\(x\)\) is not x for the inputs of puzzle .*grid-0.*augmentation \d",
    ),
    "no symmetry": (
        augmented(turned),
        {KEEPS},
        r"evaluator by-rule .*augmented target of .*grid-0, augmentation 1",
    ),
    "wrong target": (
        in_split("test", targets=put("targets", 3, 0, 1), inputs=put("inputs", 3, 12, 2)),
        {OWN_TARGETS},
        r"evaluator by-rule .*target of test puzzle .*grid-83.* 0, not 1",
    ),
    "first cell not looked at": (SCORED, {SPOILT}, r"one cell .*100% are still right"),
    "blind": (replace(SCORED, evaluators=("blind",), primary="blind"), {SPOILT, INPUT}, r"100%"),
    "own target": (built(solved_already, TINY_TASK), {INPUT}, r"every input is its own target"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "checks", "words"), TASKS.values(), ids=TASKS.keys())
def test_a_broken_task_is_caught_by_the_check_that_is_meant_for_it(
    spec: TaskSpec, checks: set[str], words: str
) -> None:
    require_only(failed(find_in_task(spec, evaluators=OWN)), checks, words)


def test_every_check_of_tasks_has_a_task_that_only_it_catches() -> None:
    assert unbroken(tasks.CHECKS, TASKS) == []


@pytest.mark.parametrize(
    "spec", [TINY_TASK, RULED, replace(RULED, augmentation=lambda request: NoAugmentation())]
)
def test_a_correct_task_passes_every_check(spec: TaskSpec) -> None:
    assert len(check_task(spec, evaluators=OWN)) == 1 + len(tasks.CHECKS)


def test_the_error_of_a_task_names_each_failure_and_where_to_look() -> None:
    with pytest.raises(NotConforming) as raised:
        check_task(TASKS["blind"][0], evaluators=OWN)
    first, *lines = str(raised.value).splitlines()
    assert first == f"task {TINY_TASK.name}: 2 of {1 + len(tasks.CHECKS)} checks failed"
    assert all(line.strip().startswith("NO ") and "[look at " in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("sudoku-extreme", "generated"),
        ("maze-hard", "generated"),
        ("maze-unique", "generated"),
        ("arc-agi-1", "packaged"),
    ],
)
def test_the_built_in_tasks_pass(name: str, source: str) -> None:
    assert len(check_task(name, BuildRequest("mini", 0, source, at_most=40))) == 1 + len(tasks.CHECKS)


def test_a_task_is_built_as_requested() -> None:
    requests: list[BuildRequest] = []

    def build(request: BuildRequest) -> TaskData:
        requests.append(request)
        return tiny.build(request)

    find_in_task(replace(TINY_TASK, build=build), BuildRequest("mini", 5))
    assert {request.seed for request in requests} == {5, 6}
    with pytest.raises(UsageError, match="no scale 'paper'"):
        find_in_task(TINY_TASK, BuildRequest("paper", 0))
    with pytest.raises(UsageError, match=r"unknown task 'sudoku-extrem'; did you mean 'sudoku-extreme'"):
        check_task("sudoku-extrem")


# --- what must be caught too -----------------------------------------------------------------------


@pytest.mark.slow
def test_an_item_is_named_as_its_task_names_it() -> None:
    """Not as numpy shows it."""
    found = [find_in_task(TASKS[name][0], evaluators=OWN) for name in TASKS]
    assert [str(one) for findings in found for one in findings if "np." in one.words] == []


def test_identifiers_that_no_run_would_take_are_caught() -> None:
    """`run` refuses such puzzles."""
    spec = in_split("test", identifiers=lambda one: np.full(len(one), 5, np.int32))
    assert failed(find_in_task(spec, evaluators=OWN))


def test_a_copy_of_any_training_puzzle_is_a_leak() -> None:
    def build(request: BuildRequest) -> TaskData:
        data = tiny.build(request)
        more = (
            np.random.default_rng(request.seed).integers(1, 1 + COLOURS, (300, SIDE * SIDE)).astype(np.uint8)
        )
        train = PuzzleSet.single_identity(
            more, upside_down(more), [f"more-{row}" for row in range(len(more))]
        )
        leaked = train.take(slice(280, 300))
        return replace(data, train=train, test=replace(leaked, ids=data.test.ids, clusters=data.test.ids))

    assert any(LEAK in check for check in failed(find_in_task(replace(TINY_TASK, build=build))))


def test_a_primary_evaluator_that_the_task_does_not_name_is_named_as_such() -> None:
    found = failed(find_in_task(replace(TINY_TASK, primary="sudoku-valid")))
    assert found
    assert all("primary" in finding.words for finding in found.values())

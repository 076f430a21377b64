"""What `trm_bench.testing` finds in tasks, evaluators and reporters, correct ones and broken ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.leaks import BROKEN, LEAK
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import Tokens
from trm_bench.harness.host.host import host
from trm_bench.testing import (
    TINY_TASK,
    Finding,
    NotConforming,
    check_evaluator,
    check_reporter,
    check_task,
    evaluators,
    reporters,
    tasks,
    tiny,
)
from trm_bench.testing.evaluators import find_in_evaluator
from trm_bench.testing.reporters import find_in_reporter
from trm_bench.testing.tasks import find_in_task

from trm_bench import (
    BuildRequest,
    DataError,
    EvaluatorSpec,
    NoAugmentation,
    PuzzleSet,
    ReporterSpec,
    Sample,
    TaskData,
    TaskSpec,
)

SIDE, COLOURS = tiny.SIDE, tiny.COLOURS
TESTED = tiny.SIZES[2]
Predicted = Any


def failed(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings if not finding.ok}


def require_only(found: dict[str, Finding], checks: set[str], words: str) -> None:
    """Just these checks failed, and one of them with this message."""
    assert {fragment for fragment in checks if any(fragment in check for check in found)} == checks
    assert len(found) == len(checks)
    assert any(re.search(words, finding.words) for finding in found.values()), found
    assert all(finding.where for finding in found.values())


def caught_alone(cases: dict[str, Any]) -> set[str]:
    """The checks that some case breaks and no other check notices."""
    return {next(iter(case[1])) for case in cases.values() if len(case[1]) == 1}


def unbroken(checks: Sequence[tuple[Any, Any]], cases: dict[str, Any]) -> list[str]:
    fragments = caught_alone(cases)
    return [check.words for check, _ in checks if not any(one in check.words for one in fragments)]


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


def samples(puzzles: PuzzleSet, scores: Any, extras: Sequence[dict[str, Any]] | None = None) -> list[Sample]:
    further = extras or [{}] * len(puzzles)
    return [
        Sample(str(item), str(cluster), float(score), one)
        for item, cluster, score, one in zip(puzzles.ids, puzzles.clusters, scores, further, strict=True)
    ]


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


# --- evaluators ------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)


def share(puzzles: PuzzleSet, predictions: Predicted) -> Any:
    return (predictions.tokens == puzzles.targets).mean(1)


def right(puzzles: PuzzleSet, predictions: Predicted) -> Any:
    return share(puzzles, predictions) == 1


def evaluator(
    scores: Callable[[PuzzleSet, Predicted], Any], extras: Any = None, **fields: Any
) -> EvaluatorSpec:
    def evaluate(task: Any, puzzles: PuzzleSet, predictions: Predicted) -> list[Sample]:
        return samples(puzzles, scores(puzzles, predictions), extras and extras(puzzles))

    return EvaluatorSpec("tried", "an evaluator", evaluate=evaluate, **fields)


def returned(change: Callable[[list[Sample]], Any]) -> EvaluatorSpec:
    """Right scores, returned in another way."""

    def evaluate(task: Any, puzzles: PuzzleSet, predictions: Predicted) -> Any:
        return change(samples(puzzles, share(puzzles, predictions)))

    return EvaluatorSpec("tried", "an evaluator", evaluate=evaluate)


EACH, BOUNDED, RIGHT = "one sample per test item", "from 0 to 1", "the target scores 1"
ALONE, SAME, EXTRAS = "each for itself", "same predictions get the same", "extras are finite numbers"

EVALUATORS: dict[str, tuple[EvaluatorSpec, set[str], str]] = {
    "order": (returned(lambda found: found[::-1]), {EACH}, r"20 samples for 20 puzzles, or in another order"),
    "one missing": (returned(lambda found: found[1:]), {EACH}, r"19 samples for 20 puzzles"),
    "cluster": (
        returned(lambda found: [replace(one, cluster="all") for one in found]),
        {EACH},
        r"Sample\.cluster must be that of the puzzle",
    ),
    "nothing": (returned(lambda found: None), {EACH}, r"NoneType"),
    "percent": (
        evaluator(lambda *given: 100 * share(*given)),
        {BOUNDED},
        r"item grid-80: score 100\.0 is not from 0 to 1",
    ),
    "constant": (evaluator(lambda puzzles, _: np.zeros(len(puzzles))), {RIGHT}, r"score 0 to 0; expected 1"),
    "neighbours": (
        evaluator(lambda *given: (share(*given) + np.roll(share(*given), 1)) / 2),
        {ALONE},
        r"changes with the other items",
    ),
    "random": (
        evaluator(lambda puzzles, given: np.where(right(puzzles, given), 1, RNG.random(len(puzzles)))),
        {ALONE, SAME},
        r"scored in two ways",
    ),
    "never refuses": (evaluator(lambda puzzles, _: np.ones(len(puzzles))), {"score less"}, r"no lower"),
    "endless extra": (
        evaluator(share, lambda puzzles: [{"length": float("inf")}] * len(puzzles)),
        {EXTRAS},
        r"item grid-80: extra length is inf",
    ),
}


@pytest.mark.parametrize(("spec", "checks", "words"), EVALUATORS.values(), ids=EVALUATORS.keys())
def test_a_broken_evaluator_is_caught_by_the_check_that_is_meant_for_it(
    spec: EvaluatorSpec, checks: set[str], words: str
) -> None:
    require_only(failed(find_in_evaluator(spec)), checks, words)


def test_every_check_of_evaluators_has_an_evaluator_that_it_catches() -> None:
    broken = {fragment for _, checks, _ in EVALUATORS.values() for fragment in checks}
    assert [one.words for one, _ in evaluators.CHECKS if not any(part in one.words for part in broken)] == []


def test_scores_that_are_no_numbers_are_caught() -> None:
    found = failed(find_in_evaluator(evaluator(lambda puzzles, _: np.full(len(puzzles), np.nan))))
    (bounded,) = (finding for check, finding in found.items() if BOUNDED in check)
    assert "score nan" in bounded.words


def test_correct_evaluators_pass() -> None:
    counted = evaluator(share, lambda puzzles: [{"cells": 16.0}] * len(puzzles))
    for spec in (RULE, evaluator(share), returned(iter), returned(tuple), counted):
        assert len(check_evaluator(spec)) == len(evaluators.CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["exact", "cells", "sudoku-valid", "maze-valid", "maze-shortest", "pass@2", "single"]
)
def test_the_built_in_evaluators_pass(name: str) -> None:
    findings = check_evaluator(name)
    assert len(findings) == len(evaluators.CHECKS)
    fitting = host().evaluators.get(name).spec.tasks
    assert f"of task {fitting[0] if fitting else TINY_TASK.name}" in findings[0].words


def test_the_error_of_an_evaluator_names_it() -> None:
    with pytest.raises(NotConforming, match=r"^evaluator tried: 1 of 7 checks failed"):
        check_evaluator(EVALUATORS["percent"][0])
    with pytest.raises(UsageError, match=r"unknown evaluator 'exakt'; did you mean 'exact'"):
        check_evaluator("exakt")


# --- reporters -------------------------------------------------------------------------------------


def plain(report: Any) -> str:
    rows = report.tables[0].rows
    return "\n".join(f"{row.model} {100 * row.means['exact']:.1f} {len(row.seeds)}" for row in rows)


TEXT, NAMED, SCORES = "it gives text", "every model is named", "every score is shown"
SINGLE, STEADY = "one seed", "the same report gives"
REPORTERS: dict[str, tuple[Callable[[Any], Any], set[str], str]] = {
    "bytes": (lambda report: plain(report).encode(), {TEXT}, r"bytes"),
    "nothing": (lambda report: None, {TEXT}, r"NoneType"),
    "empty": (lambda report: " \n", {TEXT}, r"no content"),
    "crash": (lambda report: report.no_such_thing, {TEXT}, r"AttributeError: .*no_such_thing"),
    "a model left out": (
        lambda report: plain(report).replace("beta-net", "the other"),
        {NAMED},
        r"no word of beta-net:",
    ),
    "no scores": (lambda report: "alpha-net beta-net", {SCORES}, r"the score of alpha-net, \d+\.\d %"),
    "second seed": (
        lambda report: plain(report) + str(report.tables[0].rows[0].seeds[1].score),
        {SINGLE},
        r"IndexError",
    ),
    "silent on one seed": (
        lambda report: plain(report) if len(report.tables[0].rows[0].seeds) > 1 else "",
        {SINGLE},
        r"gives nothing",
    ),
    "draws": (lambda report: f"{plain(report)} {RNG.random()}", {STEADY}, r"two texts"),
}


@pytest.mark.parametrize(("render", "checks", "words"), REPORTERS.values(), ids=REPORTERS.keys())
def test_a_broken_reporter_is_caught_by_the_check_that_is_meant_for_it(
    render: Callable[[Any], Any], checks: set[str], words: str
) -> None:
    require_only(failed(find_in_reporter(ReporterSpec("tried", "a reporter", render=render))), checks, words)


def test_every_check_of_reporters_has_a_reporter_that_only_it_catches() -> None:
    assert unbroken(reporters.CHECKS, REPORTERS) == []


def test_correct_reporters_pass_and_the_error_of_another_names_it() -> None:
    assert len(check_reporter(ReporterSpec("plain", "lines", render=plain))) == len(reporters.CHECKS)
    with pytest.raises(NotConforming, match=r"^reporter tried: 1 of \d checks failed"):
        check_reporter(ReporterSpec("tried", "a reporter", render=REPORTERS["bytes"][0]))
    with pytest.raises(UsageError, match="unknown reporter 'txt'"):
        check_reporter("txt")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text", "markdown", "latex", "html", "csv", "json"])
def test_the_built_in_reporters_pass(name: str) -> None:
    assert len(check_reporter(name)) == len(reporters.CHECKS)


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


def test_a_score_that_depends_on_neighbours_is_caught_where_it_is_all_or_nothing_too() -> None:
    both = evaluator(lambda *given: right(*given) & np.roll(right(*given), 1))
    assert any(ALONE in check for check in failed(find_in_evaluator(both)))


def test_an_evaluator_is_not_tried_on_a_task_that_it_was_not_made_for() -> None:
    """`run` refuses the two together."""
    with pytest.raises(UsageError, match=r"sudoku-valid.*sudoku-extreme"):
        find_in_evaluator("sudoku-valid", "arc-agi-1")

"""What `trm_bench.testing` finds in evaluators and reporters, correct ones and broken ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.findings import failed, require_only, samples, unbroken
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.host.host import host
from trm_bench.testing import (
    TINY_TASK,
    NotConforming,
    check_evaluator,
    check_reporter,
    evaluators,
    reporters,
)
from trm_bench.testing.evaluators import find_in_evaluator
from trm_bench.testing.reporters import find_in_reporter

from trm_bench import (
    EvaluatorSpec,
    PuzzleSet,
    ReporterSpec,
    Sample,
)

Predicted = Any

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
    for spec in (evaluator(share), evaluator(right), returned(iter), returned(tuple), counted):
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


def test_a_score_that_depends_on_neighbours_is_caught_where_it_is_all_or_nothing_too() -> None:
    both = evaluator(lambda *given: right(*given) & np.roll(right(*given), 1))
    assert any(ALONE in check for check in failed(find_in_evaluator(both)))


def test_an_evaluator_is_not_tried_on_a_task_that_it_was_not_made_for() -> None:
    """`run` refuses the two together."""
    with pytest.raises(UsageError, match=r"sudoku-valid.*sudoku-extreme"):
        find_in_evaluator("sudoku-valid", "arc-agi-1")


def keeps_givens(puzzles: PuzzleSet, predictions: Predicted) -> Any:
    """True of the input itself, too."""
    given = puzzles.inputs == puzzles.targets
    return ((predictions.tokens == puzzles.inputs) | ~given).all(1)


def test_an_evaluator_that_the_input_satisfies_is_right() -> None:
    assert all(finding.ok for finding in find_in_evaluator(evaluator(keeps_givens)))


def test_one_that_writes_into_its_arrays_is_found() -> None:
    def cheat(puzzles: PuzzleSet, predictions: Predicted) -> Any:
        predictions.tokens[:] = puzzles.targets
        return share(puzzles, predictions)

    found = find_in_evaluator(evaluator(cheat))
    assert any(not finding.ok and "read-only" in finding.words for finding in found)


def test_a_full_name_of_a_task_is_taken(run_cli: Any) -> None:
    ended = run_cli("check", "maze-valid", "--task", "trm-bench:maze-hard")
    assert ended.code == 0, ended.out + ended.err

"""The answers of a study: each sentence has the numbers of the statistics and claims no more than they do."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.answers import SCORES, grids, made, only_answer, p_of, percent, study_of
from support.folders import (
    HRM,
    INCOMPLETE,
    ITEMS,
    PLAIN,
    TRM,
    on_task,
    quick,
    render,
    report_of,
    request,
    solved,
    three_models,
    write_model,
    write_run,
)
from support.studies import ask, crossed, declare, definition, paired, request_too, write_evaluated
from trm_bench.harness.report.compare import compare_models
from trm_bench.harness.report.table import Answer
from trm_bench.harness.stats.rules import SINGLE_RUN
from trm_bench.harness.stats.tests import Difference, Verdict, holm
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Status

__all__ = ["quick"]


def numbers(answer: Answer, a: str, b: str, difference: Difference, tests: int) -> str:
    """What a sentence must say of a difference: alone, and in its family."""
    assert answer.pair is not None
    family = answer.pair.family
    assert family is not None
    assert difference.low is not None
    assert difference.high is not None
    assert difference.p is not None
    return (
        f"{a} minus {b} is {percent(difference.delta)} points (alone 95 % CI {percent(difference.low)} to "
        f"{percent(difference.high)}, {p_of(difference.p)}; among {tests} tests {percent(family.low)} to "
        f"{percent(family.high)}, Holm's {p_of(family.p)})"
    )


# --- yes, no, undecided --------------------------------------------------------------------------


def test_each_answer_has_its_word_and_the_numbers_of_the_test(tmp_path: Path) -> None:
    questions = (
        ask("trm-mlp", "hrm", "One?"),
        ask("plain", "trm-mlp", "Two?"),
        ask("hrm", "plain", "Three?"),
    )
    study = study_of(report_of(made(tmp_path, *questions)))
    tests = [crossed(TRM, HRM), crossed(PLAIN, TRM), crossed(HRM, PLAIN)]
    first, second, third = study.answers
    assert first.sentence == f"One? Yes: {numbers(first, 'trm-mlp', 'hrm', tests[0], 3)}."
    assert second.sentence == (
        f"Two? No, the other way round: {numbers(second, 'plain', 'trm-mlp', tests[1], 3)}."
    )
    assert third.pair is not None
    assert third.pair.decidable is not None
    assert third.sentence.startswith(
        f"Three? Undecided: {numbers(third, 'hrm', 'plain', tests[2], 3)}. With 3 seeds this pair is "
        f"decided among 3 tests from {100 * third.pair.decidable:.0f} points on (80 % power); with 5, "
    )
    assert holm_p(study.answers) == holm([test.p for test in tests])
    pairs = [answer.pair for answer in study.answers]
    assert [pair and pair.verdict for pair in pairs] == [
        Verdict.A_BETTER,
        Verdict.B_BETTER,
        Verdict.UNDECIDED,
    ]
    assert [pair and pair.difference for pair in pairs] == tests
    assert tests[0].delta > 0 > tests[1].delta


def test_a_study_says_what_it_is_and_at_which_scale(tmp_path: Path) -> None:
    folder = made(tmp_path, ask("trm-mlp", "hrm"), source="a paper")
    study = study_of(report_of(folder))
    assert (study.name, study.asks, study.source, study.scale) == (
        "made",
        "is one of them better?",
        "a paper",
        "mini",
    )
    assert [(answer.asks, answer.grid) for answer in study.answers] == [("Is it better?", "main")]


def test_a_p_value_is_never_given_as_zero(tmp_path: Path) -> None:
    scores = {"a": solved(1, 0.95, 0.96, 0.94, items=600), "b": solved(2, 0.2, 0.21, 0.19, items=600)}
    answer = only_answer(made(tmp_path, ask("a", "b"), scores=scores))
    assert answer.pair is not None
    assert answer.pair.holm_p is not None
    assert 0 < answer.pair.holm_p < 1e-4
    assert answer.sentence.endswith("p < 0.0001; the only test).")


def test_a_difference_that_only_holm_takes_back_is_undecided(tmp_path: Path) -> None:
    """The word follows the adjusted p, not the interval of the pair by itself."""
    scores = {"a": solved(1, 0.62, 0.64, 0.6, items=60), "b": solved(2, 0.46, 0.52, 0.48, items=60)}
    alone = crossed(scores["a"], scores["b"])
    assert alone.p is not None
    assert alone.low is not None
    assert 0.0125 < alone.p < 0.05
    others = {name: solved(place, 0.5, 0.52, 0.48, items=60) for place, name in enumerate("cde", start=3)}
    asked = [ask("a", "b"), *(ask("b", name, f"And {name}?") for name in others)]
    one = made(tmp_path / "1", *asked[:1], scores=scores)
    four = made(tmp_path / "4", *asked, scores={**scores, **others})
    assert "? Yes: " in only_answer(one).sentence
    answer = study_of(report_of(four)).answers[0]
    assert "? Undecided among 4 questions, yes if this were the only one: " in answer.sentence
    assert f"alone 95 % CI {percent(alone.low)} to" in answer.sentence
    assert answer.pair is not None
    assert answer.pair.verdict is Verdict.ONLY_ALONE_A


def test_a_question_on_the_same_results_counts_once(tmp_path: Path) -> None:
    """Also where it is asked the other way round: 13 wordings of one test are one test."""
    asked = [ask("trm-mlp", "hrm", f"Question {number}?") for number in range(4)]
    folder = made(tmp_path, *asked, ask("hrm", "trm-mlp", "Reversed?"), ask("hrm", "plain", "Another?"))
    study = study_of(report_of(folder))
    assert study.tests == 2
    first, *_, turned, another = holm_p(study.answers)
    tests = [crossed(TRM, HRM).p, crossed(HRM, PLAIN).p]
    assert [first, another] == holm(tests)
    assert turned == first


def test_models_within_a_declared_margin_are_no_difference_that_matters(tmp_path: Path) -> None:
    scores = {"a": solved(1, 0.5, 0.5, 0.5, items=400), "b": solved(1, 0.5, 0.51, 0.5, items=400)}
    wide, none = (
        only_answer(made(tmp_path / str(margin), ask("a", "b"), scores=scores, margin=margin))
        for margin in (20, None)
    )
    assert wide.pair is not None
    assert wide.pair.verdict is Verdict.EQUIVALENT
    assert "No difference that matters: a minus b" in wide.sentence
    assert "below the declared margin of 20.0 points" in wide.sentence
    assert "Undecided: " in none.sentence


# --- not tested, not run, nothing to compare -----------------------------------------------------


def test_single_runs_are_not_tested_and_their_difference_is_given(tmp_path: Path) -> None:
    scores = {"a": TRM[:1], "b": HRM[:1]}
    answer = only_answer(made(tmp_path, ask("a", "b"), scores=scores))
    delta = percent(TRM[0].mean() - HRM[0].mean())
    assert answer.sentence == f"Is it better? Not tested ({SINGLE_RUN}): a minus b is {delta} points."
    assert answer.pair is not None
    assert answer.pair.verdict is Verdict.UNTESTED


def test_runs_that_never_vary_are_not_tested(tmp_path: Path) -> None:
    scores = {"a": np.ones((3, ITEMS)), "b": np.zeros((3, ITEMS))}
    answer = only_answer(made(tmp_path, ask("a", "b"), scores=scores))
    assert answer.sentence == (
        "Is it better? Not tested (a solved every puzzle in every seed, b solved none in any): "
        "a minus b is +100.0 points."
    )


def two_seeds(tmp_path: Path) -> Answer:
    scores = {"a": solved(1, 0.9, 0.92, items=400), "b": solved(2, 0.4, 0.42, items=400)}
    return only_answer(made(tmp_path, ask("a", "b"), scores=scores))


def test_two_seeds_decide_nothing_however_small_p_is(tmp_path: Path) -> None:
    answer = two_seeds(tmp_path)
    assert answer.pair is not None
    assert answer.pair.difference.p is not None
    assert answer.pair.difference.p < 0.05
    assert (answer.pair.family, answer.pair.verdict) == (None, Verdict.UNTESTED)
    assert answer.sentence.startswith(
        "Is it better? Not tested (2 seeds; a claim on methods needs 3 of each)"
    )


def test_two_seeds_that_decide_nothing_are_given_as_the_reason(tmp_path: Path) -> None:
    answer = two_seeds(tmp_path)
    assert answer.pair is not None
    assert answer.pair.note == "2 seeds; a claim on methods needs 3 of each"
    assert "needs 3 of each" in answer.sentence


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("status", [Status.FAILED, Status.INTERRUPTED, Status.RUNNING])
def test_a_seed_that_is_not_done_leaves_its_question_untested(
    status: Status, side: str, tmp_path: Path
) -> None:
    folder = made(tmp_path, ask("a", "b"), ask("a", "c"), scores={"a": TRM, "b": HRM, "c": PLAIN})
    name = write_run(folder / "main", side, 3, [], status=status)
    request_too(folder / "main", name, side, 3)
    first, second = study_of(report_of(folder)).answers
    delta = percent(TRM.mean() - HRM.mean())
    assert first.sentence == f"Is it better? Not tested ({INCOMPLETE}): a minus b is {delta} points."
    assert first.pair is not None
    assert (first.pair.holm_p, first.pair.verdict, first.pair.decidable) == (None, Verdict.UNTESTED, None)
    assert second.pair is not None
    assert (second.pair.verdict is Verdict.UNTESTED) is (side == "a")


def test_what_a_study_does_not_test_is_not_tested_by_compare_either(tmp_path: Path) -> None:
    """Of a training that failed nothing was evaluated: the evaluations alone look complete."""
    questions = (ask("a @ steps=1", "b @ steps=1"),)
    declare(tmp_path, definition(*questions, models=["a", "b"], evaluations=["steps=1"], margin=20))
    for model, scores in (("a", TRM), ("b", HRM)):
        write_evaluated(tmp_path / "main", model, scores)
        write_evaluated(tmp_path / "main-evaluated", model, scores, "steps=1", steps=1)
    (whole,) = compare_models("b @ steps=1", "a @ steps=1", [tmp_path], [])
    assert whole.verdict is Verdict.B_BETTER
    request_too(tmp_path / "main", write_run(tmp_path / "main", "a", 3, [], status=Status.FAILED), "a", 3)
    answered = only_answer(tmp_path).pair
    (compared,) = compare_models("b @ steps=1", "a @ steps=1", [tmp_path], [])
    for pair in (answered, compared):
        assert pair is not None
        assert (pair.note, pair.verdict, pair.family, pair.shares) == (
            INCOMPLETE,
            Verdict.UNTESTED,
            None,
            None,
        )
    assert answered is not None
    assert answered.equivalence is not None
    assert answered.equivalence.p is None


def test_a_requested_seed_whose_folder_has_gone_leaves_its_question_untested(tmp_path: Path) -> None:
    declare(tmp_path, definition(ask("a", "b"), models=["a", "b"]))
    names = [*write_model(tmp_path / "main", "a", TRM), *write_model(tmp_path / "main", "b", HRM)]
    request(tmp_path / "main", names)
    shutil.rmtree(tmp_path / "main" / names[4])
    assert f"Not tested ({INCOMPLETE})" in only_answer(tmp_path).sentence


def test_a_question_about_what_was_not_run_is_undecided(tmp_path: Path) -> None:
    folder = declare(
        tmp_path,
        definition(
            ask("a", "b", "One?"),
            ask("a @ steps=2", "a", "Two?"),
            models=["a", "b"],
            evaluations=["steps=2"],
        ),
    )
    write_evaluated(folder / "main", "a", TRM)
    study = study_of(report_of(folder))
    assert [answer.sentence for answer in study.answers] == [
        "One? Not tested: no finished run of b.",
        "Two? Not tested: no finished run of a @ steps=2.",
    ]
    assert [answer.pair for answer in study.answers] == [None, None]


def test_a_question_about_what_has_only_failed_is_undecided(tmp_path: Path) -> None:
    folder = declare(tmp_path, definition(ask("b", "a"), models=["a", "b"]))
    write_evaluated(folder / "main", "a", TRM)
    write_run(folder / "main", "b", 0, [], status=Status.FAILED)
    assert only_answer(folder).sentence == "Is it better? Not tested: no finished run of b."


def test_two_names_for_one_row_leave_nothing_to_compare(tmp_path: Path) -> None:
    content = definition(ask("b", "a"), ask("b", "c"), models=["a", "b", "c"])
    folder = declare(tmp_path, content, resolved={"a": "a", "b": "a", "c": "c"})
    for model, scores in (("a", TRM), ("c", HRM)):
        write_evaluated(folder / "main", model, scores)
    first, second = study_of(report_of(folder)).answers
    assert first.sentence == "Is it better? Nothing to compare: at this scale b and a are both a."
    assert second.pair is not None
    assert second.pair.difference == crossed(TRM, HRM)
    assert second.sentence.startswith("Is it better? Yes: b minus c is")


def test_one_row_under_two_evaluations_can_be_compared(tmp_path: Path) -> None:
    content = definition(ask("b @ steps=2", "a"), models=["a", "b"], evaluations=["steps=2"])
    folder = declare(tmp_path, content, resolved={"a": "a", "b": "a"})
    write_evaluated(folder / "main", "a", TRM)
    write_evaluated(folder / "main-evaluated", "a", HRM, "steps=2", steps=2)
    answer = only_answer(folder)
    assert answer.pair is not None
    assert answer.pair.difference == paired(HRM, TRM)


def test_the_same_weights_under_two_evaluations_are_paired(tmp_path: Path) -> None:
    content = definition(ask("a @ steps=2", "a"), models=["a"], evaluations=["steps=2"])
    folder = declare(tmp_path, content)
    again = np.where(np.arange(ITEMS) % 7 == 0, 1 - TRM, TRM)
    write_evaluated(folder / "main", "a", TRM)
    write_evaluated(folder / "main-evaluated", "a", again, "steps=2", steps=2)
    found, test = only_answer(folder), paired(again, TRM)
    assert found.pair is not None
    assert found.pair.difference == test != crossed(again, TRM)
    assert test.p is not None
    assert f"a @ steps=2 minus a is {percent(test.delta)} points" in found.sentence
    assert f"{p_of(test.p)}; the only test)" in found.sentence


def test_a_question_of_evaluations_is_not_answered_without_the_trainings_that_failed(tmp_path: Path) -> None:
    folder = declare(
        tmp_path, definition(ask("a @ steps=2", "b @ steps=2"), models=["a", "b"], evaluations=["steps=2"])
    )
    for model, scores in (("a", TRM), ("b", HRM)):
        trained = write_evaluated(folder / "main", model, scores)
        write_evaluated(folder / "main-evaluated", model, scores, "steps=2", steps=2)
        if model == "b":  # its last training failed, so that its weights were never evaluated
            run = RunFolder(folder / "main" / trained[-1])
            run.write_manifest(run.manifest().model_copy(update={"status": Status.FAILED}))
            shutil.rmtree(next((folder / "main-evaluated").glob(f"b-s{len(scores) - 1}-*")))
    answer = only_answer(folder)
    assert answer.pair is not None
    assert (answer.pair.verdict, answer.pair.note) == (Verdict.UNTESTED, INCOMPLETE)


def test_an_answer_from_paired_seeds_says_that_they_are(tmp_path: Path) -> None:
    content = definition(ask("a @ steps=2", "a"), models=["a"], evaluations=["steps=2"])
    folder = declare(tmp_path, content)
    write_evaluated(folder / "main", "a", TRM)
    write_evaluated(folder / "main-evaluated", "a", HRM, "steps=2", steps=2)
    assert "the same weights, so seeds are paired" in render(report_of(folder))


# --- the family ----------------------------------------------------------------------------------


def holm_p(answers: Sequence[Answer]) -> list[float | None]:
    return [answer.pair.holm_p if answer.pair else None for answer in answers]


def raw_p(answers: Sequence[Answer]) -> list[float | None]:
    return [answer.pair.difference.p if answer.pair else None for answer in answers]


def test_holm_is_over_the_contrasts_of_the_study_and_over_nothing_else(tmp_path: Path) -> None:
    fourth = solved(4, 0.6, 0.65, 0.7)
    folder = made(
        tmp_path, ask("trm-mlp", "hrm"), ask("fourth", "plain"), scores={**SCORES, "fourth": fourth}
    )
    report = report_of(folder)
    tests = [crossed(TRM, HRM).p, crossed(fourth, PLAIN).p]
    assert raw_p(study_of(report).answers) == tests
    assert holm_p(study_of(report).answers) == holm(tests)
    assert holm(tests) != tests


def test_a_question_counts_that_is_a_test_or_may_become_one(tmp_path: Path) -> None:
    content = definition(
        ask("b", "a"), ask("a", "c"), ask("a", "d"), ask("a", "single"), models=["a", "b", "c", "d", "single"]
    )
    folder = declare(tmp_path, content, resolved={"b": "a"})
    for model, scores in (("a", TRM), ("c", HRM), ("single", TRM[:1])):
        write_evaluated(folder / "main", model, scores)
    answers = study_of(report_of(folder)).answers
    p = crossed(TRM, HRM).p
    assert p is not None
    # b is a, single has one seed, and d was not run yet.
    assert holm_p(answers) == [None, 2 * p, None, None]


def test_a_question_is_asked_in_every_grid_or_in_the_one_that_it_names(tmp_path: Path) -> None:
    folder = grids(tmp_path, ask("a", "b", "One?"), ask("b", "a", "Two?", grid="short"))
    answers = study_of(report_of(folder)).answers
    assert [(answer.asks, answer.grid) for answer in answers] == [
        ("One?", "long"),
        ("One?", "short"),
        ("Two?", "short"),
    ]
    tests = [crossed(TRM, HRM), crossed(HRM, PLAIN), crossed(PLAIN, HRM)]
    assert [answer.pair and answer.pair.difference for answer in answers] == tests
    first, second, again = holm_p(answers)
    assert [first, second] == holm([test.p for test in tests[:2]])
    assert again == second  # the third asks about the runs of the second


def test_a_grid_that_was_not_run_yet_leaves_its_questions_open(tmp_path: Path) -> None:
    folder = grids(tmp_path, ask("a", "b"))
    shutil.rmtree(folder / "short")
    first, second = study_of(report_of(folder)).answers
    assert "? Yes: " in first.sentence
    assert second.sentence == "Is it better? Not tested: no finished run of a."


def test_two_studies_in_one_report_are_families_of_their_own(tmp_path: Path) -> None:
    first = made(tmp_path / "first", ask("trm-mlp", "hrm"), ask("hrm", "plain"))
    second = declare(tmp_path / "second", definition(ask("a", "b"), models=["a", "b"], name="second"))
    for model, scores in (("a", HRM), ("b", PLAIN)):
        write_evaluated(second / "main", model, scores, change=on_task("maze-hard"))
    together = report_of(first, second)
    assert [study.name for study in together.studies] == ["made", "second"]
    for study, folder in zip(together.studies, (first, second), strict=True):
        assert holm_p(study.answers) == holm(raw_p(study.answers))
        assert study == study_of(report_of(folder))


def test_a_run_beside_a_study_keeps_its_pairs_in_a_family_of_its_own(tmp_path: Path) -> None:
    study = made(tmp_path / "study", ask("trm-mlp", "hrm"), ask("hrm", "plain"))
    three_models(tmp_path / "run", change=on_task("maze-hard"))
    together = report_of(study, tmp_path / "run")
    of_study, of_run = together.tables
    assert of_study.pairs == ()
    assert [pair.holm_p for pair in of_run.pairs] == holm([pair.difference.p for pair in of_run.pairs])
    assert of_run.pairs == report_of(tmp_path / "run").tables[0].pairs
    assert study_of(together) == study_of(report_of(study))
    assert "3 tests, the tested pairs of this table" in of_run.family


def test_two_studies_that_trained_the_same_model_are_both_answered(tmp_path: Path) -> None:
    """As `depth` and `less-is-more` do, which both have TRM as the recipe has it."""
    first = made(tmp_path / "first", ask("trm-mlp", "hrm"))
    second = made(tmp_path / "second", ask("trm-mlp", "plain"), scores={"trm-mlp": TRM, "plain": PLAIN})
    answers = [study.answers[0].sentence for study in report_of(first, second).studies]
    assert answers == [only_answer(folder).sentence for folder in (first, second)]


# --- tables beside the answers -------------------------------------------------------------------


def test_the_tables_of_a_study_have_every_row_and_no_pairs(tmp_path: Path) -> None:
    folder = grids(tmp_path, ask("a", "b"))
    report = report_of(folder)
    assert [[row.model for row in table.rows] for table in report.tables] == [["a", "b"], ["a", "b"]]
    assert [table.budget and table.budget.amount for table in report.tables] == [100, 40]
    assert all(table.pairs == () for table in report.tables)
    assert all(table.family == "" for table in report.tables)
    assert report_of(folder / "long").tables[0].pairs


def test_the_rows_of_a_further_evaluation_stand_in_the_table_of_their_grid(tmp_path: Path) -> None:
    content = definition(ask("a @ steps=2", "a"), models=["a"], evaluations=["steps=2"])
    folder = declare(tmp_path, content)
    write_evaluated(folder / "main", "a", TRM)
    write_evaluated(folder / "main-evaluated", "a", HRM, "steps=2", steps=2)
    (table,) = report_of(folder).tables
    assert [row.label for row in table.rows] == ["a", "a @ steps=2"]


@pytest.mark.parametrize("evaluated", [2, 3])
def test_a_training_that_was_not_evaluated_keeps_its_question_in_the_family(
    evaluated: int, tmp_path: Path
) -> None:
    """It finished after the evaluations; no verdict may change when its own is there."""
    questions = ask("a", "b"), ask("a @ steps=2", "b @ steps=2")
    folder = declare(tmp_path, definition(*questions, models=["a", "b"], evaluations=["steps=2"]))
    scores = {"a": solved(1, 0.6, 0.65, 0.62), "b": solved(2, 0.4, 0.5, 0.45)}
    for model, of_model in scores.items():
        write_evaluated(folder / "main", model, of_model)
        some = of_model[:evaluated] if model == "b" else of_model
        write_evaluated(folder / "main-evaluated", model, some, "steps=2", steps=2)
    first, second = study_of(report_of(folder)).answers
    assert first.pair is not None
    assert first.pair.family is not None
    assert first.pair.family.tests == 2
    assert second.pair is not None
    problems: list[str] = []
    (pair,) = compare_models("a @ steps=2", "b @ steps=2", [folder], problems)
    assert pair.not_citable == second.pair.not_citable
    assert ("incomplete" in pair.not_citable) == (evaluated == 2)
    told = [problem for problem in problems if problem.startswith("NOT CITABLE")]
    assert any("incomplete" in problem for problem in told) == (evaluated == 2)

"""How each reporter, `compare` and JSON show the answers of a study."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest
from support.answers import grids, made, only_answer, p_of, percent, study_of
from support.folders import (
    HRM,
    PLAIN,
    TRM,
    quick,
    render,
    report_of,
)
from support.studies import ask, declare, definition, write_evaluated
from trm_bench.harness.planning.study import FILE
from trm_bench.harness.report.table import Report
from trm_bench.harness.stats.rules import Kind
from trm_bench.plugins.reporters.as_latex import escape
from trm_bench.testing.pytest_plugin import RunCli

__all__ = ["quick"]


WICKED = 'Is <b>A</b> & "B" > 50 % of #1_x for ~$3?'
REPORTERS = ("text", "markdown", "html", "latex", "json")


@pytest.fixture
def shown(tmp_path: Path) -> Report:
    """One question in each of two grids, in words that every format has to escape."""
    folder = grids(tmp_path, ask("a", "b", WICKED), ask("b", "a", "Is B better?", grid="short"))
    return report_of(folder)


def as_shown(reporter: str, text: str) -> str:
    """Text as it must stand in a reporter's output."""
    if reporter == "html":
        return html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    markdown = text.replace("<", "&lt;")
    shown = {"latex": escape(text), "json": json.dumps(text, ensure_ascii=False), "markdown": markdown}
    return shown.get(reporter, text)


@pytest.mark.slow
@pytest.mark.parametrize("reporter", REPORTERS)
def test_every_sentence_is_shown_and_escaped(reporter: str, shown: Report) -> None:
    text = render(shown, reporter)
    for answer in study_of(shown).answers:
        assert as_shown(reporter, answer.sentence) in text
    if reporter == "html":
        assert "<b>A</b>" not in text


@pytest.mark.parametrize("reporter", REPORTERS)
def test_every_reporter_says_which_study_it_is_and_where_the_question_comes_from(
    reporter: str, tmp_path: Path
) -> None:
    folder = made(tmp_path, ask("trm-mlp", "hrm"), source="Table 1 of a paper", name="ours")
    text = render(report_of(folder), reporter)
    assert as_shown(reporter, "is one of them better?") in text or "is one of them better?" in text
    assert "ours" in text
    assert reporter == "latex" or "Table 1 of a paper" in text


@pytest.mark.parametrize("reporter", ["text", "markdown", "html", "latex"])
def test_the_family_of_a_study_is_stated_beside_its_answers(reporter: str, shown: Report) -> None:
    assert as_shown(reporter, "the questions that the study declares; Holm's p and the interval") in render(
        shown, reporter
    )


@pytest.mark.slow
@pytest.mark.parametrize("reporter", ["text", "markdown", "html"])
def test_several_grids_are_told_apart_by_name(reporter: str, shown: Report, tmp_path: Path) -> None:
    text = render(shown, reporter)
    for answer in study_of(shown).answers:
        assert f"[{answer.grid}] {as_shown(reporter, answer.sentence)}" in text
    alone = made(tmp_path / "alone", ask("trm-mlp", "hrm"))
    assert "[main]" not in render(report_of(alone), reporter)


def test_several_grids_are_told_apart_by_name_in_latex(shown: Report) -> None:
    text = render(shown, "latex")
    assert text.count("\\item ") >= len(study_of(shown).answers)
    assert not re.search(r"\\item\s*\[", text)


def test_the_json_report_has_the_grid_the_pair_and_the_sentence(shown: Report) -> None:
    (written,) = json.loads(render(shown, "json"))["studies"]
    for answer, one in zip(study_of(shown).answers, written["answers"], strict=True):
        assert answer.pair is not None
        assert (one["asks"], one["grid"], one["sentence"]) == (answer.asks, answer.grid, answer.sentence)
        assert one["pair"]["family"]["p"] == answer.pair.holm_p
        assert one["pair"]["difference"]["delta"] == answer.pair.difference.delta
        assert answer.pair.difference.kind is Kind.CROSSED


def test_csv_has_the_tables_and_then_the_answers(tmp_path: Path) -> None:
    folder = grids(tmp_path, ask("a", "b", WICKED))
    report = report_of(folder)
    lines = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    answers = [line for line in lines if line["line"] == "answer"]
    assert {line["line"] for line in lines} == {"score", "answer"}
    for line, answer in zip(answers, study_of(report).answers, strict=True):
        assert answer.pair is not None
        assert answer.pair.family is not None
        assert (line["question"], line["grid"], line["verdict"]) == (
            WICKED,
            answer.grid,
            answer.pair.verdict.value,
        )
        assert (float(line["delta"]), float(line["holm_p"])) == pytest.approx(
            (answer.pair.difference.delta, answer.pair.family.p)
        )


def test_labels_name_models_in_sentences_and_nowhere_else(tmp_path: Path) -> None:
    content = definition(
        ask("a @ steps=2", "b"),
        ask("a", "b"),
        models=["a", "b"],
        labels={"a": "the first one"},
        evaluations=["steps=2"],
    )
    folder = declare(tmp_path, content)
    write_evaluated(folder / "main-evaluated", "a", PLAIN, "steps=2", steps=2)
    for model, scores in (("a", TRM), ("b", HRM)):
        write_evaluated(folder / "main", model, scores)
    report = report_of(folder)
    first, second = study_of(report).answers
    assert "the first one @ steps=2 minus b is " in first.sentence
    assert "the first one minus b is " in second.sentence
    assert second.pair is not None
    assert (second.pair.a, second.pair.b) == ("a", "b")
    assert {row.label for table in report.tables for row in table.rows} == {"a", "b", "a @ steps=2"}


def test_report_answers_a_study_from_its_folder(tmp_path: Path, run_cli: RunCli) -> None:
    folder = made(tmp_path, ask("trm-mlp", "hrm"))
    ended = run_cli("report", folder)
    assert ended.code == 0
    assert ended.out.startswith("Study made at mini: is one of them better?\n\n- Is it better? Yes: trm-mlp")
    assert only_answer(folder).sentence in ended.out


def test_a_definition_that_is_damaged_is_named(tmp_path: Path, run_cli: RunCli) -> None:
    folder = made(tmp_path, ask("trm-mlp", "hrm"))
    (folder / FILE).write_text("{")
    ended = run_cli("report", folder)
    assert ended.code == 3
    assert f"{folder / FILE}: cannot be read" in ended.err


def test_two_models_of_a_study_are_compared_from_its_folder(tmp_path: Path, run_cli: RunCli) -> None:
    folder = made(tmp_path, ask("trm-mlp", "hrm"))
    inner, whole = (run_cli("compare", "trm-mlp", "hrm", one) for one in (folder / "main", folder))
    assert inner.code == whole.code == 0
    assert "; among 3 tests " in inner.out  # all pairs of the grid's table
    assert "; the only test)" in whole.out  # the one question of the study


def test_compare_puts_a_pair_into_the_family_of_its_study(tmp_path: Path, run_cli: RunCli) -> None:
    folder = made(tmp_path, ask("trm-mlp", "hrm"), ask("hrm", "plain"))
    told = study_of(report_of(folder)).answers[1].pair
    assert told is not None
    assert told.family is not None
    compared = run_cli("compare", "plain", "hrm", folder).out
    assert f"among 2 tests {percent(-told.family.high)} to {percent(-told.family.low)}" in compared
    assert f"Holm's {p_of(told.family.p)}" in compared
    other = run_cli("compare", "trm-mlp", "plain", folder).out  # no question of the study
    assert "Untested (exploratory: neither a pair of a table's family nor a question of a study)" in other
    assert "beats" not in other

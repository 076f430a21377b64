"""Which parts of a report are printed, and under which names: the tests stay those of all that was read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.folders import (
    HRM,
    PLAIN,
    TRM,
    described,
    on_task,
    only_table,
    other,
    pair_of,
    printed,
    quick,
    render,
    report_of,
    request,
    row_of,
    three_models,
    write_model,
)
from support.studies import ask, write_evaluated, write_study
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.report.select import select_models, with_costs
from trm_bench.harness.report.table import Report

__all__ = ["quick"]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    three_models(tmp_path)
    return report_of(tmp_path)


def names(report: Report) -> list[str]:
    return [row.name for row in only_table(report).rows]


# --- only some models ----------------------------------------------------------------------------


def test_tests_stay_those_of_all_models(report: Report) -> None:
    shown = select_models(report, ["trm-mlp", "hrm"], {})
    assert names(shown) == ["trm-mlp", "hrm"]
    assert only_table(shown).pairs == (pair_of(report, "trm-mlp", "hrm"),)
    assert only_table(shown).rows == only_table(report).rows[:2]
    assert only_table(shown).family == only_table(report).family
    assert "3 tests" in only_table(shown).family


@pytest.mark.slow
@pytest.mark.parametrize("reporter", ["text", "markdown", "html", "latex"])
def test_hidden_rows_are_named(reporter: str, report: Report) -> None:
    text = render(select_models(report, ["trm-mlp"], {}), reporter)
    assert "not shown, but part of the family of tests: hrm, plain" in text
    assert "not shown" not in render(report, reporter)


def test_hidden_rows_are_named_in_json(report: Report) -> None:
    (table,) = json.loads(render(select_models(report, ["trm-mlp"], {}), "json"))["tables"]
    assert table["hidden"] == ["hrm", "plain"]
    assert [row["name"] for row in table["rows"]] == ["trm-mlp"]


def test_notes_on_hidden_rows_are_kept(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM)
    write_model(tmp_path, "hrm", HRM, not_citable_because=["uncommitted changes"])
    request(tmp_path, [path.name for path in tmp_path.iterdir()])
    shown = select_models(report_of(tmp_path), ["trm-mlp"], {})
    assert "NOT CITABLE: hrm: uncommitted changes" in only_table(shown).notes


def test_a_row_is_not_bold_because_its_rivals_are_hidden(report: Report) -> None:
    assert r"\textbf{trm-mlp}" in render(report, "latex")
    assert r"\textbf" not in render(select_models(report, ["trm-mlp", "hrm"], {}), "latex")


def called(folder: Path) -> Report:
    """A model that is typed, printed and resolved under three names, with a variant and another depth."""
    trm = {"requested": "trm", "describe": described(display_name="TRM-MLP")}
    write_model(folder, "trm-mlp", TRM, **trm)
    variant = {"requested": "trm[cycles=2]", "describe": described(display_name="TRM-MLP[cycles=2]")}
    write_model(folder, "trm-mlp[cycles=2]", PLAIN, change=other(architecture={"cycles": 2}), **variant)
    deeper = {**trm, "requested": "trm @ steps=12", "change": other(steps=12)}
    write_model(folder, "trm-mlp", HRM, **deeper)
    write_model(folder, "hrm", HRM)
    return report_of(folder)


@pytest.mark.parametrize("name", ["trm", "TRM-MLP", "trm-mlp"])
def test_a_model_is_named_as_typed_as_printed_or_as_resolved(name: str, tmp_path: Path) -> None:
    assert set(names(select_models(called(tmp_path), [name], {}))) == {"TRM-MLP", "TRM-MLP @ steps=12"}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("trm[cycles=2]", "TRM-MLP[cycles=2]"),
        ("TRM-MLP[cycles=2]", "TRM-MLP[cycles=2]"),
        ("TRM-MLP @ steps=12", "TRM-MLP @ steps=12"),
        ("hrm", "hrm"),
    ],
)
def test_a_single_row_has_a_name_of_its_own(name: str, row: str, tmp_path: Path) -> None:
    assert names(select_models(called(tmp_path), [name], {})) == [row]


def test_a_name_without_options_is_that_of_every_variant_where_no_row_is_without(tmp_path: Path) -> None:
    for cycles in (2, 3):
        write_model(tmp_path, f"hrm[cycles={cycles}]", HRM, change=other(architecture={"cycles": cycles}))
    write_model(tmp_path, "plain", PLAIN)
    assert names(select_models(report_of(tmp_path), ["hrm"], {})) == ["hrm[cycles=2]", "hrm[cycles=3]"]


@pytest.mark.parametrize(("only", "renamed"), [(["hmr"], {}), ([], {"hmr": "Ours"})])
def test_an_unknown_model_is_refused_and_the_nearest_suggested(
    only: list[str], renamed: dict[str, str], report: Report
) -> None:
    with pytest.raises(UsageError, match=r"no row of model 'hmr'; did you mean 'hrm'\?"):
        select_models(report, only, renamed)


@pytest.mark.parametrize("reporter", ["text", "markdown", "html", "latex", "csv", "json"])
def test_a_table_all_of_whose_rows_are_hidden_can_be_printed(reporter: str, tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM)
    write_model(tmp_path, "hrm", HRM, change=on_task("maze-hard"))
    shown = select_models(report_of(tmp_path), ["hrm"], {})
    assert sorted(len(table.rows) for table in shown.tables) == [0, 1]
    assert "maze-hard" in render(with_costs(shown, True), reporter)


def test_over_all_tasks_only_the_shown_models_are_printed_with_the_ranks_of_all(tmp_path: Path) -> None:
    for task in "abc":
        three_models(tmp_path / task, change=on_task(task))
    report = report_of(*(tmp_path / task for task in "abc"))
    shown = select_models(report, ["hrm"], {"hrm": "Theirs"})
    (theirs,) = shown.overall
    assert theirs == replace(report.overall[1], model="Theirs")
    assert theirs.mean_rank > 1


# --- other names ---------------------------------------------------------------------------------


def test_a_row_has_its_new_name_everywhere(tmp_path: Path) -> None:
    report = called(tmp_path)
    renamed = select_models(report, [], {"trm": "Ours"})
    assert set(names(renamed)) == {"Ours", "Ours @ steps=12", "TRM-MLP[cycles=2]", "hrm"}
    assert pair_of(renamed, "Ours", "hrm").difference == pair_of(report, "TRM-MLP", "hrm").difference
    assert row_of(renamed, "Ours").label == "Ours"
    assert "Ours @ steps=12" in printed(renamed)
    for reporter in ("text", "latex", "csv"):
        text = render(renamed, reporter)
        assert "Ours" in text
        assert "TRM-MLP" not in text.replace("TRM-MLP[cycles=", "")


def test_only_and_name_go_together(report: Report) -> None:
    shown = select_models(report, ["hrm"], {"hrm": "Theirs"})
    assert names(shown) == ["Theirs"]
    assert only_table(shown).hidden == ("trm-mlp", "plain")


def test_two_names_can_be_swapped(report: Report) -> None:
    swapped = select_models(report, [], {"hrm": "plain", "plain": "hrm"})
    assert names(swapped) == ["trm-mlp", "plain", "hrm"]
    advice = [note for note in only_table(report).notes if note.startswith("hrm − plain: twice")]
    assert len(advice) == 1
    assert advice[0].replace("hrm − plain", "plain − hrm") in only_table(swapped).notes


def test_two_rows_of_one_name_are_refused(report: Report) -> None:
    for new in ({"hrm": "Ours", "plain": "Ours"}, {"hrm": "plain"}):
        with pytest.raises(UsageError, match=r"two rows would be called '(Ours|plain)'; choose another name"):
            select_models(report, [], new)


def test_numbered_rows_keep_their_numbers(tmp_path: Path) -> None:
    write_model(tmp_path, "hrm", HRM)
    write_model(tmp_path, "hrm", PLAIN, change=other(training={"lr": 0.0001}))
    renamed = select_models(report_of(tmp_path), [], {"hrm": "Ours"})
    assert names(renamed) == ["Ours #1", "Ours #2"]
    assert {"Ours #1: lr=0.001", "Ours #2: lr=0.0001"} <= set(only_table(renamed).notes)


def test_the_sentences_of_a_study_keep_its_own_names(tmp_path: Path) -> None:
    folder = write_study(tmp_path, ask("trm-mlp", "hrm"), scores={"trm-mlp": TRM, "hrm": HRM})
    write_evaluated(folder / "main-evaluated", "hrm", PLAIN, "steps=12", steps=12)
    report = report_of(folder)
    renamed = select_models(report, [], {"hrm": "Theirs"})
    assert renamed.studies == report.studies
    assert set(names(renamed)) == {"trm-mlp", "Theirs", "Theirs @ steps=12"}


def test_notes_on_hidden_pairs_are_hidden_too(tmp_path: Path) -> None:
    three_models(tmp_path)
    whole = report_of(tmp_path)
    advice = [note for note in only_table(whole).notes if note.startswith("hrm − plain: twice the seeds")]
    assert len(advice) == 1
    assert advice[0] not in only_table(select_models(whole, ["trm-mlp"], {})).notes
    assert advice[0] in only_table(select_models(whole, ["hrm", "plain"], {})).notes

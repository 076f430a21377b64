"""A report over runs that are not done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.folders import (
    HRM,
    INCOMPLETE,
    PLAIN,
    TRM,
    only_table,
    pair_of,
    printed,
    render,
    report_of,
    request,
    row_of,
    three_models,
    write_run,
)
from support.studies import write_evaluated
from trm_bench.harness.api.errors import NothingToReport
from trm_bench.harness.stats.interval import score_interval
from trm_bench.harness.stats.tests import Verdict
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Status
from trm_bench.harness.store.requests import RequestedRun, write_requested

import trm_bench

# --- runs that are not done ----------------------------------------------------------------------


def unfinished(status: Status, error: str | None = None) -> Callable[[Path, str], None]:
    def make(folder: Path, name: str) -> None:
        run = RunFolder(folder / name)
        run.write_manifest(run.manifest().model_copy(update={"status": status, "error": error}))

    return make


def cut(file: str) -> Callable[[Path, str], None]:
    def make(folder: Path, name: str) -> None:
        path = folder / name / file
        path.write_bytes(path.read_bytes()[:-20])

    return make


NOT_DONE = [
    pytest.param(unfinished(Status.FAILED, "the loss is nan at step 7"), "failed", id="failed"),
    pytest.param(unfinished(Status.INTERRUPTED), "interrupted", id="interrupted"),
    pytest.param(unfinished(Status.RUNNING), "running", id="running"),
    pytest.param(cut("samples.jsonl.gz"), "damaged", id="damaged samples"),
    pytest.param(cut("manifest.json"), "damaged", id="damaged manifest"),
    pytest.param(lambda folder, name: shutil.rmtree(folder / name), "missing", id="missing"),
]


@pytest.mark.parametrize(("make", "status"), NOT_DONE)
def test_a_seed_that_is_not_done_makes_its_row_incomplete_and_its_pairs_untested(
    make: Callable[[Path, str], None], status: str, tmp_path: Path
) -> None:
    names = three_models(tmp_path)
    make(tmp_path, names[4])  # seed 1 of hrm
    report = report_of(tmp_path)
    row = row_of(report, "hrm")
    assert not row.complete
    assert [(seed.score is None, seed.status) for seed in row.seeds] == [
        (False, "done"),
        (True, status),
        (False, "done"),
    ]
    for rival in ("trm-mlp", "plain"):
        pair = pair_of(report, "hrm", rival)
        assert (pair.verdict, pair.holm_p, pair.note) == (Verdict.UNTESTED, None, INCOMPLETE)
    tested = pair_of(report, "trm-mlp", "plain")
    assert tested.difference.p is not None
    assert tested.holm_p == 3 * tested.difference.p  # the other two may become tests
    assert any(note.startswith(f"incomplete: hrm, seed 1, {status}") for note in only_table(report).notes)
    assert printed(report)["hrm"]["seed SD (seeds)"].endswith("(2 of 3)")
    assert printed(report, "solved % of each seed")["hrm"]["seeds 0, 1, 2"] == f"37.5 {status} 47.5"
    for pair in ("trm-mlp − hrm", "hrm − plain"):
        assert printed(report, "Power")[pair]["note"] == INCOMPLETE
        assert printed(report, "Differences")[pair]["verdict"] == "untested"


@pytest.mark.parametrize("file", ["samples.jsonl.gz", "manifest.json"])
def test_a_damaged_file_is_named_and_the_rest_is_reported(file: str, tmp_path: Path) -> None:
    names = three_models(tmp_path)
    cut(file)(tmp_path, names[4])
    report = report_of(tmp_path)
    (problem,) = report.problems
    assert problem.startswith(f"{tmp_path / names[4] / file}: ")
    assert f"Not read:\n\n- {problem}" in render(report)
    assert row_of(report, "trm-mlp").summary == score_interval(TRM)


def test_a_requested_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    request(tmp_path, [*names, "trm-att-s0-0badf00d"])
    report = report_of(tmp_path)
    assert report.problems == (f"{tmp_path / 'trm-att-s0-0badf00d'}: requested, but there is no such run",)
    assert [row.name for row in only_table(report).rows] == ["trm-mlp", "hrm", "plain", "trm-att"]


def test_a_requested_evaluation_that_is_not_there_is_missing_from_its_own_row(tmp_path: Path) -> None:
    names = write_evaluated(tmp_path, "hrm", HRM) + write_evaluated(
        tmp_path, "hrm", PLAIN, "steps=2", steps=2
    )
    requested = [
        RequestedRun(run=name, model="hrm", requested=f"hrm{mode}", seed=seed)
        for mode, runs in (("", names[:3]), (" @ steps=2", names[3:]))
        for seed, name in enumerate(runs)
    ]
    write_requested(tmp_path, requested)
    shutil.rmtree(tmp_path / names[4])
    trained, shallow = only_table(report_of(tmp_path)).rows
    assert (trained.name, shallow.name) == ("hrm", "hrm @ steps=2")
    assert [seed.status for seed in trained.seeds] == ["done"] * 3
    assert [seed.status for seed in shallow.seeds] == ["done", "missing", "done"]


def test_the_reason_of_a_failure_stands_beneath_the_table(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    unfinished(Status.FAILED, "the loss is nan at step 7")(tmp_path, names[4])
    report = report_of(tmp_path)
    assert "- incomplete: hrm, seed 1, failed: the loss is nan at step 7" in render(report)


def test_a_model_without_any_finished_seed_has_a_row_without_numbers(tmp_path: Path) -> None:
    three_models(tmp_path)
    for seed in range(3):
        write_run(tmp_path, "hrm", seed, [], status=Status.FAILED)
    report = report_of(tmp_path)
    row = row_of(report, "hrm")
    assert (row.summary, row.means, row.copy_cells, row.halt_step) == (None, {}, None, None)
    assert [(pair.a, pair.b) for pair in only_table(report).pairs] == [("trm-mlp", "plain")]
    assert list(printed(report)["hrm"].values()) == ["hrm", "–", "– (0 of 3)", "–", "–", "–"]
    assert printed(report, "solved % of each seed")["hrm"]["seeds 0, 1, 2"] == "failed failed failed"


def test_costs_that_nobody_measured_are_not_printed_as_zero(tmp_path: Path) -> None:
    write_run(tmp_path, "trm-mlp", 0, TRM[0])
    write_run(tmp_path, "hrm", 0, [], status=Status.FAILED)
    report = replace(report_of(tmp_path), costs=True)
    for heading in ("Parameters", "Cost per training run", "Cost of evaluation"):
        assert set(printed(report, heading)["hrm"].values()) == {"hrm", "–"}
        assert "–" not in list(printed(report, heading)["trm-mlp"].values())[:4]


def test_an_incomplete_pair_of_one_seed_each_says_that_it_is_incomplete(tmp_path: Path) -> None:
    for model, scores in (("trm-mlp", TRM), ("hrm", HRM)):
        write_run(tmp_path, model, 0, scores[0])
        write_run(tmp_path, model, 1, [], status=Status.FAILED)
    report = report_of(tmp_path)
    assert only_table(report).pairs[0].note == INCOMPLETE
    assert printed(report, "Power")["hrm − trm-mlp"]["note"] == INCOMPLETE


def only_failures(folder: Path) -> None:
    write_run(folder, "hrm", 0, [], status=Status.FAILED, error="no memory")


def only_damage(folder: Path) -> None:
    cut("manifest.json")(folder, write_run(folder, "hrm", 0, HRM[0]))


@pytest.mark.parametrize("make", [only_failures, only_damage])
def test_where_nothing_is_finished_there_is_nothing_to_report(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "results")
    with pytest.raises(NothingToReport, match=f"nothing to report in {tmp_path / 'results'}: ") as caught:
        report_of(tmp_path / "results")
    assert caught.value.exit_code == 3
    assert (make is only_damage) == ("manifest.json: cannot be read" in str(caught.value))


@pytest.mark.parametrize("bad", [float("nan"), 1.5, -0.1])
def test_a_score_that_is_none_is_never_written(bad: float, tmp_path: Path) -> None:
    scores = HRM[1].copy()
    scores[5] = bad
    with pytest.raises(ValidationError, match=r"scores\.exact"):
        write_run(tmp_path, "hrm", 1, scores)


def test_no_verdict_turns_round_when_the_missing_seed_is_there(tmp_path: Path) -> None:
    """A fourth model without its last seed, and with it."""
    names = three_models(tmp_path)
    late = [write_run(tmp_path, "late", seed, scores) for seed, scores in enumerate(PLAIN)]
    request(tmp_path, [*names, *late])
    whole = {(pair.a, pair.b): pair.holm_p for pair in only_table(report_of(tmp_path)).pairs}
    shutil.rmtree(tmp_path / late[-1])
    for pair in only_table(report_of(tmp_path)).pairs:
        before = whole[pair.a, pair.b]
        assert before is not None
        assert pair.holm_p is None or pair.holm_p >= before


def test_a_model_without_any_run_counts_in_the_family(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    late = [write_run(tmp_path, "late", seed, [], status=Status.FAILED) for seed in range(3)]
    request(tmp_path, [*names, *late])
    table = only_table(report_of(tmp_path))
    assert {pair.family.tests for pair in table.pairs if pair.family} == {6}
    assert "Family: 6 tests, the tested pairs of this table, 3 of which wait for runs, on" in table.family


@pytest.mark.parametrize("finished", [0, 1])
def test_a_model_with_too_few_requested_seeds_will_be_no_member_and_counts_in_no_family(
    finished: int, tmp_path: Path
) -> None:
    names = three_models(tmp_path)
    late = [write_run(tmp_path, "late", seed, PLAIN[seed]) for seed in range(finished)]
    late += [write_run(tmp_path, "late", seed, [], status=Status.FAILED) for seed in range(finished, 2)]
    request(tmp_path, [*names, *late])
    table = only_table(report_of(tmp_path))
    assert {pair.family.tests for pair in table.pairs if pair.family} == {3}


def test_an_incomplete_pair_is_not_citable_in_any_form(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    shutil.rmtree(tmp_path / names[0])
    request(tmp_path, names)
    pairs = only_table(report_of(tmp_path)).pairs
    waiting = [pair for pair in pairs if pair.difference.note.startswith("incomplete")]
    assert waiting
    assert all("incomplete" in pair.not_citable for pair in waiting)
    frame = trm_bench.load_results(tmp_path).comparisons
    assert frame["citable"].tolist() == [not pair.not_citable for pair in pairs]

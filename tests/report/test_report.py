"""The report: every number is recomputed from records, and nothing incomparable stands in one table."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.folders import (
    HRM,
    IDENTITY,
    ITEMS,
    PLAIN,
    SCORED_BY,
    TRM,
    Change,
    Describe,
    clusters_of,
    described,
    on_task,
    only_table,
    other,
    pair_of,
    printed,
    render,
    report_of,
    request,
    row_of,
    solved,
    three_models,
    with_part,
    write_model,
    write_run,
)
from trm_bench.harness.api.budget import Budget, Ledger, Match
from trm_bench.harness.api.embedding_rows import PuzzleIds
from trm_bench.harness.stats.interval import score_interval
from trm_bench.harness.stats.rules import SINGLE_RUN, Kind
from trm_bench.harness.stats.scores import cluster_means
from trm_bench.harness.stats.tests import Verdict, crossed_test, holm, mcnemar
from trm_bench.harness.store.records import NO_WEIGHTS, RunIdentity, Status
from trm_bench.harness.store.requests import RUNS
from trm_bench.plugins.reporters.grids import p_value

# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 5], ids=lambda size: f"clusters of {size}")
def test_rows_and_pairs_hold_what_the_statistics_give_for_the_same_arrays(size: int, tmp_path: Path) -> None:
    clusters = clusters_of(size)
    three_models(tmp_path, clusters=clusters)
    report = report_of(tmp_path)
    arrays = {"trm-mlp": TRM, "hrm": HRM, "plain": PLAIN}
    means = {model: cluster_means(scores, clusters) for model, scores in arrays.items()}
    for model in arrays:
        row = row_of(report, model)
        assert row.summary == score_interval(means[model], items=ITEMS)
        assert row.summary.clusters == len(set(clusters))
        assert [seed.score for seed in row.seeds] == means[model].mean(axis=1).tolist()
        assert row.means["exact"] == pytest.approx(means[model].mean())
    pairs = only_table(report).pairs
    assert [(pair.a, pair.b) for pair in pairs] == [
        ("trm-mlp", "hrm"),
        ("trm-mlp", "plain"),
        ("hrm", "plain"),
    ]
    differences = [crossed_test(means[pair.a], means[pair.b]) for pair in pairs]
    assert [pair.difference for pair in pairs] == differences
    assert [pair.holm_p for pair in pairs] == holm([difference.p for difference in differences])
    for pair in pairs:
        assert pair.difference.error is not None
        assert pair.family is not None
        assert pair.decidable == pair.difference.error.decidable(pair.family.level)
    assert pairs[0].verdict is Verdict.A_BETTER
    assert pairs[2].verdict is Verdict.UNDECIDED


def test_the_order_in_which_a_run_lists_its_items_does_not_matter(tmp_path: Path) -> None:
    three_models(tmp_path / "a")
    three_models(tmp_path / "b")
    shuffled = np.random.default_rng(0).permutation(ITEMS).tolist()
    write_run(tmp_path / "b", "hrm", 1, HRM[1], order=shuffled)
    one, other = report_of(tmp_path / "a"), report_of(tmp_path / "b")
    assert pair_of(one, "trm-mlp", "hrm") == pair_of(other, "trm-mlp", "hrm")


def test_other_metrics_are_means_and_enter_no_test(tmp_path: Path) -> None:
    share = np.linspace(0, 1, ITEMS)
    for seed in range(3):
        write_run(tmp_path, "trm-mlp", seed, TRM[seed], cells=share)
        write_run(tmp_path, "hrm", seed, TRM[seed], cells=1 - share)
    report = report_of(tmp_path)
    assert row_of(report, "hrm").means["cells"] == pytest.approx(0.5)
    assert row_of(report, "hrm").copy_cells == 0.25
    assert only_table(report).pairs[0].difference.delta == 0.0


def test_costs_are_means_over_the_finished_seeds(tmp_path: Path) -> None:
    for seed, (steps, seconds) in enumerate([(100, 1.0), (200, 2.0), (201, 4.5)]):
        ledger = Ledger(optimiser_steps=steps, training_seconds=seconds)
        write_run(tmp_path, "trm-mlp", seed, TRM[seed], ledger=ledger)
    write_run(tmp_path, "trm-mlp", 3, [], status=Status.FAILED, ledger=Ledger(optimiser_steps=9999))
    ledger = row_of(report_of(tmp_path), "trm-mlp").ledger
    assert (ledger.optimiser_steps, ledger.training_seconds) == (167, 2.5)


def test_the_values_of_the_seeds_average_to_the_mean_beside_them(tmp_path: Path) -> None:
    scores = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
    write_model(tmp_path, "trm-mlp", scores, clusters=["big", "big", "big", "small"])
    row = row_of(report_of(tmp_path), "trm-mlp")
    assert row.summary is not None
    assert row.summary.mean == pytest.approx(np.mean([seed.score for seed in row.seeds]))


# --- which runs, in which order ------------------------------------------------------------------


def test_models_stand_in_the_order_in_which_they_were_requested(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    assert [row.model for row in only_table(report_of(tmp_path)).rows] == ["trm-mlp", "hrm", "plain"]
    request(tmp_path, names[::-1])
    table = only_table(report_of(tmp_path))
    assert [row.model for row in table.rows] == ["plain", "hrm", "trm-mlp"]
    assert next((pair.a, pair.b) for pair in table.pairs) == ("plain", "hrm")
    assert [seed.seed for seed in table.rows[0].seeds] == [0, 1, 2]


def test_runs_that_a_later_request_replaced_are_left_out_and_named(tmp_path: Path) -> None:
    three_models(tmp_path)
    before = report_of(tmp_path)
    older = write_run(tmp_path, "hrm", 0, np.ones(ITEMS), change=other(procedure=0))
    broken = write_run(tmp_path, "gone", 0, [], status=Status.FAILED)
    (tmp_path / "my notes").mkdir()
    after = report_of(tmp_path)
    assert after.tables == before.tables
    assert sorted(after.remarks) == [
        f"{tmp_path / broken}: gone, seed 0, failed and in no request; left out",
        f"{tmp_path / older}: hrm, seed 0, replaced by a later request; left out",
    ]


def test_finished_runs_that_no_request_names_are_shown_and_named(tmp_path: Path) -> None:
    """Two machines' outputs copied into one folder: the requests of one of them are lost."""
    three_models(tmp_path)
    name = write_run(tmp_path, "trm-mlp", 7, TRM[0])
    report = report_of(tmp_path)
    assert [seed.seed for seed in row_of(report, "trm-mlp").seeds] == [0, 1, 2, 7]
    assert report.remarks == (f"{tmp_path}: 1 finished run in no request of it, shown too: {name}",)
    assert name in render(report)


def test_without_a_list_of_requests_every_run_is_reported(tmp_path: Path) -> None:
    three_models(tmp_path)
    (tmp_path / RUNS).unlink()
    assert {row.model for row in only_table(report_of(tmp_path)).rows} == {"trm-mlp", "hrm", "plain"}


def test_a_folder_of_one_run_can_be_reported(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    report = report_of(tmp_path / names[4])
    assert [(row.model, row.seeds[0].seed) for row in only_table(report).rows] == [("hrm", 1)]


def test_models_of_several_folders_stand_in_one_table_where_they_may_be_compared(tmp_path: Path) -> None:
    write_model(tmp_path / "a", "trm-mlp", TRM)
    write_model(tmp_path / "b", "hrm", HRM)
    report = report_of(tmp_path / "a", tmp_path / "b")
    assert pair_of(report, "trm-mlp", "hrm").difference == crossed_test(TRM, HRM)


slower = other(training={"lr": 0.0001})


def test_two_recipes_of_one_model_are_two_numbered_rows_whose_difference_is_noted(tmp_path: Path) -> None:
    write_model(tmp_path, "hrm", HRM)
    write_model(tmp_path, "hrm", PLAIN, change=slower)
    table = only_table(report_of(tmp_path))
    assert [row.name for row in table.rows] == ["hrm #1", "hrm #2"]
    assert [row.summary for row in table.rows] == [score_interval(HRM), score_interval(PLAIN)]
    assert [(pair.a, pair.b) for pair in table.pairs] == [("hrm #1", "hrm #2")]
    assert {"hrm #1: lr=0.001", "hrm #2: lr=0.0001"} <= set(table.notes)


def test_two_models_of_one_name_from_two_distributions_are_not_pooled(tmp_path: Path) -> None:
    write_model(tmp_path, "hrm", HRM)
    write_model(tmp_path, "hrm", PLAIN, change=with_part("model", distribution="lab"))
    rows = only_table(report_of(tmp_path)).rows
    assert [len(row.seeds) for row in rows] == [3, 3]


@pytest.mark.parametrize("copied", [False, True], ids=["the same folder twice", "a copy of it"])
def test_a_run_that_is_read_twice_does_not_count_as_two_seeds(copied: bool, tmp_path: Path) -> None:
    three_models(tmp_path / "a")
    second = tmp_path / "a"
    if copied:
        second = tmp_path / "b"
        shutil.copytree(tmp_path / "a", second)
    summary = row_of(report_of(tmp_path / "a", second), "hrm").summary
    assert summary is not None
    assert summary.seeds == 3


def test_a_damaged_list_of_requests_is_named(tmp_path: Path) -> None:
    three_models(tmp_path)
    (tmp_path / RUNS).write_text('[{"run": "trm-m')
    assert any(RUNS in problem for problem in report_of(tmp_path).problems)


# --- what may be compared ------------------------------------------------------------------------


def budget(**changes: Any) -> Change:
    def change(identity: RunIdentity) -> RunIdentity:
        return identity.model_copy(update={"budget": Budget(**{**identity.budget.model_dump(), **changes})})

    return change


INCOMPARABLE: dict[str, Change] = {
    "augmentations": budget(augmentations=1000),
    "steps": budget(amount=200),
    "batch": budget(batch_size=16),
    "match axis": budget(match=Match.EXAMPLES),
    "test puzzles": other(fingerprints={**IDENTITY.fingerprints, "test": "dd"}),
    "training puzzles": other(fingerprints={**IDENTITY.fingerprints, "train": "dd"}),
    "task seed": other(task_seed=1),
    "split": other(split="validation"),
    "limit": other(limit=10),
    "votes": other(votes=100),
    "puzzle ids": other(puzzle_ids=PuzzleIds.BLANK),
    "scale": other(scale="lite"),
    "task": on_task("maze-hard"),
    "version of the task": other(task_version=2),
}


INCOMPARABLE_DESCRIPTIONS: dict[str, Describe] = {
    "primary metric": described(primary="cells"),
}


@pytest.mark.parametrize(
    "difference",
    [
        *(pytest.param({"change": change}, id=name) for name, change in INCOMPARABLE.items()),
        *(pytest.param({"describe": say}, id=name) for name, say in INCOMPARABLE_DESCRIPTIONS.items()),
        pytest.param(
            {"scored_by": [one.model_copy(update={"version": "2"}) for one in SCORED_BY]},
            id="version of the evaluator",
        ),
    ],
)
def test_runs_that_may_not_be_compared_stand_in_tables_of_their_own(
    difference: dict[str, Any], tmp_path: Path
) -> None:
    write_model(tmp_path, "trm-mlp", TRM)
    write_model(tmp_path, "hrm", HRM, **difference)
    report = report_of(tmp_path)
    assert sorted([row.model for row in table.rows] for table in report.tables) == [["hrm"], ["trm-mlp"]]
    assert all(table.pairs == () for table in report.tables)


def test_the_same_puzzles_from_another_source_share_a_table(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM)
    write_model(tmp_path, "hrm", HRM, describe=described(source_kind="official"))
    assert len(only_table(report_of(tmp_path)).pairs) == 1


def test_a_row_that_an_evaluator_has_not_scored_has_no_number_there(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM)
    write_model(tmp_path, "hrm", HRM, scored_by=SCORED_BY[:1])
    cells = {name: row["cell acc. %"] for name, row in printed(report_of(tmp_path)).items()}
    assert cells["hrm"] == "–"
    assert cells["trm-mlp"] != "–"


def test_the_same_model_under_two_budgets_is_two_rows_in_two_tables(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM)
    write_model(tmp_path, "trm-mlp", HRM, change=budget(augmentations=1000))
    report = report_of(tmp_path)
    found = {table.budget.augmentations: table.rows[0].summary for table in report.tables if table.budget}
    assert found == {1: score_interval(TRM), 1000: score_interval(HRM)}
    text = render(report)
    assert "augmentations per puzzle A = 1\n" in text
    assert "augmentations per puzzle A = 1000\n" in text


def test_a_limit_is_what_the_title_counts(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM, change=other(limit=5))
    assert only_table(report_of(tmp_path)).title == "made · mini · generated v1, seed 0 · 20 train, 5 test"


def test_a_table_is_a_family_whatever_is_reported_beside_it(tmp_path: Path) -> None:
    three_models(tmp_path / "a")
    write_model(tmp_path / "b", "trm-mlp", TRM, change=on_task("maze-hard"))
    write_model(tmp_path / "b", "hrm", PLAIN, change=on_task("maze-hard"))
    together = report_of(tmp_path / "a", tmp_path / "b")
    assert [table.tests for table in together.tables] == [3, 1]
    for table in together.tables:
        assert [pair.holm_p for pair in table.pairs] == holm([pair.difference.p for pair in table.pairs])
    assert only_table(report_of(tmp_path / "a")).pairs == together.tables[0].pairs


def test_a_model_that_is_not_trained_is_part_of_no_test(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    names += write_model(tmp_path, "copy", np.zeros((3, ITEMS)), weights=NO_WEIGHTS)
    request(tmp_path, names)
    table = only_table(report_of(tmp_path))
    assert [row.is_fixed for row in table.rows] == [False, False, False, True]
    assert table.tests == len(table.pairs) == 3
    assert any(note.startswith("copy is not trained") for note in table.notes)


def test_with_a_baseline_every_model_is_compared_with_it_alone(tmp_path: Path) -> None:
    three_models(tmp_path, describe=lambda one: one.model_copy(update={"baseline": "hrm"}))
    table = only_table(report_of(tmp_path))
    assert [(pair.a, pair.b) for pair in table.pairs] == [("trm-mlp", "hrm"), ("plain", "hrm")]
    assert [pair.holm_p for pair in table.pairs] == holm([pair.difference.p for pair in table.pairs])
    assert "2 tests, every model against hrm" in table.family


def test_runs_of_two_kinds_are_warned_about(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", solved(1, 0.05, 0.9, 0.95, 0.92, 0.9))
    write_model(tmp_path, "hrm", solved(2, 0.5, 0.6, 0.7, 0.6, 0.55))
    (warning,) = (note for note in only_table(report_of(tmp_path)).notes if "two kinds" in note)
    assert "trm-mlp (1 of 5 up to 7.5 %, the others from 90.0 %)" in warning
    assert "hrm" not in warning


def test_a_table_of_zeros_says_so(tmp_path: Path) -> None:
    for model in ("trm-mlp", "hrm"):
        write_model(tmp_path, model, np.zeros((3, ITEMS)))
    assert any(note.startswith("no model solved anything") for note in only_table(report_of(tmp_path)).notes)


# --- one seed, two seeds, no variance ------------------------------------------------------------


def test_one_seed_is_compared_as_checkpoints_and_never_as_methods(tmp_path: Path) -> None:
    clusters = clusters_of(3)
    write_model(tmp_path, "trm-mlp", TRM[:1], clusters=clusters)
    write_model(tmp_path, "hrm", HRM[:1], clusters=clusters)
    report = report_of(tmp_path)
    pair = pair_of(report, "trm-mlp", "hrm")
    a, b = cluster_means(HRM[:1], clusters), cluster_means(TRM[:1], clusters)
    assert (pair.a, pair.mcnemar) == ("hrm", mcnemar(a[0], b[0]))
    assert (pair.difference.p, pair.difference.low, pair.holm_p, pair.decidable) == (None,) * 4
    assert (pair.verdict, pair.note) == (Verdict.UNTESTED, SINGLE_RUN)
    test = mcnemar(a[0], b[0])
    checkpoints = printed(report, "Single checkpoints (no claim about methods)")["hrm − trm-mlp"]
    assert list(checkpoints.values())[1:] == [str(test.a_only), str(test.b_only), p_value(test.p)]
    assert printed(report, "Power")["hrm − trm-mlp"]["note"] == SINGLE_RUN
    delta = f"{100 * pair.difference.delta:+.1f}".replace("-", "−")
    assert list(printed(report, "Differences")["hrm − trm-mlp"].values())[1:] == [delta, "–", "untested"]
    assert row_of(report, "hrm").summary == score_interval(a, items=ITEMS)


def test_the_interval_of_a_single_run_carries_the_words_also_where_there_is_no_pair(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM[:1])
    assert SINGLE_RUN in render(report_of(tmp_path))


def test_two_seeds_have_a_p_but_nobody_is_called_better(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", solved(1, 1.1, 1.2))
    write_model(tmp_path, "hrm", solved(2, 0.0, 0.05))
    report = report_of(tmp_path)
    pair = pair_of(report, "trm-mlp", "hrm")
    assert pair.difference.kind is Kind.CROSSED
    assert pair.mcnemar is None
    assert (pair.family, pair.verdict) == (None, Verdict.UNTESTED)
    assert "2 seeds; a claim on methods needs 3 of each" in render(report)


def test_where_everything_is_solved_no_p_is_printed_and_no_certainty_claimed(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", np.ones((3, ITEMS)))
    write_model(tmp_path, "hrm", np.ones((3, ITEMS)))
    report = report_of(tmp_path)
    pair = pair_of(report, "trm-mlp", "hrm")
    assert (pair.difference.kind, pair.difference.p, pair.holm_p) == (Kind.DEGENERATE, None, None)
    assert (pair.verdict, pair.decidable) == (Verdict.UNTESTED, None)
    for model in ("trm-mlp", "hrm"):
        summary = row_of(report, model).summary
        assert summary is not None
        assert (summary.mean, summary.high) == (1.0, 1.0)
        assert summary.low < 0.95
    difference, power = (printed(report, heading)["hrm − trm-mlp"] for heading in ("Differences", "Power"))
    assert list(difference.values())[1:] == ["+0.0", "–", "untested"]
    assert list(power.values())[1:] == ["–", "–", "both models solved every puzzle in every seed"]
    assert "[100.0, 100.0]" not in render(report)


def test_runs_of_different_code_or_torch_are_not_citable_together(tmp_path: Path) -> None:
    code, libraries = {"fingerprint": "a" * 64}, {"libraries": {"torch": "2.13.0"}}
    names = [
        write_run(tmp_path, "trm-mlp", 0, TRM[0], code=code, environment=libraries),
        write_run(tmp_path, "trm-mlp", 1, TRM[1], code={"fingerprint": "b" * 64}, environment=libraries),
        write_run(tmp_path, "hrm", 0, HRM[0], code=code, environment={"libraries": {"torch": "2.6.0"}}),
    ]
    request(tmp_path, names)
    (reasons,) = [note for note in only_table(report_of(tmp_path)).notes if note.startswith("NOT CITABLE")]
    assert "runs made by 2 states of the code" in reasons
    assert "runs made with torch 2.13.0, 2.6.0" in reasons
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO(render(report_of(tmp_path), "csv")))}
    assert (lines["trm-mlp"]["citable"], lines["hrm"]["citable"]) == ("False", "True")


def test_models_that_were_treated_differently_are_named_in_their_pair(tmp_path: Path) -> None:
    write_model(tmp_path, "trm-mlp", TRM, change=other(device="cuda", threads=8, deterministic=False))
    write_model(tmp_path, "hrm", HRM, change=other(training={"precision": "bf16"}))
    (row,) = printed(report_of(tmp_path), "Power").values()
    for what in ("device cpu and cuda", "precision", "CPU threads 1 and 8", "deterministic kernels"):
        assert f"treated differently: {what}" in row["note"]


def test_the_commit_to_check_out_is_named_where_the_tree_was_as_committed(tmp_path: Path) -> None:
    clean = {"fingerprint": "a" * 64, "commit": "c" * 40, "changed": []}
    write_run(tmp_path, "trm-mlp", 0, TRM[0], code=clean)
    write_run(tmp_path, "trm-mlp", 1, TRM[1], code={**clean, "fingerprint": "b" * 64, "changed": ["x.py"]})
    write_run(
        tmp_path, "trm-mlp", 2, TRM[2], code={**clean, "commit": "d" * 40}
    )  # a change of the docs later
    (made,) = [note for note in only_table(report_of(tmp_path)).notes if note.startswith("made with")]
    assert f"code {'a' * 12} (commit ccccccc), {'b' * 12}, torch" in made


def test_the_same_seed_on_another_device_is_a_row_of_its_own(tmp_path: Path) -> None:
    write_model(tmp_path / "cpu", "trm-mlp", TRM)
    write_model(tmp_path / "cuda", "trm-mlp", TRM, change=other(device="cuda"))
    rows = only_table(report_of(tmp_path / "cpu", tmp_path / "cuda")).rows
    assert [row.label for row in rows] == ["trm-mlp #1", "trm-mlp #2"]
    assert [len(row.seeds) for row in rows] == [3, 3]


def test_a_pass_that_is_read_at_several_depths_counts_once_in_the_total(tmp_path: Path) -> None:
    for depth, seconds in ((1, 1800.0), (6, 3600.0)):
        requested, ledger = f"trm-mlp @ steps={depth}", Ledger(evaluation_seconds=seconds)
        write_run(
            tmp_path,
            "trm-mlp",
            0,
            TRM[0],
            change=lambda identity, depth=depth: identity.model_copy(update={"steps": depth}),
            requested=requested,
            ledger=ledger,
            weights_file="model.safetensors",
        )
    table = only_table(report_of(tmp_path))
    assert sorted(row.device_hours for row in table.rows) == [0.5, 1.0]
    assert table.device_hours == 1.0


# --- what a table of zeros, or below copying, says ------------------------------------------------


def notes(folder: Path) -> str:
    return "\n".join(only_table(report_of(folder)).notes)


def test_rows_below_copying_are_named_by_score_and_by_cells(tmp_path: Path) -> None:
    write_model(tmp_path, "copy", np.full((3, ITEMS), 0.5), weights=NO_WEIGHTS)
    write_model(tmp_path, "worse", np.zeros((3, ITEMS)))
    assert "below copy: worse" in notes(tmp_path)
    assert "fewer cells right than copying: worse" in notes(tmp_path)


@pytest.mark.parametrize(
    ("models", "who"), [(["one"], "one solved nothing"), (["one", "two"], "no model solved anything")]
)
def test_a_table_of_zeros_says_that_it_tells_nothing(tmp_path: Path, models: list[str], who: str) -> None:
    for model in models:
        write_model(tmp_path, model, np.zeros((3, ITEMS)))
    assert who in notes(tmp_path)


@pytest.mark.parametrize(("seeds", "warned"), [(5, True), (8, False)])
def test_tests_over_few_seeds_may_miss_a_collapse(tmp_path: Path, seeds: int, warned: bool) -> None:
    for model, share in (("one", 0.3), ("two", 0.6)):
        write_model(tmp_path, model, solved(1, *(share + 0.01 * seed for seed in range(seeds))))
    assert ("fewer than 8 seeds" in notes(tmp_path)) is warned

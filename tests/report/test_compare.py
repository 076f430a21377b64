"""`compare` and `cite`: sentences that claim no more than the numbers, and entries for what a table names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.folders import (
    HRM,
    PLAIN,
    SCORED_BY,
    TRM,
    described,
    on_task,
    other,
    quick,
    report_of,
    request,
    solved,
    three_models,
    write_model,
    write_run,
)
from support.paths import ROOT
from trm_bench.harness.api.budget import Budget
from trm_bench.harness.report.compare import compare_folders, compare_models
from trm_bench.harness.report.read import read_runs
from trm_bench.harness.report.select import select_models
from trm_bench.harness.report.words import p_words, sentences
from trm_bench.harness.stats.scores import cluster_means
from trm_bench.harness.stats.tests import crossed_test
from trm_bench.harness.store.records import PartIdentity, Status
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench

__all__ = ["quick"]


def test_a_clear_winner_is_named_with_interval_and_p(tmp_path: Path, run_cli: RunCli) -> None:
    three_models(tmp_path)
    ended = run_cli("compare", "trm-mlp", "hrm", tmp_path)
    assert ended.code == 0
    first, verdict, uncertainty = ended.out.splitlines()
    assert first.startswith("made at mini, exact: trm-mlp 90.0 % (")
    assert "3 seeds), hrm 4" in first
    assert first.endswith("40 puzzles.")
    assert verdict.startswith("trm-mlp beats hrm: +")
    assert "; among 3 tests " in verdict  # as in the table of the folder
    assert "Twice the seeds would narrow the interval by" in uncertainty


def test_the_order_of_the_models_changes_the_sign_and_not_the_winner(tmp_path: Path) -> None:
    three_models(tmp_path)
    (forth,) = compare_models("trm-mlp", "hrm", [tmp_path], [])
    (back,) = compare_models("hrm", "trm-mlp", [tmp_path], [])
    assert forth.difference.delta == -back.difference.delta
    assert forth.difference.p == back.difference.p
    assert sentences(back)[1].startswith("trm-mlp beats hrm: −")
    assert sentences(back)[1].endswith("(hrm minus trm-mlp).")


def test_an_undecided_pair_says_what_could_have_been_seen_and_what_would_help(tmp_path: Path) -> None:
    three_models(tmp_path)
    (found,) = compare_models("hrm", "plain", [tmp_path], [])
    text = " ".join(sentences(found))
    assert "Undecided: " in text
    assert "beats" not in text
    assert "equal" not in text
    assert found.decidable is not None
    wanted = f"this pair is decided among 3 tests from {100 * found.decidable:.0f} points on (80 % power)"
    assert wanted in text
    assert "seeds of each model would show them" in text or "No number of seeds" in text


def test_the_numbers_are_those_of_the_crossed_test(tmp_path: Path) -> None:
    three_models(tmp_path)
    (found,) = compare_models("trm-mlp", "plain", [tmp_path], [])
    clusters = np.array([f"p{row}" for row in range(TRM.shape[1])])
    assert found.difference == crossed_test(cluster_means(TRM, clusters), cluster_means(PLAIN, clusters))


def test_one_seed_makes_no_claim_about_methods(tmp_path: Path) -> None:
    write_model(tmp_path, "a", solved(1, 0.9))
    write_model(tmp_path, "b", solved(2, 0.3))
    (found,) = compare_models("a", "b", [tmp_path], [])
    text = " ".join(sentences(found))
    assert "No test between methods (single training run; checkpoint-level only)" in text
    assert "exact McNemar p" in text
    assert "needs three seeds of each" in text
    assert "beats" not in text


def test_a_seed_that_is_missing_leaves_the_pair_untested(tmp_path: Path) -> None:
    names = three_models(tmp_path)
    failed = write_run(tmp_path, "hrm", 3, [], status=Status.FAILED)
    request(tmp_path, [*names, failed])
    (found,) = compare_models("trm-mlp", "hrm", [tmp_path], [])
    assert "incomplete: not every requested seed is done" in sentences(found)[1]
    assert "beats" not in " ".join(sentences(found))


def test_two_folders_are_compared_and_what_differs_is_named(tmp_path: Path, run_cli: RunCli) -> None:
    write_model(tmp_path / "one", "trm-mlp", TRM)
    augmented = Budget(amount=100, batch_size=8, augmentations=1000)
    write_model(tmp_path / "two", "trm-mlp", solved(5, 0.5, 0.55, 0.6), change=other(budget=augmented))
    out = run_cli("compare", tmp_path / "one", tmp_path / "two").out
    assert f"trm-mlp in {tmp_path / 'one'} beats trm-mlp in {tmp_path / 'two'}" in out
    assert "Treated differently: budget" in out
    assert "A = 1000" in out


def test_folders_with_several_models_are_compared_model_by_model(tmp_path: Path) -> None:
    three_models(tmp_path / "one")
    three_models(tmp_path / "two", change=other(training={"lr": 0.5}))
    found = compare_folders(tmp_path / "one", tmp_path / "two", [])
    assert len(found) == 3
    assert all(one.difference.delta == 0 for one in found)


def test_the_pairs_of_two_folders_are_one_family_and_their_reasons_are_told(tmp_path: Path) -> None:
    for place, amount in (("a", 100), ("b", 50)):
        budget = Budget(amount=amount, batch_size=8, augmentations=1)
        for model, scores in (("one", TRM), ("two", HRM), ("three", PLAIN)):
            seeds = scores if place == "a" else scores[:, ::-1] * 0.9
            more = {"code": {"fingerprint": place}, "change": other(budget=budget)}
            write_model(tmp_path / place, model, seeds, **more)
    problems: list[str] = []
    pairs = compare_folders(tmp_path / "a", tmp_path / "b", problems)
    assert [pair.family and pair.family.tests for pair in pairs] == [3, 3, 3]
    assert [one for one in problems if "runs made by 2 states of the code" in one]


def test_a_model_is_found_whatever_the_order_of_its_options(tmp_path: Path) -> None:
    named = "trm[cycles=2,updates=3]"
    for model, scores in ((named, TRM), ("hrm", HRM)):
        write_model(tmp_path, model, scores)
    (found,) = compare_models("trm[updates=3,cycles=2]", "hrm", [tmp_path], [])
    assert found.difference.delta > 0
    shown = select_models(report_of(tmp_path), ["trm[updates=3,cycles=2]"], {})
    assert [row.model for row in shown.tables[0].rows] == [named]


def test_a_run_is_not_compared_with_itself(tmp_path: Path, run_cli: RunCli) -> None:
    three_models(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    ended = run_cli("compare", tmp_path / "one", tmp_path / "two")
    assert ended.code == 2
    assert "have runs in common, and nothing is compared with itself: " in ended.err


def test_the_same_names_of_other_puzzles_are_refused(tmp_path: Path, run_cli: RunCli) -> None:
    write_model(tmp_path / "one", "a", TRM)
    changed = other(fingerprints={"train": "aa", "validation": "bb", "test": "dd"})
    write_model(tmp_path / "two", "a", HRM, change=changed)
    ended = run_cli("compare", tmp_path / "one", tmp_path / "two")
    assert ended.code == 1
    assert "scored on different puzzles: test sets cc and dd; nothing is compared" in ended.err


def test_the_validation_puzzles_count_where_those_are_scored(tmp_path: Path, run_cli: RunCli) -> None:
    for name, validation in (("one", "bb"), ("two", "ee")):
        changed = other(
            split="validation", fingerprints={"train": "aa", "validation": validation, "test": "cc"}
        )
        write_model(tmp_path / name, "a", TRM if name == "one" else HRM, change=changed)
    ended = run_cli("compare", tmp_path / "one", tmp_path / "two")
    assert ended.code == 1
    assert "scored on different puzzles: validation sets bb and ee; nothing is compared" in ended.err


def test_scores_of_two_versions_of_an_evaluator_are_not_compared(tmp_path: Path, run_cli: RunCli) -> None:
    write_model(tmp_path / "one", "a", TRM)
    newer = [part.model_copy(update={"code": "f" * 64}) for part in SCORED_BY]
    write_model(tmp_path / "two", "a", HRM, change=other(training={"lr": 0.5}), scored_by=newer)
    ended = run_cli("compare", tmp_path / "one", tmp_path / "two")
    assert ended.code == 1
    assert "scored by 2 versions of exact; nothing is compared" in ended.err


def test_a_declared_margin_is_tested_and_an_undeclared_one_is_not(tmp_path: Path) -> None:
    shared = solved(1, 0.6, 0.6, 0.6, 0.6, 0.6, items=400)
    for folder, margin in (("declared", 0.2), ("not", None)):
        write_model(tmp_path / folder, "a", shared, describe=described(margin=margin))
        again = solved(7, 0.6, 0.6, 0.6, 0.6, 0.6, items=400)
        write_model(tmp_path / folder, "b", again, describe=described(margin=margin))
    (declared,) = compare_models("a", "b", [tmp_path / "declared"], [])
    (undeclared,) = compare_models("a", "b", [tmp_path / "not"], [])
    assert "Equivalent within the declared margin of 20.0 points" in " ".join(sentences(declared))
    assert undeclared.equivalence is None
    assert "margin" not in " ".join(sentences(undeclared))


def test_clusters_are_counted_as_such(tmp_path: Path) -> None:
    clusters = np.array([f"c{row // 4}" for row in range(40)])
    three_models(tmp_path, clusters=clusters)
    (found,) = compare_models("trm-mlp", "hrm", [tmp_path], [])
    assert sentences(found)[0].endswith("40 test items in 10 clusters.")


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        (("trm-mpl", "hrm"), 2, "no run of model 'trm-mpl'; did you mean 'trm-mlp'?"),
        (("trm-mlp", "hrm"), 2, "name the output folders to look in"),
    ],
)
def test_what_is_not_there_is_named(
    names: tuple[str, str], code: int, message: str, tmp_path: Path, run_cli: RunCli
) -> None:
    three_models(tmp_path)
    folders = [tmp_path] if "trm-mpl" in names else []
    ended = run_cli("compare", *names, *folders)
    assert ended.code == code
    assert message in ended.err


def test_different_test_sets_are_refused_by_item(tmp_path: Path, run_cli: RunCli) -> None:
    write_model(tmp_path / "one", "a", solved(1, 0.5, 0.5, 0.5))
    fewer = other(training={"lr": 0.5})
    write_model(tmp_path / "two", "a", solved(1, 0.5, 0.5, 0.5, items=39), change=fewer)
    ended = run_cli("compare", tmp_path / "one", tmp_path / "two")
    assert ended.code == 1
    assert "1 missing from" in ended.err
    assert "'p39'" in ended.err


def test_two_recipes_of_one_name_are_not_pooled(tmp_path: Path, run_cli: RunCli) -> None:
    three_models(tmp_path / "one")
    write_model(tmp_path / "two", "hrm", TRM, change=other(training={"lr": 0.5}))
    ended = run_cli("compare", "trm-mlp", "hrm", tmp_path / "one", tmp_path / "two")
    assert ended.code == 2
    assert "hrm was run with several settings, budgets or evaluations in" in ended.err


def test_how_weights_were_evaluated_is_said_and_can_be_chosen(run_cli: RunCli, tmp_path: Path) -> None:
    depth = ROOT / "results" / "studies" / "depth"
    folders = depth / "main", depth / "main-evaluated"
    ended = run_cli("compare", "trm-mlp", "trm-mlp @ steps=1", *folders)
    assert ended.code == 0, ended.err
    assert "trm-mlp 98.2 % (97.4 to 98.8, 8 seeds), trm-mlp @ steps=1 94.5 %" in ended.out
    unknown = run_cli("compare", "trm-mlp", "trm-mlp @ steps=3", *folders)
    assert unknown.code == 2
    assert "no run of 'trm-mlp @ steps=3'; did you mean 'steps=32'?" in unknown.err
    one = tmp_path / "one"  # a folder with a single evaluation
    for run in read_runs([depth / "main-evaluated"], [], []):
        if (run.manifest.description.model, run.manifest.evaluation) == ("trm-mlp", "steps=1"):
            shutil.copytree(run.folder / run.name, one / run.name)
    both = run_cli("compare", depth / "main", one)
    assert both.code == 0, both.err
    assert f"trm-mlp in {depth / 'main'} 98.2 %" in both.out
    assert f"trm-mlp @ steps=1 in {one} 94.5 %" in both.out


def test_two_tasks_made_by_two_states_of_the_code_are_not_called_mixed(run_cli: RunCli) -> None:
    mini = ROOT / "results" / "mini"
    ended = run_cli("compare", "trm-mlp", "hrm", mini / "maze-hard", mini / "sudoku-extreme")
    assert ended.code == 0
    assert ended.out.count(" beats hrm: ") == 2
    assert "NOT CITABLE" not in ended.err


def test_compare_answers_as_the_study_does_by_its_margin_and_next_to_another_folder(run_cli: RunCli) -> None:
    studies = ROOT / "results" / "studies"
    ended = run_cli("compare", "trm", "trm @ noise=1", studies / "rollouts")
    assert "No difference that matters: −0.1 points" in ended.out
    assert "Equivalent within the declared margin of 5.0 points" in ended.out
    line = ("compare", "trm-mlp", "trm-mlp[puzzle_emb_len=0]", studies / "registers")
    alone = run_cli(*line)
    assert "Undecided among 6 tests" in alone.out
    assert run_cli(*line, studies / "rollouts").out == alone.out


def test_other_training_puzzles_are_named(tmp_path: Path) -> None:
    write_model(tmp_path / "one", "a", TRM)
    changed = other(fingerprints={"train": "f" * 64, "validation": "bb", "test": "cc"})
    write_model(tmp_path / "two", "a", TRM, change=changed)
    (found,) = compare_folders(tmp_path / "one", tmp_path / "two", [])
    assert any(difference.startswith("training puzzles") for difference in found.differs)


def test_json_holds_the_numbers_and_the_sentences(tmp_path: Path, run_cli: RunCli) -> None:
    three_models(tmp_path)
    (content,) = json.loads(run_cli("compare", "trm-mlp", "hrm", tmp_path, "--json").out)
    assert content["difference"]["delta"] > 0
    assert content["sentences"][1].startswith("trm-mlp beats hrm")


def test_a_p_value_is_never_zero_in_words() -> None:
    assert p_words(5e-324) == "p < 0.0001"
    assert p_words(0.03125) == "p = 0.0312"


# --- cite ----------------------------------------------------------------------------------------


def parts(*named: tuple[str, str]) -> list[PartIdentity]:
    return [PartIdentity(kind=kind, name=name, distribution="trm-bench", version="0") for kind, name in named]


def test_cite_names_the_harness_the_task_and_the_models_once(tmp_path: Path, run_cli: RunCli) -> None:
    for model in ("trm-mlp", "trm-att", "hrm"):
        change = other(parts=parts(("task", "sudoku-extreme"), ("model", model), ("evaluator", "exact")))
        write_model(tmp_path, model, TRM, change=change)
    out = run_cli("cite", tmp_path).out
    assert out.count("@") == out.count("@software{trm_bench") + out.count("@misc{") + out.count("@article{")
    assert out.count("2510.04871") == 1  # both mixers are of one paper
    assert out.count("{") == out.count("}")
    assert out.index("@software{trm_bench") == 0


def test_cite_alone_gives_the_harness_in_the_running_version(run_cli: RunCli) -> None:
    import trm_bench

    assert f"version = {{{trm_bench.__version__}}}" in run_cli("cite").out


def test_what_cannot_be_cited_is_named(tmp_path: Path, run_cli: RunCli) -> None:
    change = other(parts=parts(("task", "chess"), ("model", "copy")))
    write_model(tmp_path, "copy", TRM, change=change)
    ended = run_cli("cite", tmp_path)
    assert ended.code == 0
    assert "task trm-bench:chess: its plugin is not installed" in ended.err
    assert "model trm-bench:copy: names no citation" in ended.err


def test_what_only_one_side_has_is_named(tmp_path: Path) -> None:
    write_model(tmp_path / "one", "hrm", HRM)
    write_model(tmp_path / "one", "trm-mlp", TRM)
    write_model(tmp_path / "one", "trm-mlp", TRM, change=on_task("another"))
    write_model(tmp_path / "two", "hrm", HRM, change=other(procedure=0))
    write_model(tmp_path / "two", "plain", TRM)
    told: list[str] = []
    compare_models("trm-mlp", "hrm", [tmp_path / "one"], told)
    assert "trm-mlp alone was run on trm-bench:another at mini; left out" in told
    told.clear()
    compare_folders(tmp_path / "one", tmp_path / "two", told)
    assert [line for line in told if "only in" in line] == [
        f"trm-mlp: only in {tmp_path / 'one'}; left out",
        f"plain: only in {tmp_path / 'two'}; left out",
    ]


def test_what_is_left_out_is_a_warning_in_python(tmp_path: Path) -> None:
    """A notebook has no stderr that somebody reads."""
    for folder in ("one", "two"):
        three_models(tmp_path / folder)
    with pytest.warns(UserWarning, match="the same run as .*; left out"):
        trm_bench.compare("trm-mlp", "hrm", tmp_path / "one", tmp_path / "two")

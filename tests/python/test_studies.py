"""A study from end to end: declared in a file, run with one command, reported from its folder alone.

Runs are carried out in the test's own process, but for one test: a process of its own takes seconds to start.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.stored import in_this_process
from support.studies import (
    LOOPED,
    QUESTIONS,
    QUICK,
    SMALL,
    TRM,
    ask,
    definition,
    folders,
    manifests,
    stamps,
    write_yaml,
)
from trm_bench.harness.planning.models import SCALE_DEFAULTS
from trm_bench.harness.planning.request import REQUESTS
from trm_bench.harness.planning.study import Declared, declared_in, read_definition
from trm_bench.harness.report.build import build_report
from trm_bench.harness.report.read import read_folders
from trm_bench.harness.report.table import Report
from trm_bench.harness.store.folders import GRID
from trm_bench.harness.store.requests import RUNS
from trm_bench.testing.pytest_plugin import Ended, RunCli

LIMIT = ("--limit", "8")


@dataclass(frozen=True)
class Finished:
    """A study that was run: its file, its folder, and how the command ended."""

    file: Path
    folder: Path
    ended: Ended


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    with in_this_process():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, run_cli: RunCli) -> Finished:
    """The small study, run once."""
    base = tmp_path_factory.mktemp("finished")
    file, folder = write_yaml(base / "small.yaml", SMALL), base / "out"
    ended = run_cli("run", "--study", file, *LIMIT, "--output", folder)
    return Finished(file, folder, ended)


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Finished:
    """The finished study in a folder that a test may change."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    shutil.copy(finished.file, tmp_path / "small.yaml")
    return Finished(tmp_path / "small.yaml", tmp_path / "copy", finished.ended)


def sentences(out: str) -> list[str]:
    """The answers as they are printed."""
    return [line[2:] for line in out.split("\n\n")[1].splitlines() if line[:2] == "- "]


def reported(folder: Path) -> Report:
    return build_report(read_folders([folder]))


# --- what is run and what is left behind ---------------------------------------------------------


@pytest.mark.slow
def test_a_study_leaves_a_folder_for_each_grid_and_for_its_evaluations(finished: Finished) -> None:
    assert finished.ended.code == 0, finished.ended.err
    assert folders(finished.folder) == ["main", "main-evaluated", "short", "short-evaluated"]
    for name in folders(finished.folder):
        files = {inner.name for inner in (finished.folder / name).iterdir() if inner.is_file()}
        expected = {GRID, RUNS} if name.endswith("-evaluated") else {GRID, RUNS, REQUESTS}
        assert files >= expected
    assert [len(folders(finished.folder / name)) for name in folders(finished.folder)] == [4, 8, 4, 8]
    found = manifests(finished.folder).values()
    assert {(content["status"], content["samples"]) for content in found} == {("done", 8)}


@pytest.mark.slow
def test_a_study_announces_each_grid_with_its_budget(finished: Finished) -> None:
    err = finished.ended.err
    assert "study small, grid main" in err
    assert "study small, grid short" in err
    assert "matched on steps: 3, batch 16" in err
    assert f"matched on examples: {2 * 16}, batch 16" in err  # 0.01 of 150 steps are two, rounded
    assert "8 evaluations in 8 passes over the test set" in err


@pytest.mark.slow
def test_the_definition_is_kept_as_it_was_declared(finished: Finished) -> None:
    study = read_definition(finished.file)
    resolved = {grid: {model: model for model in declared_names(finished.folder)} for grid in study.grids}
    assert declared_in(finished.folder) == Declared(study=study, scale="mini", resolved=resolved)


def declared_names(folder: Path) -> list[str]:
    declared = declared_in(folder)
    assert declared is not None
    return list(declared.resolved["main"])


def mode_of(manifest: dict[str, Any]) -> str:
    return str(manifest["description"]["requested"]).partition(" @ ")[2]


@pytest.mark.slow
def test_the_evaluations_are_of_the_weights_that_were_trained(finished: Finished) -> None:
    for grid in ("main", "short"):
        trained = manifests(finished.folder / grid).values()
        again = manifests(finished.folder / f"{grid}-evaluated").values()
        digests = {one["weights_sha256"] for one in trained}
        assert len(digests) == 4
        assert {one["weights_sha256"] for one in again} == digests
        modes = [(mode_of(one), one["identity"]["halting"]) for one in again]
        assert sorted(modes) == [("halting=true", True)] * 4 + [("steps=1", False)] * 4


@pytest.mark.slow
def test_each_question_has_an_answer_in_each_grid_that_asks_it(finished: Finished) -> None:
    answers = sentences(finished.ended.out)
    asked = [(answer.split("] ")[0][1:], answer.split("] ")[1].split("? ")[0] + "?") for answer in answers]
    assert asked == [
        *(("main", question["asks"]) for question in QUESTIONS),
        *(("short", question["asks"]) for question in QUESTIONS if "grid" not in question),
    ]
    assert "two levels minus one level is" in answers[0]
    assert "two levels minus two levels @ steps=1 is" in answers[1]
    assert finished.ended.out.startswith("Study small at mini: is one of them better?")
    assert "Source of the question: made up for a test" in finished.ended.out


@pytest.mark.slow
def test_report_needs_only_the_folder_of_the_study(finished: Finished, run_cli: RunCli) -> None:
    again = run_cli("report", finished.folder)
    assert (again.code, again.err) == (0, "")
    assert again.out.splitlines() == finished.ended.out.splitlines()


@pytest.mark.slow
def test_run_and_report_print_the_same_json(copied: Finished, run_cli: RunCli) -> None:
    printed = run_cli("run", "--study", copied.file, *LIMIT, "--output", copied.folder, "--json").out
    assert printed == run_cli("report", copied.folder, "--json").out
    (study,) = json.loads(printed)["studies"]
    assert (study["name"], study["scale"], len(study["answers"])) == ("small", "mini", 5)
    assert [one["asks"] in one["sentence"] for one in study["answers"]] == [True] * 5


@pytest.mark.slow
def test_the_tables_have_every_row_and_no_pairs(finished: Finished) -> None:
    report = reported(finished.folder)
    modes = ["", " @ halting=true", " @ steps=1"]
    for table in report.tables:
        rows = {row.requested for row in table.rows}
        assert rows == {f"{name}{mode}" for name in declared_names(finished.folder) for mode in modes}
        assert len(rows) == len(table.rows)
        assert table.pairs == ()
    assert [table.budget and table.budget.match.value for table in report.tables] == ["steps", "examples"]


@pytest.mark.slow
def test_the_row_of_a_trained_model_comes_before_its_further_evaluations(finished: Finished) -> None:
    for table in reported(finished.folder).tables:
        rows = [row.requested for row in table.rows]
        assert all(rows.index(name.partition(" @ ")[0]) <= rows.index(name) for name in rows)


@pytest.mark.slow
def test_a_second_run_reuses_everything(copied: Finished, run_cli: RunCli) -> None:
    before = stamps(copied.folder)
    again = run_cli("run", "--study", copied.file, *LIMIT, "--output", copied.folder)
    assert again.code == 0
    assert again.err.count("4 of 4 runs are finished and reused") == 2
    assert "done after" not in again.err
    assert stamps(copied.folder) == before
    assert sentences(again.out) == sentences(copied.ended.out)


@pytest.mark.slow
def test_only_what_is_missing_is_run_again(copied: Finished, run_cli: RunCli) -> None:
    before = stamps(copied.folder)
    gone = [next((copied.folder / name).glob("trm-mlp*-s1-*")) for name in ("short", "main-evaluated")]
    for run in gone:
        shutil.rmtree(run)
    again = run_cli("run", "--study", copied.file, *LIMIT, "--output", copied.folder)
    assert again.code == 0
    assert sentences(again.out) == sentences(copied.ended.out)
    kept = {file: stamp for file, stamp in before.items() if file.parent not in gone}
    after = stamps(copied.folder)
    assert {file: after[file] for file in kept} == kept
    assert set(after) == set(before)


@pytest.mark.slow
def test_without_the_runs_of_a_model_its_questions_have_no_answer(copied: Finished, run_cli: RunCli) -> None:
    for run in (copied.folder / "short").glob("transformer-looped*"):
        shutil.rmtree(run)
    ended = run_cli("report", copied.folder)
    assert ended.code == 1
    answers = sentences(ended.out)
    looped = next(name for name in declared_names(copied.folder) if name.startswith("transformer-looped"))
    assert answers[3] == f"[short] Are two levels better? Not tested: no finished run of {looped}."
    assert [answer for answer in answers if "[short] Are" not in answer] == [
        answer for answer in sentences(copied.ended.out) if "[short] Are" not in answer
    ]


def test_an_evaluation_that_a_model_cannot_have_is_left_out_and_named(
    tmp_path: Path, run_cli: RunCli
) -> None:
    noisy = "noise=1,rollouts=2,select=mode"
    content = {
        **QUICK,
        "models": [TRM, "mirror"],
        "evaluations": ["halting=true", noisy],
        "contrasts": [ask(f"{TRM} @ {noisy}", TRM, "Several?")],
    }
    file = write_yaml(tmp_path / "halt.yaml", content)
    ended = run_cli("run", "--study", file, *LIMIT, "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    for problem in (
        "halting=true: the model has no halting rule",
        f"{noisy}: the model has no state that noise can be added to",
    ):
        assert ended.err.count(f"left out: mirror @ {problem}") == 2  # before training, and after it
    assert sentences(ended.out)[0].startswith("Several? Not tested (single training run")
    kept = manifests(tmp_path / "out" / "main-evaluated").values()
    assert sorted(map(mode_of, kept)) == ["halting=true", noisy]


def test_a_grid_without_any_weights_is_not_evaluated_and_says_so(tmp_path: Path, run_cli: RunCli) -> None:
    diverging = "mirror[explode=true]"
    content = {**QUICK, "models": [diverging, "copy"], "contrasts": [ask(diverging, "copy", "Better?")]}
    file = write_yaml(tmp_path / "nan.yaml", {**content, "evaluations": ["steps=1"]})
    ended = run_cli("run", "--study", file, *LIMIT, "--output", tmp_path / "out")
    assert ended.code == 1
    assert "nothing to evaluate: no run with weights is finished" in ended.err
    assert sentences(ended.out) == [f"Better? Not tested: no finished run of {diverging}."]


def test_weights_of_an_older_recipe_are_not_evaluated_as_further_seeds(
    tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_yaml(tmp_path / "q.yaml", {**QUICK, "evaluations": ["steps=1"]})
    run = ("run", "--study", file, *LIMIT, "--output", tmp_path / "out")
    assert run_cli(*run).code == 0
    monkeypatch.setitem(SCALE_DEFAULTS["mini"], "lr", 0.5)  # type: ignore[arg-type]
    assert run_cli(*run).code == 0
    (table,) = reported(tmp_path / "out").tables
    seeds = {row.requested: [seed.seed for seed in row.seeds] for row in table.rows}
    assert seeds == {"mirror": [0], "copy": [0], "mirror @ steps=1": [0]}


@pytest.mark.slow
def test_cite_has_the_models_of_a_study(finished: Finished, run_cli: RunCli) -> None:
    cited = run_cli("cite", finished.folder)
    assert cited.code == 0
    assert "jolicoeur2025less" in cited.out


@pytest.mark.slow
def test_every_run_of_a_study_has_a_process_of_its_own(tmp_path: Path) -> None:
    content = {**QUICK, "evaluations": ["steps=1"], "contrasts": [ask("mirror @ steps=1", "mirror")]}
    file = write_yaml(tmp_path / "real.yaml", {**content, "models": ["mirror"]})
    command = [sys.executable, "-m", "trm_bench", "run", "--study", str(file), *LIMIT]
    command += ["--output", str(tmp_path / "out"), "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[1/1] mirror-s0" in done.stderr
    assert sentences(done.stdout)[0].startswith("Is it better? Not tested (single training run")
    assert folders(tmp_path / "out") == ["main", "main-evaluated"]


# --- which study, in which folder ----------------------------------------------------------------

OTHER_STUDIES: dict[str, dict[str, Any]] = {
    "other questions": {"contrasts": [ask(LOOPED, TRM)]},
    "other models": {"models": [TRM, LOOPED, "mirror"]},
    "other seeds": {"seeds": "0-2"},
    "another share": {"grids": {**SMALL["grids"], "main": {"share": {"mini": 0.5}}}},
    "another name": {"name": "large"},
}


@pytest.mark.slow
@pytest.mark.parametrize("change", OTHER_STUDIES.values(), ids=OTHER_STUDIES)
def test_another_study_in_the_same_folder_is_refused(
    change: dict[str, Any], finished: Finished, tmp_path: Path, run_cli: RunCli
) -> None:
    before, declared = stamps(finished.folder), declared_in(finished.folder)
    file = write_yaml(tmp_path / "other.yaml", {**SMALL, **change})
    ended = run_cli("run", "--study", file, *LIMIT, "--output", finished.folder)
    assert ended.code == 2
    assert f"--output {finished.folder} holds study small at scale mini" in ended.err
    assert "choose another folder" in ended.err
    assert stamps(finished.folder) == before
    assert declared_in(finished.folder) == declared


@pytest.mark.slow
def test_the_wording_of_a_study_may_be_changed_later(copied: Finished, run_cli: RunCli) -> None:
    before = stamps(copied.folder)
    questions = [{**question, "asks": f"Now, {question['asks']}"} for question in QUESTIONS]
    reworded = {**SMALL, "contrasts": questions, "labels": {TRM: "TRM"}, "asks": "which one is better?"}
    write_yaml(copied.file, reworded)
    ended = run_cli("run", "--study", copied.file, *LIMIT, "--output", copied.folder)
    assert ended.code == 0, ended.err
    assert stamps(copied.folder) == before
    assert ended.out.startswith("Study small at mini: which one is better?")
    assert "[main] Now, Are two levels better?" in ended.out
    assert "TRM minus transformer-looped" in ended.out


@pytest.mark.slow
def test_a_study_goes_to_results_by_its_name_and_scale(
    tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run_cli("run", "--study", write_yaml(tmp_path / "q.yml", QUICK), "--dry-run")
    assert ended.code == 0
    assert "to results/quick-mini/main" in ended.err
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_dry_run_shows_every_grid_and_writes_nothing(dry: Callable[..., Ended], tmp_path: Path) -> None:
    ended = dry(SMALL)
    assert ended.code == 0, ended.err
    assert ended.out.count("train FLOPs per run") == 2
    assert ended.out.count("FLOPs to do") == 2
    assert not (tmp_path / "dry").exists()


@pytest.mark.slow
def test_seeds_of_the_command_line_win(dry: Callable[..., Ended]) -> None:
    assert "2 models × 2 seeds = 4 runs" in dry(SMALL).err
    assert "2 models × 3 seeds = 6 runs" in dry(SMALL, "--seeds", "7-9").err


def test_more_seeds_may_be_added_to_a_study(tmp_path: Path, run_cli: RunCli) -> None:
    file = write_yaml(tmp_path / "q.yaml", QUICK)
    for seeds, reused in (("0", 0), ("0-1", 2)):
        ended = run_cli("run", "--study", file, "--seeds", seeds, "--output", tmp_path / "out")
        assert ended.code == 0, ended.err
        assert (f"{reused} of 4 runs are finished and reused" in ended.err) is bool(reused)
    assert len(folders(tmp_path / "out" / "main")) == 4


def test_force_repeats_every_run(tmp_path: Path, run_cli: RunCli) -> None:
    file = write_yaml(tmp_path / "q.yaml", {**QUICK, "evaluations": ["steps=1"]})
    run = ("run", "--study", file, "--output", tmp_path / "out")
    assert run_cli(*run).code == 0
    before = stamps(tmp_path / "out")
    assert run_cli(*run, "--force").code == 0
    after = stamps(tmp_path / "out")
    assert {file.parent.parent.name for file in before} == {"main", "main-evaluated"}
    assert all(after[file] > before[file] for file in before)


# --- models that are one and the same ------------------------------------------------------------


def test_two_names_of_one_model_are_nothing_to_compare(tmp_path: Path, run_cli: RunCli) -> None:
    same = "mirror[hidden=16]"
    content = definition(
        ask("mirror", same, "One?"),
        ask(same, "copy", "Two?"),
        models=["mirror", same, "copy"],
        seeds="0",
        grids={"main": {"settings": {"steps": 2}}},
    )
    file = write_yaml(tmp_path / "same.yaml", content)
    ended = run_cli("run", "--study", file, *LIMIT, "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert f"{same} is the same as mirror here" in ended.err
    first, second = sentences(ended.out)
    assert first == f"One? Nothing to compare: at this scale mirror and {same} are both mirror."
    assert second.startswith(f"Two? Not tested (copy is not trained, and part of no test): {same} minus copy")
    assert len(folders(tmp_path / "out" / "main")) == 2


def test_models_that_are_one_in_one_grid_alone_are_compared_in_the_other(
    tmp_path: Path, run_cli: RunCli
) -> None:
    fast = "mirror[lr=0.5]"
    settings = {"usual": {"steps": 2}, "fast": {"steps": 2, "lr": 0.5}}
    content = definition(
        ask("mirror", fast, "Is it better?"),
        models=["mirror", fast],
        seeds="0",
        grids={name: {"settings": each} for name, each in settings.items()},
    )
    file = write_yaml(tmp_path / "fast.yaml", content)
    ended = run_cli("run", "--study", file, *LIMIT, "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    usual, same = sentences(ended.out)
    assert "Nothing to compare" in same
    assert usual.startswith("[usual] Is it better? Not tested (single training run; checkpoint-level only): ")


# --- what may be cited ---------------------------------------------------------------------------


def recipe(reasons: str) -> list[str]:
    """Of the reasons against citing, those of a changed recipe."""
    return sorted(set(re.findall(r"(?:shortened|changed) \w+: [^;\n]*", reasons)))


@pytest.mark.slow
def test_what_a_grid_declares_is_no_reason_against_citing(finished: Finished) -> None:
    for content in manifests(finished.folder).values():
        assert recipe("; ".join(content["not_citable_because"])) == []
        assert "--limit 8: only the first 8 test items" in content["not_citable_because"]


@pytest.mark.slow
def test_what_the_command_line_shortens_is_a_reason_in_every_grid(dry: Callable[..., Ended]) -> None:
    assert recipe(dry(SMALL).err) == []
    assert recipe(dry(SMALL, "--set", "steps=1").err) == [
        "shortened recipe: 1 steps instead of 3",
        "shortened recipe: 16 examples instead of 32",
    ]
    assert recipe(dry(SMALL, "--set", "batch_size=4").err) == [
        "changed recipe: batch size 4 instead of 16",
        "shortened recipe: 8 examples instead of 32",
    ]


DECLARED = {**QUICK, "grids": {"main": {"settings": {"steps": 2, "lr": 0.01, "batch_size": 8}}}}


@pytest.mark.slow
def test_settings_of_a_grid_are_its_recipe_and_those_of_the_command_line_are_not(
    dry: Callable[..., Ended],
) -> None:
    assert recipe(dry(DECLARED).err) == []
    assert "matched on steps: 2, batch 8" in dry(DECLARED).err
    assert recipe(dry(DECLARED, "--set", "ema=0.5").err) == ["changed recipe: ema=0.5 instead of 0.99"]
    assert recipe(dry(DECLARED, "--set", "batch_size=16").err) == [
        "changed recipe: batch size 16 instead of 8"
    ]


@pytest.mark.slow
def test_a_setting_of_a_grid_that_the_command_line_changes_is_a_reason(dry: Callable[..., Ended]) -> None:
    for value in (0.5, 0.001):  # the second is that of the scale
        reasons = recipe(dry(DECLARED, "--set", f"lr={value}").err)
        assert reasons == [f"changed recipe: lr={value} instead of 0.01"]


def test_what_was_declared_reaches_the_runs_and_is_kept(tmp_path: Path, run_cli: RunCli) -> None:
    file = write_yaml(tmp_path / "declared.yaml", DECLARED)
    assert run_cli("run", "--study", file, *LIMIT, "--output", tmp_path / "out").code == 0
    kept = json.loads((tmp_path / "out" / "main" / GRID).read_text())
    assert kept["settings"] == {"lr": "0.01"}  # the others are in the budget
    assert (kept["budget"]["amount"], kept["budget"]["batch_size"]) == (2, 8)
    for content in manifests(tmp_path / "out").values():
        assert content["identity"]["budget"]["amount"] == 2
        assert content["identity"]["budget"]["batch_size"] == 8
        assert content["identity"]["training"]["lr"] == 0.01
        assert recipe("; ".join(content["not_citable_because"])) == []

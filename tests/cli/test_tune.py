"""`trm-bench tune` from end to end."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import yaml
from support.processes import started, wait_for
from support.shell import strictly
from support.stored import command, manifests, runs
from trm_bench.harness.store.folders import Output, RunFolder
from trm_bench.testing.pytest_plugin import Ended

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ("--task", "tiny", "--set", "batch_size=16", "--seeds", "0-1")


def tune(folder: Path, *more: object, models: str = "mirror", steps: int = 150) -> Ended:
    return command("tune", "--models", models, *QUICK, "--set", f"steps={steps}", "--output", folder, *more)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("tune") / "out"
    return folder, tune(folder, "--grid", "lr=0.0001,0.0002,0.1")


def test_it_prints_the_table_the_choice_and_the_recipe(tuned: tuple[Path, Ended]) -> None:
    folder, ended = tuned
    assert ended.code == 0, ended.err
    assert "tiny · mini · mirrored rows, seed 0 · 120 train, 20 validation" in ended.out
    assert "mirror: best lr=0.1 (" in ended.out
    assert "mirror: lr=0.1 is at the edge of the grid" in ended.out
    assert "2 seeds a setting, and two seeds say little" in ended.out
    assert ended.out.rstrip().endswith((folder / "recipe.yaml").read_text().rstrip())
    assert yaml.safe_load((folder / "recipe.yaml").read_text()) == {
        "tiny": {"mini": {"training": {"lr": 0.1}}}
    }
    assert "not citable: scored on validation, not on test" in ended.err


def test_as_json_it_is_what_the_folder_has(tuned: tuple[Path, Ended]) -> None:
    folder, _ = tuned
    again = tune(folder, "--grid", "lr=0.0001,0.0002,0.1", "--json")
    assert "6 of 6 runs are finished and reused" in again.err
    printed = strictly(again.out)
    assert printed == json.loads((folder / "tuning.json").read_text())
    assert [one["standing"] for one in printed["models"][0]["settings"]][-1] == "best"


def test_the_report_of_its_folder_names_the_split_and_the_command(tuned: tuple[Path, Ended]) -> None:
    ended = command("report", tuned[0])
    assert "120 train, 20 validation" in ended.out
    assert "scored on the validation puzzles, after training; the test set was not read" in ended.out
    assert "trm-bench run" not in ended.out
    lines = command("report", tuned[0], "--format", "csv").out.splitlines()
    assert "test,split,match" in lines[0]
    assert all(",20,validation,steps," in line for line in lines[1:] if line.startswith("score,"))
    assert all(",validation," in line for line in lines[1:])


def test_a_dry_run_runs_nothing(tmp_path: Path) -> None:
    ended = tune(tmp_path / "out", "--grid", "lr=0.01,0.02", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    (grid,) = strictly(ended.out)["grids"]
    assert [model["to_run"] for model in grid["models"]] == [2, 2]
    assert not (tmp_path / "out").exists()


def test_options_come_from_a_file_too(tuned: tuple[Path, Ended], tmp_path: Path) -> None:
    folder, _ = tuned
    file = tmp_path / "tune.yaml"
    grid = {"lr": [0.0001, 0.0002, 0.1]}
    options = {"models": "mirror", "task": "tiny", "grid": grid, "seeds": "0-1", "output": str(folder)}
    file.write_text(yaml.safe_dump({**options, "set": {"steps": 150, "batch_size": 16}}))
    ended = command("tune", "--config", file)
    assert ended.code == 0, ended.err
    assert "6 of 6 runs are finished and reused" in ended.err


def test_a_failed_try_is_shown_and_the_exit_code_is_1(tmp_path: Path) -> None:
    ended = tune(tmp_path, "--grid", "explode=true,false", "--set", "lr=0.1")
    assert ended.code == 1
    assert " failed" in ended.out
    assert "failed: mirror[explode=true], seed 1: " in ended.out
    assert "mirror: best explode=false" in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--grid is missing"),
        (("--grid", "steps=1,2"), "--grid steps: the budget is the same for all"),
        (("--grid", "lrr=1,2"), "--grid lrr: not an option of mirror; did you mean 'lr'?"),
        (("--grid", "lr=1e-3,0.001"), "--grid lr=0.001: the same as 1e-3"),
        (("--grid", "lr=0.1,0.2", "--study", "depth"), "No such option '--study'"),
    ],
)
def test_bad_input_is_refused(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    ended = tune(tmp_path / "out", *words)
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "out").exists()


def test_weights_are_evaluated_on_validation(tuned: tuple[Path, Ended], tmp_path: Path) -> None:
    ended = command("evaluate", "--weights", tuned[0], "--split", "validation", "--output", tmp_path)
    assert ended.code == 0, ended.err
    assert "over the validation set" in ended.err
    assert [run.records() for run in runs(tmp_path)] == [run.records() for run in runs(tuned[0])]
    on_test = command("evaluate", "--weights", tuned[0], "--output", tmp_path)
    assert on_test.code == 2
    assert "split is 'validation' there and 'test' here" in on_test.err


@pytest.mark.slow
def test_a_search_that_is_killed_continues_by_running_it_again(tmp_path: Path) -> None:
    words = ("tune", "--models", "mirror", *QUICK, "--set", "steps=400", "--grid", "lr=0.01,0.05")
    process = started(*words, "--jobs", 1, "--output", tmp_path)
    wait_for(lambda: any(run.is_done() for run in Output(tmp_path).runs()))
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130
    done = {run.name: run.manifest().finished for run in Output(tmp_path).runs() if run.is_done()}
    assert 0 < len(done) < 4
    ended = command(*words, "--output", tmp_path)
    assert ended.code == 0, ended.err
    assert f"{len(done)} of 4 runs are finished and reused" in ended.err
    assert {name: RunFolder(tmp_path / name).manifest().finished for name in done} == done
    assert len(manifests(tmp_path)) == 4


@pytest.mark.slow
def test_items_with_votes_are_scored_as_on_the_test_set(tmp_path: Path) -> None:
    ended = command(
        *(
            "tune",
            "--models",
            "transformer",
            "--task",
            "arc-agi-1",
            "--seeds",
            "0",
            "--grid",
            "lr=0.001,0.002",
        ),
        *("--set", "steps=3", "--set", "votes=4", "--augmentations", "8", "--output", tmp_path),
    )
    assert ended.code == 0, ended.err
    for run in runs(tmp_path):
        records = run.records()
        assert len(records) == run.manifest().description.counts["validation"]
        assert all("pass@2.votes" in record["extras"] for record in records)
        assert not (run.folder / "submission.json").exists()

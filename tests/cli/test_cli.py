"""The command line from end to end, on a task that trains in a second."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.stored import command
from trm_bench.testing.pytest_plugin import Ended, RunCli

HEAVY = ("torch", "scipy", "pandas", "numba")
TINY = ("run", "--task", "tiny", "--models", "mirror,copy", "--jobs", "2")


def runs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def manifest(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return content


def statuses(folder: Path) -> dict[str, str]:
    """The status of every run, by model and seed."""
    return {run.name.rpartition("-")[0]: manifest(run)["status"] for run in runs(folder)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One run of two models and three seeds; the folder and what was printed."""
    folder = tmp_path_factory.mktemp("finished") / "out"
    done = command(*TINY, "--seeds", "0-2", "--output", folder)
    assert done.code == 0, done.err
    return folder, done.out


def copied(finished: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


@pytest.mark.slow
def test_a_run_prints_scores_differences_and_the_budget(finished: tuple[Path, str]) -> None:
    _, out = finished
    assert "tiny · mini · mirrored rows, seed 0 · 120 train, 40 test" in out
    assert "matched on steps: 150, batch 16, augmentations per puzzle A = 1" in out
    assert "Copy is not trained, and part of no test" in out
    for words in ("solved % of each seed", "[95 % CI]", "FLOPs per"):
        assert words in out
    assert "supervision steps at test: mirror 1, Copy 1" in out


COSTS = ("core params", "FLOPs", "optimiser", "ms per puzzle", "puzzles/s", "peak MiB")


@pytest.mark.slow
def test_costs_are_printed_on_request(finished: tuple[Path, str], run_cli: RunCli) -> None:
    folder, without = finished
    with_costs = run_cli("report", folder, "--costs").out
    assert [words for words in COSTS if words not in with_costs] == []
    assert [words for words in COSTS if words in without] == ["FLOPs"]  # of one puzzle, in the first table
    again = run_cli(*TINY, "--seeds", "0-2", "--output", folder, "--costs")
    assert again.out == with_costs


@pytest.mark.slow
def test_a_folder_holds_everything_that_the_number_of_a_run_rests_on(finished: tuple[Path, str]) -> None:
    run = next(path for path in runs(finished[0]) if path.name.startswith("mirror-s1"))
    assert sorted(path.name for path in run.iterdir()) == [
        "manifest.json",
        "metrics.jsonl",
        "model.safetensors",
        "predictions.npz",
        "samples.jsonl.gz",
    ]
    content = manifest(run)
    assert content["status"] == "done"
    reasons = content["not_citable_because"]
    assert [reason for reason in reasons if "source tree" not in reason] == []
    assert content["citable"] is (not reasons)
    ledger = content["ledger"]
    assert ledger["optimiser_steps"] == 150
    assert ledger["draws"] == 150 * 16
    assert ledger["distinct_augmentations"] == 120
    parts = content["identity"]["parts"]
    assert {part["kind"]: part["distribution"] for part in parts}["model"] == "tiny-plugin"
    with gzip.open(run / "samples.jsonl.gz", "rt") as lines:
        records = [json.loads(line) for line in lines]
    assert len(records) == 40
    assert set(records[0]["scores"]) == {"exact", "first-cell", "cells"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_samples_and_metrics(
    finished: tuple[Path, str], tmp_path: Path, run_cli: RunCli
) -> None:
    again = run_cli(*TINY, "--seeds", "1", "--output", tmp_path / "again")
    assert again.code == 0
    assert len(runs(tmp_path / "again")) == 2
    for run in runs(tmp_path / "again"):
        twin = finished[0] / run.name
        assert (run / "samples.jsonl.gz").read_bytes() == (twin / "samples.jsonl.gz").read_bytes()
        if run.name.startswith("mirror"):
            assert (run / "metrics.jsonl").read_text() == (twin / "metrics.jsonl").read_text()
            assert (run / "model.safetensors").read_bytes() == (twin / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_finished_runs_are_reused_and_force_repeats_them(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    stamps = {run.name: manifest(run)["started"] for run in runs(folder)}
    again = command(*TINY, "--seeds", "0-2", "--output", folder)
    assert again.code == 0
    assert "6 of 6 runs are finished and reused (--force repeats them)" in again.err
    assert again.out.split("Reproduce")[0] == finished[1].split("Reproduce")[0]
    assert {run.name: manifest(run)["started"] for run in runs(folder)} == stamps
    forced = command(*TINY, "--seeds", "0", "--output", folder, "--force")
    assert forced.code == 0
    assert "are finished and reused" not in forced.err
    repeated = {name for name, before in stamps.items() if manifest(folder / name)["started"] != before}
    assert {name.rpartition("-")[0] for name in repeated} == {"mirror-s0", "copy-s0"}


@pytest.mark.slow
def test_report_prints_the_same_table_from_the_records_alone(
    finished: tuple[Path, str], run_cli: RunCli
) -> None:
    again = run_cli("report", finished[0])
    assert again.code == 0
    assert again.out == finished[1]


@pytest.mark.slow
def test_report_knows_markdown_and_json(finished: tuple[Path, str], run_cli: RunCli) -> None:
    assert "| model" in run_cli("report", finished[0], "--format", "markdown").out
    content = json.loads(run_cli("report", finished[0], "--json").out)
    rows = content["tables"][0]["rows"]
    assert [row["label"] for row in rows] == ["mirror", "Copy"]
    assert [seed["seed"] for seed in rows[0]["seeds"]] == [0, 1, 2]


@pytest.mark.slow
def test_a_truncated_file_is_named_and_the_rest_is_reported(
    finished: tuple[Path, str], tmp_path: Path, run_cli: RunCli
) -> None:
    folder = copied(finished, tmp_path)
    samples = next(folder.glob("mirror-s0*")) / "samples.jsonl.gz"
    samples.write_bytes(samples.read_bytes()[:-20])
    broken = next(folder.glob("copy-s2*")) / "manifest.json"
    broken.write_text(broken.read_text()[:200])
    again = run_cli("report", folder)
    assert again.code == 1
    assert str(samples) in again.err
    assert str(broken) in again.err
    assert "incomplete: mirror, seed 0, damaged" in again.out
    assert "(2 of 3)" in again.out


@pytest.mark.slow
def test_a_damaged_run_is_repeated(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    samples = next(folder.glob("mirror-s0*")) / "samples.jsonl.gz"
    whole = samples.read_bytes()
    samples.write_bytes(whole[:-20])
    again = command(*TINY, "--seeds", "0-2", "--output", folder)
    assert "5 of 6 runs are finished and reused" in again.err
    assert samples.read_bytes() == whole


def test_a_diverging_run_fails_alone(tmp_path: Path) -> None:
    models = "mirror,mirror[explode=true]"
    ended = command("run", "--task", "tiny", "--models", models, "--seeds", "0-1", "--output", tmp_path)
    assert ended.code == 1
    assert (
        "incomplete: mirror[explode=true], seed 1, failed: the loss is nan at optimiser step 1" in ended.out
    )
    assert statuses(tmp_path) == {
        "mirror-s0": "done",
        "mirror-s1": "done",
        "mirror_explode=true-s0": "failed",
        "mirror_explode=true-s1": "failed",
    }


@pytest.mark.slow
def test_a_process_that_dies_silently_fails_only_its_own_run(tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli(
        "run", "--task", "tiny", "--models", "mirror[crash=true],copy", "--seeds", "0", "--output", tmp_path
    )
    assert ended.code == 1
    assert "ended with exit code 7" in ended.err
    assert "[2/2]" in ended.err
    assert statuses(tmp_path) == {"mirror_crash=true-s0": "failed", "copy-s0": "done"}
    scores = [line.split()[:2] for line in ended.out.splitlines() if line.startswith("Copy ")]
    assert ["Copy", "2.5"] in scores


def started(command: list[str]) -> subprocess.Popen[str]:
    """A process that hears Ctrl-C, even where the tests run in the background of a shell that ignores it."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_leaves_finished_runs_and_ends_with_130(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "trm_bench", "run", "--task", "tiny", "--models", "copy,mirror"]
    line += ["--seeds", "0", "--jobs", "1", "--set", "steps=1000000", "--output", str(tmp_path)]
    process = started(line)
    wait_for(lambda: list(tmp_path.glob("mirror-*/metrics.jsonl")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted; rerun the same command to continue" in err
    assert statuses(tmp_path) == {"copy-s0": "done", "mirror-s0": "interrupted"}


@pytest.mark.slow
def test_a_dry_run_shows_the_grid_and_runs_nothing(tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli(*TINY, "--seeds", "0-1", "--output", tmp_path / "out", "--dry-run")
    assert ended.code == 0
    assert "train FLOPs per run" in ended.out
    assert "FLOPs to do" in ended.out
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_what_force_repeats_and_a_plan_cannot_force(tmp_path: Path, run_cli: RunCli) -> None:
    line = (*TINY, "--seeds", "0", "--output", tmp_path / "out")
    assert command(*line).code == 0
    dry = (*line, "--dry-run", "--json")
    (there,), (again,) = (json.loads(run_cli(*dry, *more).out)["grids"] for more in ((), ("--force",)))
    assert {model["to_run"] for model in there["models"]} == {0}
    assert {model["to_run"] for model in again["models"]} == {1}
    assert there["flops_to_do"] < again["flops_to_do"]
    planned = run_cli(*line, "--plan-only", "--force")
    assert planned.code == 2
    assert "--plan-only cannot be combined with --force" in planned.err


def test_options_may_stand_in_a_file_and_the_command_line_wins(tmp_path: Path) -> None:
    config = tmp_path / "grid.yaml"
    config.write_text("task: tiny\nmodels: [mirror, copy]\nseeds: 0-4\nset: {steps: 10, lr: 0.002}\n")
    ended = command("run", "--config", config, "--seeds", "3", "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert list(statuses(tmp_path / "out")) == ["copy-s3", "mirror-s3"]
    identity = manifest(runs(tmp_path / "out")[1])["identity"]
    assert identity["training"]["lr"] == 0.002
    assert identity["budget"]["amount"] == 10


def test_settings_of_a_file_and_of_the_command_line_are_merged_key_by_key(
    tmp_path: Path, run_cli: RunCli
) -> None:
    config = tmp_path / "grid.yaml"
    config.write_text("task: tiny\nmodels: copy\nset: {steps: 7, batch_size: 3}\n")
    line = (
        "run",
        "--config",
        config,
        "--set",
        "steps=9",
        "--dry-run",
        "--json",
        "--output",
        tmp_path / "out",
    )
    ended = run_cli(*line)
    assert ended.code == 0
    budget = json.loads(ended.out)["grids"][0]["budget"]
    assert (budget["amount"], budget["batch_size"]) == (9, 3)


def one(folder: Path, model: str, *more: object) -> Ended:
    """A run with one seed."""
    return command("run", "--task", "tiny", "--models", model, "--seeds", "0", "--output", folder, *more)


def test_a_further_evaluator_gets_its_column(tmp_path: Path) -> None:
    ended = one(tmp_path, "copy", "--evaluators", "last-cell")
    assert ended.code == 0, ended.err
    assert "last-cell %" in ended.out


def test_changed_settings_are_named_as_reasons_against_citing(tmp_path: Path) -> None:
    ended = one(tmp_path, "mirror", "--match", "examples", "--set", "examples=64", "--set", "lr=0.5")
    assert ended.code == 0, ended.err
    reasons = manifest(runs(tmp_path)[0])["not_citable_because"]
    for reason in (
        "shortened recipe: 64 examples instead of 2,400",
        "changed recipe: lr=0.5 instead of 0.001",
    ):
        assert reason in ended.out.partition("NOT CITABLE: ")[2]
        assert f"not citable: {reason}" in ended.err
        assert reason in reasons


def test_without_any_finished_run_it_says_what_failed(tmp_path: Path) -> None:
    ended = one(tmp_path, "mirror[explode=true]")
    assert ended.code == 1
    assert "failed the loss is nan at optimiser step 1" in ended.err


@pytest.mark.slow
def test_an_interrupted_repeat_gives_the_finished_result_back(tmp_path: Path) -> None:
    words = ["run", "--task", "tiny", "--models", "mirror", "--seeds", "0", "--set", "steps=3000"]
    words += ["--output", str(tmp_path)]
    assert command(*words).code == 0
    (run,) = runs(tmp_path)
    before = manifest(run)
    process = started([sys.executable, "-m", "trm_bench", *words, "--force"])
    wait_for((run / ".previous").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert manifest(run) == before


def test_a_shortened_or_limited_run_is_not_citable_and_says_why(tmp_path: Path) -> None:
    settings = ("--limit", "7", "--set", "steps=3", "--set", "batch_size=4")
    ended = one(tmp_path, "mirror,copy", *settings)
    assert ended.code == 0
    assert "NOT CITABLE" in ended.out
    content = manifest(runs(tmp_path)[0])
    assert content["citable"] is False
    reasons = content["not_citable_because"]
    assert "--limit 7: only the first 7 test items" in reasons
    assert "shortened recipe: 3 steps instead of 150" in reasons
    assert "changed recipe: batch size 4 instead of 16" in reasons
    assert content["samples"] == 7


@pytest.mark.slow
def test_a_folder_of_other_runs_is_refused(finished: tuple[Path, str], run_cli: RunCli) -> None:
    ended = run_cli(*TINY, "--set", "steps=10", "--output", finished[0])
    assert ended.code == 2
    assert f"--output {finished[0]} holds other runs: budget is" in ended.err
    assert "Choose another folder" in ended.err


@pytest.mark.parametrize("verb", [("--help",), ("list",), ("plugins",), ("run", "--help"), ("--version",)])
def test_quick_verbs_import_nothing_heavy(verb: tuple[str, ...]) -> None:
    program = (
        "import sys\nfrom trm_bench.harness.cli import main\n"
        f"try:\n    main({list(verb)!r})\nexcept SystemExit as ended:\n    assert not ended.code\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_list_names_everything(run_cli: RunCli) -> None:
    out = run_cli("list").out
    for name in (
        "sudoku-extreme",
        "maze-hard",
        "tiny",
        "trm-att",
        "transformer-looped",
        "maze-shortest",
        "markdown",
    ):
        assert name in out
    models = json.loads(run_cli("list", "models", "--json").out)["models"]
    assert {model["name"] for model in models} >= {"trm", "trm-mlp", "hrm", "transformer", "copy", "mirror"}


@pytest.mark.slow
def test_plugins_names_broken_ones_and_check_fails(tmp_path: Path) -> None:
    from support.distributions import write_distribution

    write_distribution(tmp_path, "broken-plugin", "bad = broken_plugin")
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no such luck')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trm_bench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    listed = run("plugins")
    assert listed.returncode == 0
    assert "problem: broken-plugin:bad: RuntimeError: no such luck" in listed.stdout
    assert run("plugins", "--check").returncode == 1
    assert "maze-hard" in run("list", "tasks").stdout
    assert "broken" not in run("--no-plugins", "plugins").stdout


def test_prepare_makes_puzzles_once(run_cli: RunCli) -> None:
    first = json.loads(run_cli("prepare", "--task", "tiny", "--json").out)
    assert first["counts"] == {"train": 120, "validation": 20, "test": 40}
    assert json.loads(run_cli("prepare", "--task", "tiny", "--json").out) == first
    other = json.loads(run_cli("prepare", "--task", "tiny", "--set", "task_seed=5", "--json").out)
    assert other["fingerprints"] != first["fingerprints"]

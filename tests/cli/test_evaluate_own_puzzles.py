"""`trm-bench evaluate` on a test table alone, and `--train` and `--test`, as a user writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.arc import made, write
from support.stored import asked, command, evaluate, evaluated, export, runs
from support.sudoku import HEADER, good, lines, row
from trm_bench.harness.store.folders import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")

PUZZLE = ("--task", "sudoku-extreme", "--scale", "lite", "--set", "steps=1", "--set", "batch_size=4")
UNKNOWN = "no training puzzles were given, so whether a test puzzle was trained on is not known"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return good(tmp_path_factory.mktemp("official") / "data")


@pytest.fixture(scope="module")
def own(data: Path) -> RunFolder:
    ended = command(
        "run",
        *PUZZLE,
        "--data",
        data,
        "--seeds",
        0,
        "--models",
        asked("trm-mlp"),
        "--output",
        data.parent / "out",
    )
    assert ended.code == 0, ended.err
    return runs(data.parent / "out")[0]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "test.csv").write_text(HEADER + lines(*map(row, range(50, 60))))
    return tmp_path / "mine" / "test.csv"


def test_a_folder_with_a_test_table_alone_is_enough(own: RunFolder, table: Path, tmp_path: Path) -> None:
    (run,) = evaluated(tmp_path / "out", own.folder, more=("--data", table.parent))
    assert [record["item"] for record in run.records()] == [f"test/{number}" for number in range(10)]
    assert UNKNOWN in run.manifest().not_citable_because
    counts = run.manifest().description.counts
    assert (counts["train"], counts["validation"], counts["test"]) == (0, 0, 10)
    (named,) = evaluated(tmp_path / "named", own.folder, more=("--test", table))
    assert named.records() == run.records()


def test_external_weights_need_no_training_puzzles_either(
    own: RunFolder, table: Path, tmp_path: Path
) -> None:
    weights = export(own, tmp_path / "weights.pt")
    words = ("--model", asked("trm-mlp"), "--task", "sudoku-extreme", "--scale", "lite", "--test", table)
    (run,) = evaluated(tmp_path / "out", weights, more=words)
    assert len(run.records()) == 10
    assert UNKNOWN in run.manifest().not_citable_because


def test_the_leaks_of_the_puzzles_that_are_evaluated_are_said(
    own: RunFolder, data: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "test.csv"
    copied.write_text(HEADER + lines(*map(row, range(50))))
    (run,) = evaluated(tmp_path / "out", own.folder, more=("--train", data / "train.csv", "--test", copied))
    reasons = run.manifest().not_citable_because
    assert "36 of 50 test puzzles are trained on, up to the symmetries of sudoku-extreme" in reasons
    assert (
        "4 of 50 test puzzles are in the validation split, up to the symmetries of sudoku-extreme" in reasons
    )


def test_training_still_needs_both_and_says_which_is_missing(table: Path, tmp_path: Path) -> None:
    words = ("run", *PUZZLE, "--models", "copy", "--seeds", 0, "--output", tmp_path / "out")
    ended = command(*words, "--data", table.parent)
    assert (ended.code, "no train table" in ended.err) == (4, True)
    ended = command(*words, "--test", table)
    assert (ended.code, "--test without --train" in ended.err) == (4, True)
    ended = command(*words, "--test", table, "--source", "generated")
    assert (ended.code, "--test goes with --source official" in ended.err) == (2, True)
    assert not (tmp_path / "out").exists()


def prepared(*words: object) -> dict[str, Any]:
    ended = command("prepare", "--task", "sudoku-extreme", "--scale", "lite", *words, "--json")
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_named_files_are_what_is_prepared_and_run(data: Path, table: Path, tmp_path: Path) -> None:
    whole = prepared("--data", data)
    chosen = prepared("--data", data, "--test", table)
    assert chosen["fingerprints"]["train"] == whole["fingerprints"]["train"]
    assert chosen["counts"]["test"] == 10
    words = ("--train", data / "train.csv", "--test", table)
    assert prepared(*words)["fingerprints"] == chosen["fingerprints"]
    ended = command("run", *PUZZLE, *words, "--models", "copy", "--seeds", 0, "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert len(runs(tmp_path / "out")[0].records()) == 10
    (request,) = json.loads((tmp_path / "out" / "requests.json").read_text())["requests"]
    assert (request["train"], request["test"]) == ([str(data / "train.csv")], [str(table)])


def test_several_candidates_are_refused_until_one_is_named(data: Path, table: Path, tmp_path: Path) -> None:
    folder = good(tmp_path / "both")
    (folder / "test-hard.csv").write_bytes(table.read_bytes())
    words = ("prepare", "--task", "sudoku-extreme", "--scale", "lite", "--data", folder)
    ended = command(*words)
    assert ended.code == 4
    assert "several test tables, which are no numbered parts of one: test-hard.csv, test.csv" in ended.err
    assert prepared("--data", folder, "--test", folder / "test-hard.csv")["counts"]["test"] == 10


def test_files_may_have_any_name(table: Path, data: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"my tr\xe9 \n folder")
    try:
        table.parent.rename(odd)
    except OSError:
        pytest.skip("no such names here")
    notes = prepared("--train", data / "train.csv", "--test", odd / "test.csv")["notes"]
    assert any(note.startswith("test: 10 rows") for note in notes)
    ended = command("prepare", "--task", "sudoku-extreme", "--scale", "lite", "--data", odd)
    assert (ended.code, "no train table" in ended.err) == (4, True)


def test_a_configuration_may_name_the_files(data: Path, table: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(f"train: '{data / 'train.csv'}'\ntest: ['{table}']\nmodels: copy\nseeds: 0\n", "utf-16")
    ended = command("run", "--config", config, *PUZZLE, "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert len(runs(tmp_path / "out")[0].records()) == 10


def test_rows_of_a_puzzle_embedding_are_not_used_for_other_tasks(tmp_path: Path) -> None:
    """Also where there are as many of them."""
    for name, first in (("one", 0), ("two", 50)):
        for role, more in (("training", 0), ("evaluation", 9)):
            tasks = (made(f"{name}{role}{number}", first + more + number) for number in range(4))
            write(tmp_path / name / "data" / role, *tasks)
    words = ("--task", "arc-agi-1", "--set", "steps=1", "--set", "batch_size=4", "--augmentations", 2)
    ended = command(
        "run", *words, "--data", tmp_path / "one", "--models", asked("transformer"), "--seeds", 0,
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (run,) = runs(tmp_path / "out")
    ended = evaluate(tmp_path / "again", run.folder, more=("--data", tmp_path / "two"))
    assert ended.code == 2
    assert "their puzzle embedding has rows for the arc-agi-1 puzzles that were trained on" in ended.err
    words = ("--test", tmp_path / "two" / "data" / "evaluation", "--set", "puzzle_ids=blank")
    (blank,) = evaluated(tmp_path / "blank", run.folder, more=words)
    assert len(blank.records()) == 4


def test_runs_on_named_files_are_verified_with_them(data: Path, tmp_path: Path) -> None:
    files = ("--train", data / "train.csv", "--test", data / "test.csv")
    folder = tmp_path / "out"
    ended = command("run", *PUZZLE, *files, "--seeds", 0, "--models", "copy", "--output", folder)
    assert ended.code == 0, ended.err
    assert "puzzles of trm-bench:sudoku-extreme at lite: not rebuilt" in command("verify", folder).out
    ended = command("verify", folder, *files)
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "verified: 1 of 1 run consistent")
    renamed = tmp_path / "mine.csv"
    renamed.write_bytes((data / "test.csv").read_bytes())
    ended = command("verify", folder, *files[:2], "--test", renamed)
    assert "not rebuilt, since their files had other names (mine.csv was test.csv); rename them" in ended.out
    other = tmp_path / "test.csv"
    other.write_text(HEADER + lines(*map(row, range(50, 60))))
    ended = command("verify", folder, *files[:2], "--test", other)
    assert ended.code == 1
    assert "the puzzles that its source gives are not those it was run on" in ended.out

"""What a user mistypes, or has on disk, is named, and nothing is written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from trm_bench.testing.pytest_plugin import RunCli

TINY = ("run", "--task", "tiny", "--models", "mirror,copy", "--jobs", "2")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--models miror --task tiny", 2, "unknown model 'miror'; did you mean 'mirror'?"),
        ("--models mirror --task tinny", 2, "unknown task 'tinny'; did you mean 'tiny'?"),
        ("MIRROR --scale minni", 2, "has no scale 'minni'; did you mean 'mini'?"),
        ("MIRROR --set step=3", 2, "unknown key; did you mean 'steps'?"),
        ("MIRROR --set steps", 2, "--set 'steps': write key=value"),
        ("MIRROR --set steps=none", 2, "setting steps=none: not a whole number"),
        ("MIRROR --set lr=-1", 2, "setting lr=-1: must be above 0"),
        ("--models mirror[hiden=3] --task tiny", 2, "has no option 'hiden'; did you mean 'hidden'?"),
        ("--models mirror[hidden --task tiny", 2, "cannot read model 'mirror[hidden'"),
        ("MIRROR --seeds one", 2, "cannot read 'one'; write 0-4, 0,1,2 or 3"),
        ("MIRROR --seeds 4-2", 2, "'4-2' is no rising range"),
        ("MIRROR --augmentations 3", 2, "--augmentations 3: task 'tiny' has 1 to 1"),
        ("MIRROR --source official", 2, "has no source 'official'"),
        ("MIRROR --device tpu", 2, "--device 'tpu' is not known"),
        ("MIRROR --device cpu --gpus 0", 2, "--gpus 0 goes with --device cuda, not with --device cpu"),
        ("MIRROR --gpus -1", 2, "--gpus -1: write the numbers of GPUs, e.g. --gpus 0,2; "),
        ("MIRROR --set broken=1", 4, "tiny.csv:3: the question has 5 cells"),
        ("--task tiny", 2, "--models is missing"),
        ("--models , --task tiny", 2, "--models is missing or names no model"),
        ("MIRROR --evaluators exat", 2, "unknown evaluator 'exat'"),
        ("MIRROR --evaluators maze-valid", 2, "fits maze-hard, maze-unique, not 'tiny'"),
        ("--models mirror", 2, "--task is missing"),
        ("MIRROR --match time", 2, "--match time: choose one of steps, examples, flops"),
        ("--models copy --task tiny --match flops", 2, "the first model, copy, uses none"),
        (
            "MIRROR --set steps=3 --set examples=9 --match examples",
            2,
            "settings steps=3 and examples=9: leave",
        ),
        ("--models mirror[lr=1_0] --task tiny", 2, "lr=1_0: write numbers without underscores"),
        ("MIRROR --scale=", 2, "--scale is empty: give a value, or leave it out"),
        ("MIRROR --source=", 2, "--source is empty: give a value, or leave it out"),
        ("MIRROR --dry-run --plan-only", 2, "--dry-run writes nothing, and --plan-only writes the plan"),
        ("--study rollouts --set margin=3", 2, "--set margin cannot be combined with --study"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    tmp_path: Path, run_cli: RunCli, words: str, code: int, message: str
) -> None:
    line = words.replace("MIRROR", "--models mirror --task tiny").split()
    ended = run_cli("run", *line, "--output", tmp_path / "out")
    assert ended.code == code
    assert message in ended.err.replace("\n", " ")
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("option", [("--gpus", "0"), ("--device", "cuda:1")])
def test_a_gpu_without_cuda_is_named(option: tuple[str, str], run_cli: RunCli) -> None:
    ended = run_cli(*TINY, *option)
    assert ended.code == 4
    assert f"{' '.join(option)}: there is no GPU {option[1][-1]}; this machine or this build" in ended.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda_says_what_there_is(run_cli: RunCli) -> None:
    ended = run_cli(*TINY, "--device", "cuda")
    assert ended.code == 4
    assert "--device cuda: this machine or this build of torch" in ended.err
    assert "available: cpu" in ended.err


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path, run_cli: RunCli) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = run_cli(*TINY, "--output", tmp_path / "file" / "out")
    assert ended.code == 4
    assert "not writable" in ended.err


def test_a_config_with_an_unknown_key_is_refused(tmp_path: Path, run_cli: RunCli) -> None:
    config = tmp_path / "grid.yaml"
    config.write_text("tasks: tiny\n")
    ended = run_cli("run", "--config", config)
    assert ended.code == 2
    assert "unknown key 'tasks'; did you mean 'task'?" in ended.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: 0\nseeds: 1\n", "'seeds' is there twice"),
        ("set: {steps: 1, steps: 2}\n", "'steps' is there twice"),
        ("dry_run: true\ndry-run: false\n", "dry-run is given twice"),
        ("seeds: 1:30\n", "cannot read '1:30'"),
        ("limit: 2.7\n", "'2.7' is not a valid integer"),
        ("limit: true\n", "'True' is not a valid integer"),
        ("set: [steps=1]\n", "set must be a mapping"),
        ("models: {copy: 1}\n", "models must be a value or a list"),
    ],
)
def test_a_config_is_never_read_in_another_sense(
    text: str, message: str, tmp_path: Path, run_cli: RunCli
) -> None:
    config = tmp_path / "grid.yaml"
    config.write_text(text)
    more = [] if text.startswith("models") else ["--models", "copy"]
    ended = run_cli("run", *more, "--task", "tiny", "--dry-run", "--config", config)
    assert ended.code == 2
    assert message in ended.err


def test_an_empty_value_of_a_config_is_as_if_it_were_not_there(tmp_path: Path, run_cli: RunCli) -> None:
    config = tmp_path / "grid.yaml"
    config.write_text("models: copy\ntask: tiny\nevaluators:\nseeds: 010\ndry_run: true\njobs: 1\n")
    ended = run_cli("run", "--config", config, "--output", tmp_path / "out")
    assert ended.code == 0
    assert "1 model × 1 seed = 1 run" in ended.err


def test_a_path_of_a_config_may_begin_at_home(
    tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "grid.yaml"
    config.write_text("models: copy\ntask: tiny\nseeds: 0\noutput: ~/out\n")
    assert run_cli("run", "--config", config).code == 0
    assert (tmp_path / "out" / "grid.json").exists()


@pytest.mark.parametrize("words", [("--models", "copy"), ("--seeds=1",), ("--config", "gone.yaml")])
def test_an_option_that_is_given_twice_is_refused(words: tuple[str, ...], run_cli: RunCli) -> None:
    ended = run_cli("run", "--task", "tiny", "--models", "mirror", "--seeds", "0", *words, *words)
    assert ended.code == 2
    assert f"{words[0].partition('=')[0]}: given twice" in ended.err


def write_csv(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["source", "question", "answer", "rating"])
        writer.writerows(("x", question, answer, "0") for question, answer in rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("." * 80, "1" * 81)], "80"),
        ([("x" + "." * 80, "1" * 81)], "'x'"),
        ([("." * 81, "1" * 81)], "answer"),
    ],
)
def test_a_bad_official_row_names_file_and_line(
    tmp_path: Path, run_cli: RunCli, rows: list[tuple[str, str]], message: str
) -> None:
    for name in ("train.csv", "test.csv"):
        write_csv(tmp_path / name, rows)
    ended = run_cli(
        "run", "--models", "trm", "--task", "sudoku-extreme", "--scale", "paper", "--data", tmp_path,
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert ended.code == 4
    assert f"{tmp_path / 'train.csv'}" in ended.err
    assert "line 2" in ended.err
    assert message in ended.err


@pytest.mark.parametrize("task", ["sudoku-extreme", "maze-hard"])
@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_data_folder_without_a_file_says_which(
    tmp_path: Path, run_cli: RunCli, task: str, missing: str
) -> None:
    other = "test" if missing == "train" else "train"
    (tmp_path / f"{other}.csv").write_text("source,question,answer,rating\n")
    ended = run_cli("run", "--models", "trm", "--task", task, "--scale", "paper", "--data", tmp_path)
    assert ended.code == 4
    assert f"no {missing} table" in ended.err
    assert str(tmp_path) in ended.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run", "--models", "copy", "--task", "tiny", "--output", ""), "--output '': an empty path"),
        (("run", "--models", "copy", "--task", "tiny", "--train", ""), "--train '': an empty path"),
        (("evaluate", "--weights", ""), "--weights '': an empty path"),
        (("status", ""), "folder '': an empty path"),
        (("show", ""), "run '': an empty path"),
    ],
)
def test_an_empty_path_is_no_folder(words: tuple[str, ...], named: str, run_cli: RunCli) -> None:
    ended = run_cli(*words)
    assert (ended.code, ended.out) == (2, "")
    assert named in ended.err


@pytest.mark.parametrize("text", ['"a\\0b"', '"a\\ud800b"'])
def test_a_path_of_a_configuration_that_no_file_can_have_is_named(
    text: str, run_cli: RunCli, tmp_path: Path
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(f"models: copy\ntask: tiny\noutput: {text}\n")
    ended = run_cli("run", "--config", file)
    assert ended.code == 2
    assert "output" in ended.err


def test_errors_of_click_begin_as_ours_do(run_cli: RunCli) -> None:
    ended = run_cli("run", "--no-such-option")
    assert ended.code == 2
    assert "\nerror: No such option" in ended.err

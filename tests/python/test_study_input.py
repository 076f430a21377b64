"""Studies and commands on them that cannot be: refused before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.stored import in_this_process
from support.studies import QUICK, TRM, ask, write_yaml
from trm_bench.harness.planning.models import parse_variant
from trm_bench.testing.pytest_plugin import Ended, RunCli


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    with in_this_process():
        yield


@pytest.mark.parametrize(
    ("option", "value"),
    [("--models", "mirror"), ("--task", "tiny"), ("--match", "steps"), ("--augmentations", "1")],
)
def test_what_a_study_sets_is_refused_with_it(option: str, value: str, dry: Callable[..., Ended]) -> None:
    ended = dry(QUICK, option, value)
    assert ended.code == 2
    assert f"{option} cannot be combined with --study; study " in ended.err


def test_an_unknown_study_is_refused_with_the_nearest(tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli("run", "--study", "were-the-gain-is", "--output", tmp_path / "out")
    assert ended.code == 2
    assert "unknown study 'were-the-gain-is'; did you mean 'where-the-gain-is'? known: depth," in ended.err
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli("run", "--study", tmp_path / "none.yaml")
    assert ended.code == 4
    assert f"study {tmp_path / 'none.yaml'}: cannot be read" in ended.err


TRM_ROW = str(parse_variant(TRM))
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a contrast of an unknown model": ({"contrasts": [ask("miror", "copy")]}, "did you mean 'mirror'?"),
    "an unknown task": ({"task": "tinny"}, "unknown task 'tinny'; did you mean 'tiny'?"),
    "an unknown model": (
        {"models": ["miror", "copy"], "contrasts": [ask("miror", "copy")]},
        "unknown model 'miror'; did you mean 'mirror'?",
    ),
    "an unknown setting": ({"grids": {"main": {"settings": {"stpes": 3}}}}, "did you mean 'steps'?"),
    "a scale that the task does not have": ({"scales": ["mimi"]}, "did you mean 'mini'?"),
    "several answers that would be one": (
        {"models": [TRM], "evaluations": ["rollouts=4,select=mode"], "contrasts": [ask(TRM, TRM)]},
        f"study quick: evaluations: {TRM_ROW} @ rollouts=4,select=mode: the model is deterministic",
    ),
    "noise on a model that takes none": (
        {"evaluations": ["noise=1"]},
        "study quick: evaluations: mirror @ noise=1: the model has no state",
    ),
    "a question about what its model cannot do": (
        {
            "models": [TRM, "mirror"],
            "evaluations": ["halting=true"],
            "contrasts": [ask("mirror @ halting=true", TRM)],
        },
        "study quick: contrast 1: mirror @ halting=true: the model has no halting rule",
    ),
    "unknown seeds": ({"seeds": "one"}, "cannot read 'one'; write 0-4, 0,1,2 or 3"),
}


@pytest.mark.parametrize(("change", "why"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_named_and_nothing_is_written(
    change: dict[str, Any], why: str, tmp_path: Path, run_cli: RunCli
) -> None:
    file = write_yaml(tmp_path / "bad.yaml", {**QUICK, **change})
    ended = run_cli("run", "--study", file, "--output", tmp_path / "out")
    assert ended.code == 2
    assert why in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


TOO_LATE: dict[str, dict[str, Any]] = {
    "an unknown setting of an evaluation": {"evaluations": ["stepz=1"]},
    "votes of a task without any": {"evaluations": ["votes=1"]},
    "identities of a task without any": {"evaluations": ["puzzle_ids=blank"]},
    "an unknown setting of a later grid": {
        "grids": {**QUICK["grids"], "second": {"settings": {"stpes": 3}}},
    },
    "too many augmentations in a later grid": {"grids": {**QUICK["grids"], "second": {"augmentations": 3}}},
}


@pytest.mark.parametrize("change", TOO_LATE.values(), ids=TOO_LATE)
def test_bad_input_is_refused_before_anything_is_trained(
    change: dict[str, Any], tmp_path: Path, run_cli: RunCli
) -> None:
    file = write_yaml(tmp_path / "bad.yaml", {**QUICK, **change})
    ended = run_cli("run", "--study", file, "--output", tmp_path / "out")
    assert ended.code == 2
    assert not (tmp_path / "out").exists()


def test_a_stock_study_of_one_scale_is_refused_at_another(tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli("run", "--study", "rollouts", "--scale", "small", "--output", tmp_path / "out")
    assert ended.code == 2
    assert "study rollouts: is for scale mini, not for small" in ended.err
    assert "rollouts.yaml, change them, and write scales: [small] into the copy" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_share_at_a_scale_that_there_is_not_is_refused(dry: Callable[..., Ended]) -> None:
    ended = dry({**QUICK, "grids": {"main": {"share": {"minni": 0.5}}}})
    assert ended.code == 2
    assert "did you mean 'mini'?" in ended.err

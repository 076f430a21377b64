"""What a call announces: what its tests can decide, as its report will test it, and what is not citable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.folders import only_table, report_of
from support.stored import in_this_process
from trm_bench.harness.planning.decidable import Power
from trm_bench.harness.python.api import prepare_run
from trm_bench.harness.python.tune import prepare_tune
from trm_bench.harness.running.runner import announcement

import trm_bench

pytestmark = pytest.mark.usefixtures("one_thread")

A, B, C = (f"mirror[hidden={width}]" for width in (3, 4, 5))
SHORT: dict[str, Any] = {"steps": 2, "batch_size": 4}


def family(folder: Path, *models: str, **more: Any) -> int:
    return prepare_run(list(models), "tiny", output=folder, **{**SHORT, **more}).power.tests


def train(folder: Path, *models: str, **more: Any) -> None:
    with in_this_process():
        trm_bench.run(list(models), "tiny", output=folder, **{**SHORT, **more})


def test_every_pair_or_the_baseline_against_the_others(tmp_path: Path) -> None:
    assert family(tmp_path, A, B, C, "copy") == 3
    assert family(tmp_path, A, B, C, "copy", baseline=A) == 2
    assert family(tmp_path, A, "copy") == 0


@pytest.mark.parametrize("earlier", [None, A], ids=["every pair", "the same baseline"])
def test_finished_runs_of_the_folder_are_of_the_family(tmp_path: Path, earlier: str | None) -> None:
    train(tmp_path, A, B, "copy", seeds="0-1", baseline=earlier)
    expected = family(tmp_path, A, C, seeds="0-1", baseline=A)
    train(tmp_path, A, C, seeds="0-1", baseline=A)
    assert len(only_table(report_of(tmp_path)).pairs) == expected == (2 if earlier else 3)


@pytest.mark.parametrize(("models", "seeds"), [((A, B), 4), ((A,), 2)], ids=["both go on", "one goes on"])
def test_seeds_are_those_of_the_model_with_the_fewest(
    tmp_path: Path, models: tuple[str, ...], seeds: int
) -> None:
    train(tmp_path, A, B, seeds="0-1")
    assert prepare_run(list(models), "tiny", output=tmp_path, seeds="2-3", **SHORT).power.seeds == seeds


def test_tuning_claims_nothing_and_names_other_models_once(tmp_path: Path) -> None:
    call = prepare_tune("trm", "tiny", {"lr": [0.001, 0.002, 0.004]}, output=tmp_path / "out", **SHORT)
    assert call.call.power.describe() == ""
    resolved = [line for line in announcement(call.grid, tmp_path) if "resolves to" in line]
    assert resolved == ["trm resolves to trm-mlp"]


def test_a_setting_is_a_reason_against_the_models_that_it_changes(tmp_path: Path) -> None:
    grid = prepare_run(["mirror[lr=0.01]", B, "copy"], "tiny", output=tmp_path, lr=0.02).grid
    assert grid is not None
    changed = [line for line in announcement(grid, tmp_path) if "changed recipe: lr" in line]
    assert [line.partition(" changed")[0] for line in changed] == [f"not citable: {B}:"]


@pytest.mark.parametrize(
    ("power", "words"),
    [
        (Power(tests=0, seeds=8), ""),
        (Power(tests=3, seeds=2), "nothing is decided; a claim about methods needs 3 seeds"),
        (Power(tests=1000, seeds=3), "no difference is decided (80 % power); take more seeds, or --baseline"),
    ],
)
def test_where_little_can_be_decided_it_says_so(power: Power, words: str) -> None:
    assert words in power.describe()
    assert (words == "") == (power.describe() == "")

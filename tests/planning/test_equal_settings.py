"""A setting that is equal to the recipe's or the scale's changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.stored import command
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.grid import Grid
from trm_bench.harness.planning.request import Request, Value
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.store.folders import GRID

EQUAL: dict[str, Value] = {
    "ema": 0.99,
    "lr": "1e-3",
    "warmup": 50,
    "steps": 150,
    "batch_size": 16,
    "task_seed": 0,
    "threads": 1,
    "deterministic": True,
}
"""What the tiny task and its model have at mini without any of them."""
OTHER: dict[str, Value] = {
    "ema": 0.9,
    "lr": 0.01,
    "steps": 151,
    "batch_size": 8,
    "task_seed": 1,
    "threads": 2,
    "deterministic": False,
    "margin": 1,
}


def planned(*models: str, **settings: Value) -> Grid:
    return plan_training(host(), Request(models or ("mirror",), "tiny", "mini", (0,), settings=settings))


@pytest.mark.parametrize("key", EQUAL)
def test_it_is_no_changed_recipe_and_the_same_run_in_the_same_folder(key: str) -> None:
    usual, equal = planned(), planned(**{key: EQUAL[key]})
    assert equal.runs == usual.runs
    assert equal.common() == usual.common()


@pytest.mark.parametrize("key", OTHER)
def test_another_value_belongs_to_another_folder(key: str) -> None:
    assert planned(**{key: OTHER[key]}).common() != planned().common()


def test_a_setting_that_one_of_several_recipes_has_is_another_value_for_the_others() -> None:
    models = ("mirror", "mirror[lr=0.5]", "hrm[hidden=16,multiple=16]")  # the recipe of HRM has no EMA
    assert planned(*models, ema=0).common()["settings"] == {"ema": "0.0"}
    assert planned(*models, ema=0.99).common()["settings"] == {"ema": "0.99"}
    assert planned("mirror[lr=0.5]", lr=0.001).common()["settings"] == {}  # brackets win


def test_a_folder_takes_the_same_request_written_in_full(tmp_path: Path) -> None:
    words = ("run", "--models", "copy", "--task", "tiny", "--seeds", 0, "--output", tmp_path)
    assert command(*words).code == 0
    kept = json.loads((tmp_path / GRID).read_text())
    again = command(*words, *(word for key in ("steps", "ema") for word in ("--set", f"{key}={EQUAL[key]}")))
    assert again.code == 0, again.err
    assert "1 of 1 runs are finished and reused" in again.err
    assert json.loads((tmp_path / GRID).read_text()) == kept

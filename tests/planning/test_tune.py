"""Which settings a search tries: the same for every model, checked before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.models import BUILT_IN
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.models import resolve_model
from trm_bench.harness.planning.recipes import read_recipe
from trm_bench.harness.planning.tune import Candidate, candidates_of, read_axes, recipe_of, recipe_text

SUDOKU = TaskInfo("sudoku-extreme", "mini", 6, 6, 7)
GRID = {"lr": (0.001, 0.002, 0.004), "updates": (1, 2), "weight_decay": (0.1, 1.0)}


def tried(*models: str, grid: Any = GRID, **more: Any) -> dict[str, list[dict[str, str]]]:
    """The settings of each model."""
    found: list[Candidate] = candidates_of(BUILT_IN, SUDOKU, models, read_axes(grid), **more)
    return {name: [dict(one.values) for one in found if one.model == name] for name in models}


def test_every_model_gets_the_whole_grid() -> None:
    settings = tried("trm-mlp", "trm-att")
    assert settings["trm-mlp"] == settings["trm-att"]
    assert len(settings["trm-mlp"]) == 12
    assert settings["trm-mlp"][1] == {"lr": "0.001", "updates": "1", "weight_decay": "1.0"}


def test_options_in_brackets_hold_for_every_setting() -> None:
    found = candidates_of(BUILT_IN, SUDOKU, ["trm[cycles=1]"], read_axes(["lr=0.001,0.002"]))
    assert [one.variant for one in found] == ["trm[cycles=1,lr=0.001]", "trm[cycles=1,lr=0.002]"]


def test_fewer_tries_are_the_same_points_for_every_model() -> None:
    settings = tried("trm-mlp", "trm-att", "transformer", tries=5)
    assert settings["trm-mlp"] == settings["trm-att"]
    assert [len(one) for one in settings.values()] == [5, 5, 5]
    shared = [{key: one[key] for key in ("lr", "weight_decay")} for one in settings["trm-mlp"]]
    assert all(one in settings["transformer"] for one in shared)  # which has no updates=


def test_a_model_with_fewer_points_than_tries_gets_all_of_its_own() -> None:
    settings = tried("trm-mlp", "transformer", tries=9)
    assert [len(one) for one in settings.values()] == [9, 6]


def test_the_draw_depends_on_its_seed_alone() -> None:
    drawn = [tried("trm-mlp", tries=4, shuffle=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ([], "--grid is missing"),
        (None, "grid None: write values by option"),
        (["lr"], r"--grid 'lr': write KEY=VALUE,VALUE"),
        (["=1"], "write KEY=VALUE"),
        (["lr="], "--grid lr: a value is missing"),
        ({"lr": []}, "--grid lr: a value is missing"),
        (["lr=0.1,,0.2"], "--grid lr: a value is missing"),
        (["lr=0.1,0.2,0.1"], "--grid lr: 0.1 is given twice"),
        (["lr=0.1", "lr=0.2"], "--grid lr: given twice"),
        (["steps=1,2"], "--grid steps: the budget is the same for all"),
        (["batch_size=1,2"], "--grid batch_size: the budget is the same for all"),
        (["augment=1,2"], "--grid augment: the budget is the same for all"),
        (["task_seed=1,2"], "--grid task_seed: not a training setting or an option of a model"),
        (["compile=true,false"], "--grid compile: not a training setting"),
        (["recipe=trm,hrm"], "--grid recipe: not a training setting"),
        ({f"a{place}": range(10) for place in range(6)}, "--grid: 1,000,000 settings; a grid has at most"),
    ],
)
def test_a_wrong_grid_is_refused(grid: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_axes(grid)


@pytest.mark.parametrize(
    ("models", "grid", "message"),
    [
        (["trm", "hrm"], ["lrr=1,2"], "--grid lrr: not an option of trm, hrm; did you mean 'lr'"),
        (["trm", "hrm"], ["updates=1,2"], "--models hrm: it has none of the options updates"),
        (["trm"], ["lr=0.001,1e-3"], "--grid lr=1e-3: the same as 0.001"),
        (["trm"], ["lr=0.1,abc"], "--grid lr=abc: .*not a number"),
        (["trm"], ["updates=1,0"], "--grid updates=0: "),
        (["trm[lr=0.1]"], ["lr=0.1,0.2"], r"--grid lr: trm\[lr=0.1\] sets it too"),
        (["trm", "copy"], ["lr=0.1,0.2"], "--models copy: it is not trained"),
        (["nothing"], ["lr=0.1,0.2"], "unknown model 'nothing'"),
    ],
)
def test_what_a_model_cannot_have_is_refused(models: list[str], grid: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tried(*models, grid=grid)


def test_a_setting_for_all_models_and_a_grid_of_it_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--grid lr: --set lr=0\.1 sets it too"):
        tried("trm", overrides={"lr": 0.1})


def test_a_recipe_file_has_what_was_requested_and_is_read_back(tmp_path: Path) -> None:
    model = resolve_model(host(), "trm[n=4,lr=1e-5,weight_decay=0.5]", SUDOKU, {"ema": 0.5})
    sections = recipe_of(model, ["ema"])
    assert sections == {"model": {"updates": 4}, "training": {"lr": 1e-5, "weight_decay": 0.5, "ema": 0.5}}
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text("sudoku-extreme", "mini", sections))
    read = read_recipe(path, SUDOKU)
    assert {name: read[name] for name in sections} == sections

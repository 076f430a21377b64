"""A variant of another model has its recipe, its sizes and its match=; a model without a recipe is noted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.distributions import everything
from support.models import BUILT_IN, SUDOKU, add, host_with, made, resolve, written
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.host.host import Host
from trm_bench.harness.planning.models import resolve_model
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.training.costs import count_parameters
from trm_bench.testing import check_model

from trm_bench import TRM, ModelSpec, RecursionConfig

MINI = TaskInfo("sudoku-extreme", "mini", 6, 6, 8)


class Config(RecursionConfig):
    mixer: Any = "mlp"
    gain: float = 1.0


class Mine(TRM):
    """Somebody's subclass."""


SPEC = ModelSpec("mine", "a subclass of TRM", config=Config, build=Mine)
BASED = replace(SPEC, based_on="trm-mlp")


def with_mine(spec: ModelSpec) -> Host:
    host = everything()
    add(host, "lab", spec)
    return host


def core(host: Host, text: str, task: TaskInfo = MINI) -> int:
    return count_parameters(resolve_model(host, text, task, {}).build(task))[0]


def test_a_subclass_that_is_based_on_trm_has_its_sizes_and_settings() -> None:
    host = with_mine(BASED)
    ours, theirs = resolve_model(host, "mine", MINI, {}), resolve("trm-mlp", MINI)
    assert core(host, "mine") == core(BUILT_IN, "trm-mlp")
    assert (ours.training, ours.notes, ours.published) == (theirs.training, (), None)


def test_it_has_trm_s_aliases_and_match() -> None:
    host = with_mine(BASED)
    config: Any = resolve_model(host, "mine[T=5,prefix=2]", MINI, {}).config
    assert (config.cycles, config.puzzle_emb_len) == (5, 2)
    other = core(BUILT_IN, "hrm")
    assert core(host, "mine[match=hrm]") == pytest.approx(other, rel=0.2)


def test_its_own_recipe_wins_and_options_that_it_lacks_are_not_inherited(tmp_path: Path) -> None:
    own = written(
        tmp_path, {"*": {"mini": {"training": {"lr": 0.5}, "published": {"steps": 9, "source": "x"}}}}
    )
    depth = {"sudoku-extreme": {"mini": {"model": {"depth": 3, "width": 2}, "training": {"ema": 0.25}}}}
    other = tmp_path / "other"
    other.mkdir()
    base = made(written(other, depth), "base")
    host = host_with(base, replace(base, name="child", recipes=own, based_on="base"))
    child = resolve_model(host, "child", MINI, {})
    assert (child.training.lr, child.training.ema) == (0.5, 0.25)
    assert (child.config.depth, child.config.width) == (3, 2)  # type: ignore[attr-defined]
    host = host_with(base, replace(BASED, based_on="base"))
    assert resolve_model(host, "mine", MINI, {}).config == Config()


def test_without_based_on_the_published_sizes_hold_and_are_noted() -> None:
    host = with_mine(SPEC)
    assert core(host, "mine") > 70 * core(BUILT_IN, "trm-mlp")
    (note,) = resolve_model(host, "mine", MINI, {}).notes
    assert note.startswith("mine has no recipe for sudoku-extreme at mini: its sizes are the defaults")


@pytest.mark.parametrize("name", ["trm", "hrm", "transformer", "transformer-looped", "urm", "eqr", "copy"])
@pytest.mark.parametrize("scale", ["mini", "small", "lite", "paper"])
def test_the_models_here_have_recipes(name: str, scale: str) -> None:
    assert resolve(name, replace(SUDOKU, scale=scale)).notes == ()


def test_a_model_twice_as_large_as_the_others_is_noted() -> None:
    request = Request(("trm", "mine", "transformer"), "sudoku-extreme", "mini", (0,))
    grid = plan_training(with_mine(SPEC), request, at_most=4)
    notes = {model.name: model.notes for model in grid.models}
    assert notes["trm-mlp"] == notes["transformer"] == ()
    (_, note) = notes["mine"]
    assert re.fullmatch(r"mine has [\d,]+ core parameters, 4\d\.\d times the [\d,]+ of transformer, .*", note)


@pytest.mark.parametrize(
    ("based_on", "expected"),
    [
        ("trm-mpl", r"model 'mine' of .*lab.* is based on 'trm-mpl': unknown model 'trm-mpl'.*trm-mlp"),
        ("mine", r"model 'mine' of .* is based on 'mine', and so on itself"),
    ],
)
def test_a_base_that_is_none_is_named(based_on: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        resolve_model(with_mine(replace(SPEC, based_on=based_on)), "mine", MINI, {})


def test_a_spec_that_is_not_registered_can_be_checked() -> None:
    check_model(BASED)

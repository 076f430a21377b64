"""``optimizer=`` and ``clip=``: part of the recipe, of a run's identity, and of the row's name."""

from __future__ import annotations

import pytest
from support.models import resolve
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.grid import Grid
from trm_bench.harness.planning.request import Request, Value
from trm_bench.harness.planning.settings import read_settings
from trm_bench.harness.planning.training_grid import plan_training


def planned(*models: str, device: str = "cpu", **settings: Value) -> Grid:
    return plan_training(host(), Request(models, "tiny", "mini", (0,), device=device, settings=settings))


def test_options_in_brackets_are_in_the_name_where_they_change_something() -> None:
    model = resolve("trm[optimizer=muon,clip=1]")
    assert model.name == "trm-mlp[clip=1,optimizer=muon]"
    assert model.display_name.endswith("[clip=1,optimizer=muon]")
    assert (model.training.optimizer, model.training.clip) == ("muon", 1.0)
    assert resolve("trm[optimizer=adam-atan2,clip=none]").name == "trm-mlp"


def test_clip_none_is_no_clipping() -> None:
    assert read_settings({"clip": "none"}).training == {"clip": 0.0}
    assert resolve("hrm[clip=none]").training == resolve("hrm").training


@pytest.mark.parametrize("option", ["optimizer=muon", "clip=1"])
def test_each_is_part_of_the_identity_however_it_is_given(option: str) -> None:
    key, _, value = option.partition("=")
    (plain,), (for_all,) = planned("mirror").runs, planned("mirror", **{key: value}).runs
    (own,) = planned(f"mirror[{option}]").runs
    assert plain.identity != for_all.identity == own.identity
    assert plain.name.rpartition("-")[2] != for_all.name.rpartition("-")[2]
    assert plain.description.model != own.description.model == f"mirror[{option}]"


def test_a_changed_option_is_a_changed_recipe_and_an_equal_one_is_not() -> None:
    (changed,) = planned("mirror", optimizer="muon", clip="0.5").runs
    (equal,) = planned("mirror", optimizer="adam-atan2", clip=0).runs
    recipe = [reason for reason in changed.reasons if reason.startswith("changed recipe")]
    assert recipe == [
        "changed recipe: clip=0.5 instead of 0.0",
        "changed recipe: optimizer=muon instead of adam-atan2",
    ]
    assert not any(reason.startswith("changed recipe") for reason in equal.reasons)


def test_a_graph_with_muon_is_refused_while_runs_are_planned() -> None:
    with pytest.raises(UsageError, match="goes with optimizer=adam-atan2, not with optimizer=muon"):
        planned("copy", "mirror[optimizer=muon]", device="cuda", graph=True)
    assert planned("copy", "mirror", device="cuda", graph=True).runs

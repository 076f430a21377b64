"""Checkpoints with several sets of weights: which is meant, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.stored import fresh, made, spec_of
from torch import Tensor
from trm_bench.harness.api.errors import DataError, UsageError
from trm_bench.harness.weights.files import check_weights, load_weights
from trm_bench.harness.weights.sets import is_averaged

Weights = dict[str, Tensor]


def weights(seed: int) -> Weights:
    return {name: value.clone() for name, value in made("trm-mlp", seed=seed).state_dict().items()}


RAW, AVERAGED, OTHER = (weights(seed) for seed in range(3))
TRAINED = [name for name, _ in fresh("trm-mlp").named_parameters()]
STATE = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}


def under(prefix: str, tensors: Weights) -> Weights:
    return {prefix + name: value for name, value in tensors.items()}


def taken(tmp_path: Path, content: Any, key: str | None = None) -> tuple[Weights, str]:
    """The weights that a model gets of a file, and the note about it."""
    torch.save(content, tmp_path / "ckpt.pt")
    model, spec = fresh("trm-mlp"), spec_of("trm-mlp")
    checksum, note = check_weights(fresh("trm-mlp"), spec, tmp_path / "ckpt.pt", key=key)
    assert load_weights(model, spec, tmp_path / "ckpt.pt", key=key) == checksum
    return model.state_dict(), note


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


BOTH: dict[str, tuple[Any, str, str]] = {
    "two dicts": (
        {"epoch": 3, "model_state_dict": RAW, "ema_state_dict": AVERAGED, "optimizer_state_dict": STATE},
        "ema_state_dict",
        "model_state_dict",
    ),
    "lightning": (
        {"state_dict": RAW, "callbacks": {"EMA": {"ema_state_dict": AVERAGED, "decay": 0.99}}},
        "callbacks.EMA.ema_state_dict",
        "state_dict",
    ),
    "lightning by name": (
        {"state_dict": {**under("model.", RAW), **under("ema_model.", AVERAGED)}, "epoch": 1},
        "state_dict.ema_model",
        "state_dict.model",
    ),
    "short keys": ({"model": RAW, "ema": AVERAGED}, "ema", "model"),
    "average first": ({"ema": AVERAGED, "model": RAW}, "ema", "model"),
    "named shadow": ({"state_dict": RAW, "shadow": AVERAGED}, "shadow", "state_dict"),
    "camel case": ({"netState": RAW, "netEMA": AVERAGED}, "netEMA", "netState"),
    "nested": (
        {"train": {"model": {"state_dict": RAW}, "ModelEma": {"module": AVERAGED}}},
        "train.ModelEma.module",
        "train.model.state_dict",
    ),
    "in one dict": (
        {**under("online_model.", RAW), **under("ema_model.", AVERAGED), "step": torch.tensor(3)},
        "ema_model",
        "online_model",
    ),
    "inside the other": (
        {**under("model.", RAW), **under("model.ema.", AVERAGED)},
        "model.ema",
        "model",
    ),
    "in a list": ({"model": RAW, "ema_models": [{"net": AVERAGED}]}, "ema_models.0.net", "model"),
    "beside numbers": ({**RAW, "step": 3, "ema": AVERAGED}, "ema", "."),
    "wrapped otherwise": (
        {"module": under("module.", RAW), "ema": under("_orig_mod.model.inner.", AVERAGED)},
        "ema",
        "module",
    ),
}


@pytest.mark.parametrize("form", BOTH)
def test_averaged_weights_are_meant_and_a_note_says_so(tmp_path: Path, form: str) -> None:
    content, averaged, raw = BOTH[form]
    found, note = taken(tmp_path, content)
    assert same(found, AVERAGED)
    assert note.startswith(f"averaged weights ({averaged}); not those of {raw}")


@pytest.mark.parametrize("form", BOTH)
def test_a_key_chooses_either(tmp_path: Path, form: str) -> None:
    content, averaged, raw = BOTH[form]
    found, note = taken(tmp_path, content, raw)
    assert same(found, RAW)
    assert note.startswith(f"the weights ({raw}), chosen with --weights-key; not those of {averaged}")
    assert same(taken(tmp_path, content, averaged)[0], AVERAGED)


def test_a_key_may_be_the_beginning_of_one(tmp_path: Path) -> None:
    assert same(taken(tmp_path, BOTH["nested"][0], "train.model")[0], RAW)
    assert same(taken(tmp_path, BOTH["lightning"][0], "callbacks")[0], AVERAGED)


@pytest.mark.parametrize("key", ["nope", "optimizer_state_dict", "model_state_dict.net", ""])
def test_an_unknown_key_names_those_that_are_there(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=r"there are: model_state_dict, ema_state_dict$"):
        taken(tmp_path, BOTH["two dicts"][0], key)


@pytest.mark.parametrize("kept", [AVERAGED, tuple(AVERAGED[name] for name in RAW if name in TRAINED)])
def test_an_average_that_an_optimiser_keeps_is_named_and_can_be_chosen(tmp_path: Path, kept: Any) -> None:
    """It may be one of gradients."""
    content = {"state_dict": RAW, "optimizer_states": [{**STATE, "ema": kept}]}
    found, note = taken(tmp_path, content)
    assert same(found, RAW)
    assert note == "the weights (state_dict); not those of optimizer_states.0.ema"
    found, _ = taken(tmp_path, content, "optimizer_states.0.ema")
    assert all(torch.equal(found[name], AVERAGED[name]) for name in TRAINED)


@pytest.mark.parametrize("place", ["shadow", "ema"])
def test_what_is_not_trained_comes_from_the_raw_weights(tmp_path: Path, place: str) -> None:
    """The references keep an average of the parameters alone, without buffers."""
    found, note = taken(tmp_path, {"model": RAW, place: {name: AVERAGED[name] for name in TRAINED}})
    rest = [name for name in RAW if name not in TRAINED]
    assert rest
    assert all(torch.equal(found[name], AVERAGED[name]) for name in TRAINED)
    assert all(torch.equal(found[name], RAW[name]) for name in rest)
    assert note.startswith(f"averaged weights ({place}); ")
    assert f"{', '.join(rest)} as in the others, not averaged" in note


def test_a_trained_tensor_is_never_taken_from_another_set(tmp_path: Path) -> None:
    half = {name: AVERAGED[name] for name in TRAINED[1:]}
    with pytest.raises(
        DataError, match=rf"\(ema\): not those of .*: missing .*{TRAINED[0]}.*; --weights-key model"
    ):
        taken(tmp_path, {"model": RAW, "ema": half})
    assert same(taken(tmp_path, {"model": RAW, "ema": half}, "model")[0], RAW)


@pytest.mark.parametrize("nested", [True, False])
def test_an_average_without_names_is_in_the_order_of_the_raw_weights(tmp_path: Path, nested: bool) -> None:
    average = {"decay": 0.99, "shadow_params": [AVERAGED[name] for name in RAW if name in TRAINED]}
    content = {"state_dict": RAW, "ema": {**average, "collected_params": list(RAW.values())}}
    found, note = taken(tmp_path, content if nested else {"state_dict": RAW, **average})
    assert all(torch.equal(found[name], AVERAGED[name]) for name in TRAINED)
    assert "shadow_params" in note


def test_an_average_that_does_not_fit_is_not_passed_over(tmp_path: Path) -> None:
    for average in ([torch.ones(2)], {**AVERAGED, "y_init": torch.ones(3)}, {"unknown": torch.ones(2)}):
        with pytest.raises(DataError, match=r"\(ema\): not those of .*; --weights-key model takes the other"):
            taken(tmp_path, {"model": RAW, "ema": average})
        assert same(taken(tmp_path, {"model": RAW, "ema": average}, "model")[0], RAW)


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ({"model": RAW, "best": OTHER}, "model, best"),
        ({"model": RAW, "ema": AVERAGED, "ema_slow": OTHER}, "ema, ema_slow"),
        ({"state_dict": {**under("student.", RAW), **under("teacher.", OTHER)}}, "state_dict.student, "),
        ({**under("model.", RAW), **under("module.", OTHER)}, "model, module"),
        ({**RAW, **under("target.", OTHER)}, "target, ."),
        ({**RAW, "step": 7, "backup": {"best": OTHER}}, "backup.best, ."),
    ],
)
def test_several_that_fit_are_refused_by_name(tmp_path: Path, content: Any, keys: str) -> None:
    content = {("ema_raw" if key == "backup" else key): value for key, value in content.items()}
    keys = keys.replace("backup", "ema_raw")
    with pytest.raises(DataError) as caught:
        taken(tmp_path, content)
    assert f"several sets of weights fit ({keys}" in str(caught.value)
    assert "choose with --weights-key" in str(caught.value)


def test_the_same_weights_under_two_keys_are_one(tmp_path: Path) -> None:
    assert same(taken(tmp_path, {"model": RAW, "last": {**RAW}})[0], RAW)


def test_two_names_for_one_tensor_are_refused(tmp_path: Path) -> None:
    content = {**RAW, "module.y_init": OTHER["y_init"]}
    with pytest.raises(DataError, match=r"y_init and module.y_init are both y_init"):
        taken(tmp_path, content)


def test_a_counter_beside_the_weights_is_named(tmp_path: Path) -> None:
    """As `torch.optim.swa_utils.AveragedModel` writes them."""
    found, note = taken(tmp_path, {**under("module.", RAW), "n_averaged": torch.tensor(5)})
    assert same(found, RAW)
    assert note == "the weights (module); n_averaged not used"


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_single_set_needs_no_note(tmp_path: Path, key: str) -> None:
    assert taken(tmp_path, {key: RAW, "optimizer": STATE, "step": 7})[1] == ""


@pytest.mark.parametrize("key", ["model_no_ema", "noema", "before_ema", "weights_not_averaged"])
def test_weights_that_are_said_not_to_be_averaged_are_not_taken_for_the_average(
    tmp_path: Path, key: str
) -> None:
    found, note = taken(tmp_path, {key: RAW, "ema": AVERAGED})
    assert same(found, AVERAGED)
    assert note.startswith("averaged weights (ema)")
    with pytest.raises(DataError, match=f"several sets of weights fit .*{key}.*choose with --weights-key"):
        taken(tmp_path, {"model": AVERAGED, key: RAW})
    assert same(taken(tmp_path, {key: RAW, "optimizer": STATE})[0], RAW)


def undotted(tensors: Weights) -> Weights:
    """As CompVis' LitEma writes them."""
    counters = {"decay": torch.tensor(0.99), "num_updates": torch.tensor(3)}
    return {**{name.replace(".", ""): value for name, value in tensors.items()}, **counters}


@pytest.mark.parametrize("beside", [True, False])
def test_an_average_whose_names_have_lost_their_dots_is_matched(tmp_path: Path, beside: bool) -> None:
    trained = {name: AVERAGED[name] for name in TRAINED}
    content: dict[str, Any] = {**under("model.", RAW), **under("model_ema.", undotted(trained))}
    if beside:
        content = {"state_dict": RAW, "model_ema": undotted(trained)}
    found, note = taken(tmp_path, content)
    assert all(torch.equal(found[name], AVERAGED[name]) for name in TRAINED)
    assert note.startswith("averaged weights (model_ema)")
    assert "not used" not in note


def test_an_average_beside_the_others_that_does_not_fit_is_not_passed_over(tmp_path: Path) -> None:
    content = {**under("model.", RAW), **under("model_ema.", {"unknown": torch.ones(2)})}
    with pytest.raises(DataError, match=r"\(model_ema\): not those of .*; --weights-key model takes"):
        taken(tmp_path, content)
    assert same(taken(tmp_path, content, "model")[0], RAW)


@pytest.mark.parametrize("counters", [{"decay": torch.tensor(0.99)}, [torch.tensor(0.99)]])
def test_numbers_about_an_average_are_none(tmp_path: Path, counters: Any) -> None:
    found, note = taken(tmp_path, {"model": RAW, "ema": counters})
    assert same(found, RAW)
    assert note == ""


def test_moments_of_an_optimiser_are_no_weights(tmp_path: Path) -> None:
    moments = {"exp_avg": OTHER, "exp_avg_sq": OTHER}
    found, _ = taken(tmp_path, {"model": RAW, "optim": {"ema": OTHER}, "adam": moments})
    assert same(found, RAW)


def test_content_that_holds_itself_is_read_once(tmp_path: Path) -> None:
    content: dict[str, Any] = {"model": RAW}
    for _ in range(60):  # 2 to the power of 60 ways through it
        content = {"model": RAW, "one": content, "other": content}
    assert same(taken(tmp_path, content)[0], RAW)


@pytest.mark.parametrize(
    ("key", "averaged"),
    [
        ("ema", True),
        ("model_ema", True),
        ("EMA", True),
        ("swa_model", True),
        ("ema.online_model", False),
        ("ema.collected_params", False),
        ("schema", False),
        ("cinema_model", False),
        ("model", False),
        ("", False),
        ("average.state_dict", True),
        ("with_ema", True),
        ("model_no_ema", False),
        ("modelNoEma", False),
        ("non_ema", False),
        ("noema", False),
        ("nonEMA", False),
        ("weights_not_averaged", False),
        ("without_model_ema", False),
        ("before_ema", False),
        ("pre-ema", False),
        ("unaveraged", False),
        ("raw_ema", False),
        ("rawEma.state_dict", False),
        ("no_grad.ema", True),
    ],
)
def test_words_say_what_is_averaged(key: str, averaged: bool) -> None:
    assert is_averaged(key) is averaged

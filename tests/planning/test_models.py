"""Model names with options, where each option belongs, and the recipes that fill in the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.models import BUILT_IN, MAZE, SCALES, SUDOKU, Config, add, host_with, made, resolve, written
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.specs import ModelSpec
from trm_bench.harness.planning.models import (
    Variant,
    parse_variant,
    resolve_model,
    split_models,
)
from trm_bench.harness.training.config import TrainingConfig

# --- reading names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("trm", "trm", {}),
        ("trm[]", "trm", {}),
        ("trm[cycles=2]", "trm", {"cycles": "2"}),
        ("trm[cycles=2,updates=4]", "trm", {"cycles": "2", "updates": "4"}),
        ("trm[ cycles = 2 , updates = 4 ]", "trm", {"cycles": "2", "updates": "4"}),
        ("trm-bench:trm[lr=1e-3]", "trm-bench:trm", {"lr": "1e-3"}),
        ("trm[note=a=b]", "trm", {"note": "a=b"}),
    ],
)
def test_a_variant_is_a_name_and_options_in_brackets(text: str, name: str, options: dict[str, str]) -> None:
    assert parse_variant(text) == Variant(name, options)


@pytest.mark.parametrize(
    "text", ["", "trm[", "trm]", "trm[cycles=2", "trm[a=1]b", "trm[a=[1]]", "t rm", "[a=1]", "a=1"]
)
def test_brackets_that_do_not_close_are_refused_with_the_form_that_works(text: str) -> None:
    with pytest.raises(UsageError, match=r"cannot read model .*; write name or name\[key=value,key=value\]"):
        parse_variant(text)


@pytest.mark.parametrize("pair", ["cycles", "cycles=", "=2", "cycles:2", " "])
def test_an_option_without_key_or_value_is_named(pair: str) -> None:
    with pytest.raises(UsageError, match=f"cannot read option {pair!r} of model .*; write key=value"):
        parse_variant(f"trm[updates=4,{pair}]")


def test_an_option_that_is_given_twice_with_different_values_is_refused() -> None:
    with pytest.raises(UsageError, match="cycles"):
        parse_variant("trm[cycles=2,cycles=3]")


WORDS = st.text("abcxyz0189-_.", min_size=1)


@given(WORDS, st.dictionaries(WORDS, WORDS, max_size=3))
def test_a_variant_is_read_back_as_it_is_written(name: str, options: dict[str, str]) -> None:
    assert parse_variant(str(Variant(name, options))) == Variant(name, options)


def test_the_order_of_options_does_not_make_another_variant() -> None:
    assert str(parse_variant("trm[updates=4,cycles=2]")) == str(parse_variant("trm[cycles=2,updates=4]"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("trm", ["trm"]),
        ("trm,hrm", ["trm", "hrm"]),
        (" trm , hrm ,", ["trm", "hrm"]),
        ("trm[cycles=2,updates=4],hrm", ["trm[cycles=2,updates=4]", "hrm"]),
        ("trm[a=1,b=2],hrm[c=3,d=4],copy", ["trm[a=1,b=2]", "hrm[c=3,d=4]", "copy"]),
        ("TRM-MLP @ halting=true,steps=4,HRM", ["TRM-MLP @ halting=true,steps=4", "HRM"]),
        ("trm[a=1,b=2] @ noise=0.1,rollouts=4", ["trm[a=1,b=2] @ noise=0.1,rollouts=4"]),
        ("", []),
        (",", []),
    ],
)
def test_models_are_split_at_the_commas_outside_brackets_and_evaluations(text: str, names: list[str]) -> None:
    assert split_models(text) == names


@given(st.lists(st.builds(Variant, WORDS, st.dictionaries(WORDS, WORDS, max_size=3)), max_size=4))
def test_any_list_of_variants_survives_joining_and_splitting(variants: list[Variant]) -> None:
    assert [parse_variant(name) for name in split_models(",".join(map(str, variants)))] == variants


# --- where an option belongs ---------------------------------------------------------------------


def test_an_option_of_the_model_goes_to_its_configuration() -> None:
    changed, usual = resolve("hrm[timesteps=3]"), resolve("hrm")
    assert changed.config == usual.config.model_copy(update={"timesteps": 3})
    assert changed.training == usual.training


def test_an_option_of_the_training_goes_to_the_recipe() -> None:
    changed, usual = resolve("hrm[lr=3e-4]"), resolve("hrm")
    assert changed.training == usual.training.model_copy(update={"lr": 3e-4})
    assert changed.config == usual.config


def test_a_variant_keeps_what_was_requested_and_says_what_it_resolves_to() -> None:
    model = resolve("trm[updates=4,cycles=2]")
    assert str(model.requested) == "trm[cycles=2,updates=4]"
    assert model.name == "trm-mlp[cycles=2,updates=4]"
    assert model.part.full_name == "trm-bench:trm-mlp"


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("trm[cycle=2]", "cycles"),
        ("hrm[high_block=2]", "high_blocks"),
        ("hrm[warmpu=5]", "warmup"),
        ("copy[ma=0]", "ema"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(text: str, suggestion: str) -> None:
    with pytest.raises(UsageError, match=rf"has no option '.*'; did you mean '{suggestion}'\?"):
        resolve(text)


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'hmr'; did you mean 'hrm'\?"):
        resolve("hmr[cycles=2]")


def test_an_unknown_training_setting_for_every_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"hrm: unknown key 'warm_up'; did you mean 'warmup'\?"):
        resolve("hrm", warm_up="5")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("trm[cycles=0]", "cycles=0: must be above 0"),
        ("trm[cycles=two]", "cycles=two: not a whole number"),
        ("trm[cycles=2.5]", "cycles=2.5: not a whole number"),
        ("trm-att[mixer=conv]", "mixer=conv: choose one of attention or mlp"),
        ("trm[mixer=conv]", "mixer=conv: choose one of attention or mlp"),
        ("hrm[ema=1]", "ema=1: must be below 1.0"),
        ("hrm[lr=0]", "lr=0: must be above 0.0"),
        ("hrm[lr=nan]", "lr=nan: must be a finite number"),
        ("hrm[lr=inf]", "lr=inf: must be a finite number"),
        ("hrm[weight_decay=inf]", "weight_decay=inf: must be a finite number"),
        ("hrm[lr=-1]", "lr=-1: must be above 0.0"),
        ("hrm[warmup=-1]", "warmup=-1: must be at least 0"),
        ("hrm[precision=fp8]", "precision=fp8: choose one of auto, float32 or bf16"),
        ("hrm[min_lr_ratio=2]", "min_lr_ratio=2: must be at most 1.0"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_was_expected(text: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(text)
    assert str(caught.value) == f"{text} {named}"


def test_how_a_run_is_carried_out_is_no_option_of_a_model() -> None:
    with pytest.raises(UsageError, match="model 'hrm' has no option 'compile'"):
        resolve("hrm[compile=true]")


# --- trm resolves to the mixer that the paper advises --------------------------------------------


@pytest.mark.parametrize(
    ("side", "name"), [(5, "trm-mlp"), (9, "trm-mlp"), (10, "trm-mlp"), (11, "trm-att"), (30, "trm-att")]
)
def test_trm_is_the_mlp_on_small_grids_and_attention_on_large_ones(side: int, name: str) -> None:
    model = resolve("trm", TaskInfo("any", "lite", side, side, 6))
    assert (str(model.requested), model.name) == ("trm", name)


@pytest.mark.parametrize("task", [SUDOKU, MAZE], ids=["sudoku", "maze"])
@pytest.mark.parametrize(("mixer", "name"), [("mlp", "trm-mlp"), ("attention", "trm-att")])
def test_a_requested_mixer_wins_over_the_advice(task: TaskInfo, mixer: str, name: str) -> None:
    model = resolve(f"trm[mixer={mixer}]", task)
    assert model.part.spec.name == name
    assert model.config.model_dump()["mixer"] == mixer


def test_the_two_mixers_resolve_to_the_mixer_of_their_name() -> None:
    assert resolve("trm-att").config.model_dump()["mixer"] == "attention"
    assert resolve("trm-mlp").config.model_dump()["mixer"] == "mlp"


# --- recipes -------------------------------------------------------------------------------------


def test_settings_under_the_task_win_over_those_under_the_star(tmp_path: Path) -> None:
    everywhere = {"model": {"width": 1, "depth": 1}, "training": {"lr": 0.1, "warmup": 1}}
    here = {"model": {"depth": 2}, "training": {"lr": 0.2}}
    recipe = {"sudoku-extreme": {"paper": here}, "*": {"paper": everywhere}, "maze-hard": {"paper": {}}}
    host = host_with(made(written(tmp_path, recipe)))
    model = resolve_model(host, "made", SUDOKU, {})
    assert model.config == Config(width=1, depth=2)
    assert (model.training.lr, model.training.warmup) == (0.2, 1)
    other = resolve_model(host, "made", MAZE, {})
    assert other.config == Config(width=1, depth=1)
    assert other.training.lr == 0.1


def test_a_recipe_of_another_scale_has_no_say(tmp_path: Path) -> None:
    recipe = {"*": {"mini": {"model": {"width": 1}}}, "sudoku-extreme": {"lite": {"model": {"width": 2}}}}
    assert resolve_model(host_with(made(written(tmp_path, recipe))), "made", SUDOKU, {}).config == Config()


def test_brackets_win_over_settings_for_all_and_these_over_the_recipe(tmp_path: Path) -> None:
    recipe = {"*": {"mini": {"training": {"lr": 0.1, "beta1": 0.1, "beta2": 0.1}}}}
    host = host_with(made(written(tmp_path, recipe)))
    task = TaskInfo("any", "mini", 3, 3, 4)
    training = resolve_model(host, "made[beta2=0.3]", task, {"beta1": "0.2", "beta2": "0.2"}).training
    assert (training.lr, training.beta1, training.beta2) == (0.1, 0.2, 0.3)
    assert training.warmup == 50  # of the scale's defaults, which the recipe left alone
    assert training.weight_decay == TrainingConfig().weight_decay


@pytest.mark.parametrize("scale", SCALES)
def test_a_model_without_a_recipe_has_the_defaults_of_the_scale(scale: str) -> None:
    model = resolve_model(host_with(made()), "made", TaskInfo("any", scale, 3, 3, 4), {})
    assert model.config == Config()
    assert (model.training == TrainingConfig()) == (scale != "mini")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"modle": {"width": 1}},
            r"made.yaml: \*/paper: unknown section 'modle'; known: model, training, published",
        ),
        ({"model": {"widht": 1}}, r"unknown option 'widht'; did you mean 'width'\?"),
        ({"model": {"width": 0}}, r"made width=0: must be above 0"),
        ({"training": {"learning_rate": 1}}, r"made: unknown key 'learning_rate'"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(section: dict[str, Any], message: str, tmp_path: Path) -> None:
    host = host_with(made(written(tmp_path, {"*": {"paper": section}})))
    with pytest.raises(UsageError, match=message):
        resolve_model(host, "made", SUDOKU, {})


@pytest.mark.parametrize(
    "content",
    ["'*':\n  paper:\n", "'*':\n", "- a\n- list\n", "'*': {paper: [1}"],
    ids=["scale", "task", "list", "yaml"],
)
def test_a_recipe_that_is_no_mapping_is_named_or_taken_as_empty(content: str, tmp_path: Path) -> None:
    path = tmp_path / "made.yaml"
    path.write_text(content)
    host = host_with(made(path))
    try:
        resolve_model(host, "made", SUDOKU, {})
    except UsageError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_a_model_that_can_neither_be_built_nor_resolved_is_refused_by_its_plugins_name() -> None:
    host = host_with(ModelSpec("hollow", "no config, no build"))
    with pytest.raises(UsageError, match="'hollow' of lab:plug has neither config and build nor resolve"):
        resolve_model(host, "hollow", SUDOKU, {})


def test_two_models_of_one_name_that_are_requested_in_full_keep_two_names() -> None:
    host = host_with(made(), distribution="one")
    add(host, "two", made())
    first = resolve_model(host, "one:made", SUDOKU, {})
    second = resolve_model(host, "two:made", SUDOKU, {})
    assert first.part.plugin.distribution != second.part.plugin.distribution
    assert first.name != second.name  # else a table would pool them


# --- the built-in recipes ------------------------------------------------------------------------

SIDES = {
    "sudoku-extreme": {"mini": 6, "small": 9, "lite": 9, "paper": 9},
    "maze-hard": {"mini": 5, "small": 15},
    "maze-unique": {"mini": 7, "small": 15},
}
EVERY = [
    TaskInfo(task, scale, *[SIDES.get(task, {"mini": 6}).get(scale, 30)] * 2, 11)
    for task in BUILT_IN.tasks.names()
    for scale in BUILT_IN.tasks.get(task).spec.scales
]
RECIPES = sorted({part.spec.recipes for part in BUILT_IN.models.parts if part.spec.recipes is not None})


@pytest.mark.parametrize("task", EVERY, ids=lambda task: f"{task.task}-{task.scale}")
@pytest.mark.parametrize("model", BUILT_IN.models.names())
def test_every_built_in_model_resolves_for_every_task_and_scale(model: str, task: TaskInfo) -> None:
    resolved = resolve(model, task)
    assert resolved.part.spec.build is not None
    assert resolved.name.startswith(model)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_built_in_recipe_names_only_tasks_and_scales_that_exist(path: Path) -> None:
    for task, scales in yaml.safe_load(path.read_text()).items():
        known = {one.scale for one in EVERY if task in ("*", one.task)}
        assert set(scales) <= known


@pytest.mark.parametrize("task", [SUDOKU, MAZE], ids=["sudoku", "maze"])
@pytest.mark.parametrize("model", ["trm", "hrm", "transformer", "transformer-looped"])
def test_the_papers_optimiser_at_paper_scale(model: str, task: TaskInfo) -> None:
    training = resolve(model, task).training
    assert (training.lr, training.weight_decay, training.warmup) == (1e-4, 1.0, 2000)
    assert (training.beta1, training.beta2) == (0.9, 0.95)
    assert training.min_lr_ratio == 1.0  # constant after the warm-up
    assert training.ema == (0.0 if model == "hrm" else 0.999)


@pytest.mark.parametrize("task", ["arc-agi-1", "arc-agi-2"])
@pytest.mark.parametrize("model", ["trm", "hrm", "transformer", "transformer-looped"])
@pytest.mark.parametrize("scale", ["lite", "paper"])
def test_the_papers_optimiser_on_arc(model: str, task: str, scale: str) -> None:
    info = TaskInfo(task, scale, 30, 30, 12, identifiers=876_000)
    resolved = resolve(model, info)
    training = resolved.training
    assert (training.lr, training.weight_decay) == (1e-4, 0.1)
    assert (training.embedding_lr, training.embedding_weight_decay) == (1e-2, 0.1)
    if model == "trm":
        config = resolved.config.model_dump()
        assert (config["mixer"], config["cycles"], config["updates"]) == ("attention", 3, 4)


def test_trm_takes_attention_wherever_puzzles_have_identities() -> None:
    small = TaskInfo("arc-agi-1", "mini", 6, 6, 12, identifiers=473)
    assert resolve("trm", small).name == "trm-att"
    assert resolve("trm", replace(small, identifiers=1)).name == "trm-mlp"


@pytest.mark.parametrize("scale", ["lite", "paper"])
def test_the_papers_trm(scale: str) -> None:
    sudoku = resolve("trm", TaskInfo("sudoku-extreme", scale, 9, 9, 11)).config.model_dump()
    maze = resolve("trm", TaskInfo("maze-hard", scale, 30, 30, 6)).config.model_dump()
    assert (sudoku["mixer"], sudoku["cycles"], sudoku["updates"]) == ("mlp", 3, 6)
    assert (maze["mixer"], maze["cycles"], maze["updates"]) == ("attention", 3, 4)
    for config in (sudoku, maze):
        assert (config["hidden"], config["heads"], config["blocks"], config["supervision"]) == (512, 8, 2, 16)


@pytest.mark.parametrize("task", [SUDOKU, MAZE], ids=["sudoku", "maze"])
def test_the_papers_hrm_and_controls(task: TaskInfo) -> None:
    hrm = resolve("hrm", task).config.model_dump()
    assert (hrm["high_blocks"], hrm["low_blocks"], hrm["cycles"], hrm["timesteps"]) == (4, 4, 2, 2)
    assert (hrm["hidden"], hrm["heads"], hrm["supervision"]) == (512, 8, 16)
    for name in ("transformer", "transformer-looped"):
        config = resolve(name, task).config.model_dump()
        assert (config["hidden"], config["blocks"]) == (512, 8)
    assert resolve("transformer-looped", task).config.model_dump()["supervision"] == 16


def test_only_copy_is_not_trained() -> None:
    assert [part.spec.name for part in BUILT_IN.models.parts if not part.spec.trained] == ["copy"]

"""Models made as large as others, and the options that every model has: match, augment, recipe."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.distributions import everything
from support.models import BUILT_IN, MAZE, SUDOKU, add, host_with, made, resolve
from support.training import steps, trainer
from trm_bench.harness.api.budget import Match
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.planning.grid import Grid
from trm_bench.harness.planning.match_size import Quantity, matched, measure, parse_match
from trm_bench.harness.planning.models import ResolvedModel, resolve_model
from trm_bench.harness.planning.planner import plan
from trm_bench.harness.planning.request import Request
from trm_bench.harness.training.config import TrainingConfig
from trm_bench.harness.training.costs import count_flops, count_parameters

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = TaskInfo("small", "mini", 2, 3, 5)
TRAINED = ("trm-att", "trm-mlp", "hrm", "transformer", "transformer-looped")
COUNTED = [*((name, Quantity.PARAMETERS) for name in TRAINED), ("transformer", Quantity.FLOPS)]
DEPTH = dict.fromkeys(TRAINED, "blocks") | {"hrm": "high_blocks"}


def size_of(model: ResolvedModel, hidden: int, quantity: Quantity, task: TaskInfo = SMALL) -> float:
    """What is matched, counted on a model of that width that is built for it."""
    config: Any = model.config
    assert model.part.spec.build is not None
    reasoner = model.part.spec.build(config.model_copy(update={"hidden": hidden}), task)
    if quantity is Quantity.PARAMETERS:
        return count_parameters(reasoner)[0]
    return count_flops(reasoner, task.cells).training_step


def own_size(model: ResolvedModel, quantity: Quantity, task: TaskInfo = SMALL) -> float:
    return size_of(model, model.config.hidden, quantity, task)  # type: ignore[attr-defined]


def off_by(a: float, b: float) -> float:
    return max(a / b, b / a)


# --- match= --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quantity", "model"),
    [
        ("trm", Quantity.PARAMETERS, "trm"),
        ("parameters:trm", Quantity.PARAMETERS, "trm"),
        ("flops:hrm", Quantity.FLOPS, "hrm"),
    ],
)
def test_parameters_are_matched_where_no_quantity_is_named(text: str, quantity: Quantity, model: str) -> None:
    assert parse_match(text) == (quantity, model)


@pytest.mark.parametrize(("name", "quantity"), COUNTED)
def test_the_table_of_puzzle_embeddings_is_never_counted(name: str, quantity: Quantity) -> None:
    model, many = resolve(name, SMALL), replace(SMALL, identifiers=50)
    assert measure(model.part.spec, model.config, many, quantity) == own_size(model, quantity)


def check_nearest(name: str, other: str, quantity: Quantity, options: str, heads: int, away: int) -> None:
    wanted = own_size(resolve(other, SMALL), quantity)
    plain = resolve(f"{name}[heads={heads},{options}]", SMALL)
    model = resolve(f"{name}[heads={heads},{options},match={quantity}:{other}]", SMALL)
    hidden, unit = model.config.hidden, 2 * heads  # type: ignore[attr-defined]
    assert model.config == plain.config.model_copy(update={"hidden": hidden})
    assert hidden % unit == 0
    widths = range(hidden - away * unit, hidden + (away + 1) * unit, unit)
    errors = {width: off_by(size_of(plain, width, quantity), wanted) for width in widths if width > 0}
    assert errors[hidden] == min(errors.values())


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.sampled_from(TRAINED), st.sampled_from(TRAINED), st.integers(1, 3), st.sampled_from([1, 2, 4]))
def test_no_other_width_is_nearer_in_parameters(name: str, other: str, blocks: int, heads: int) -> None:
    check_nearest(name, other, Quantity.PARAMETERS, f"{DEPTH[name]}={blocks}", heads, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "other", "options"),
    [
        ("transformer", "trm-mlp", "blocks=1"),
        ("trm-att", "transformer-looped", "cycles=1,updates=1,blocks=1"),
    ],
)
def test_no_other_width_is_nearer_in_flops(name: str, other: str, options: str) -> None:
    check_nearest(name, other, Quantity.FLOPS, options, heads=4, away=1)


@cache
def one_block_like_trm(quantity: Quantity) -> ResolvedModel:
    return resolve(f"transformer[blocks=1,match={quantity}:trm]", SMALL)


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_that_is_matched_to_itself_is_itself(name: str) -> None:
    usual = resolve(name, SMALL)
    heads = usual.config.heads  # type: ignore[attr-defined]
    own_width = usual.config.hidden % (2 * heads) == 0  # type: ignore[attr-defined]
    options = f"match={name}" + ("" if own_width else ",heads=4")  # 8 heads cannot be 48 wide
    assert resolve(f"{name}[{options}]", SMALL).config.hidden == usual.config.hidden  # type: ignore[attr-defined]


@pytest.mark.parametrize("quantity", Quantity)
def test_the_note_names_both_counts_and_how_far_they_are_apart(quantity: Quantity) -> None:
    model, other = one_block_like_trm(quantity), resolve("trm", SMALL)
    text = f"transformer[blocks=1,match={quantity}:trm]"
    (note,) = model.notes
    found = re.fullmatch(
        rf"{re.escape(text)}: ([\d,]+) {quantity.value} against ([\d,]+) of trm-mlp \(([+-][\d.]+) %\)", note
    )
    assert found is not None, note
    ours, theirs = own_size(model, quantity), own_size(other, quantity)
    assert [int(count.replace(",", "")) for count in found.group(1, 2)] == [round(ours), round(theirs)]
    assert float(found[3]) == pytest.approx(100 * (ours / theirs - 1), abs=0.05)
    assert other.notes == ()


def test_parameters_and_flops_are_different_things_to_match() -> None:
    by_size, by_cost = (one_block_like_trm(quantity).config for quantity in Quantity)
    assert by_size.hidden < by_cost.hidden  # type: ignore[attr-defined]  # TRM does more with each weight


def test_the_model_to_be_matched_is_the_one_that_its_name_resolves_to_on_the_task() -> None:
    large = TaskInfo("large", "mini", 11, 11, 5)
    assert "of trm-mlp" in resolve("hrm[match=trm]", SMALL).notes[0]
    assert "of trm-att" in resolve("hrm[match=trm]", large).notes[0]


@pytest.mark.parametrize("quantity", ["", "parameters:", "flops:"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("copy[match={}trm]", "model 'copy' cannot be matched to another: it does not say how to resize it"),
        ("hrm[match={}copy]", "copy has no (parameters|flops) to match"),
        ("hrm[match={}tmr]", r"unknown model 'tmr'; did you mean 'trm'\?"),
    ],
)
def test_what_cannot_be_matched_is_refused(text: str, message: str, quantity: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(text.format(quantity), SMALL)


@pytest.mark.parametrize("match", ["size:trm", ":trm", "Parameters:trm"])
def test_an_unknown_quantity_is_refused_with_the_known_ones(match: str) -> None:
    with pytest.raises(UsageError, match=f"match={match}: write match=MODEL, parameters:MODEL or "):
        resolve(f"hrm[match={match}]", SMALL)


def test_a_target_that_no_width_comes_near_is_refused() -> None:
    hrm, quantity = resolve("hrm", SMALL), Quantity.PARAMETERS
    smallest = size_of(hrm, 2 * hrm.config.heads, quantity)  # type: ignore[attr-defined]
    config, reached = matched(hrm.part.spec, hrm.config, SMALL, smallest / 1.9, quantity)
    assert (config.hidden, reached) == (2 * config.heads, smallest)
    with pytest.raises(UsageError, match=r"'hrm': no width comes near [\d,]+ parameters"):
        matched(hrm.part.spec, hrm.config, SMALL, smallest / 2.1, quantity)


def test_a_width_that_is_given_next_to_match_is_refused() -> None:
    with pytest.raises(UsageError, match="match= chooses hidden; leave hidden= out"):
        resolve("transformer[match=trm,hidden=64]", SMALL)


def test_a_model_can_be_matched_by_its_full_name() -> None:
    by_name = resolve("hrm[match=trm-mlp]", SMALL)
    assert resolve("hrm[match=trm-bench:trm-mlp]", SMALL).config == by_name.config
    assert resolve("hrm[match=parameters:trm-bench:trm-mlp]", SMALL).config == by_name.config


def test_a_puzzle_embedding_that_is_too_wide_for_the_narrowest_models_does_not_stop_the_search() -> None:
    model = resolve("trm-att[puzzle_emb_len=1,puzzle_emb_ndim=48,match=transformer]", SMALL)
    usual = resolve("trm-att[puzzle_emb_len=1,match=transformer]", SMALL)
    assert model.config.hidden == usual.config.hidden  # type: ignore[attr-defined]


def test_a_matched_model_is_no_narrower_than_its_puzzle_embedding_allows() -> None:
    """Else its stored configuration could not be read back."""
    model = resolve("trm-att[puzzle_emb_len=1,puzzle_emb_ndim=48]", SMALL)
    narrower = own_size(resolve("trm-att[hidden=40,puzzle_emb_len=1]", SMALL), Quantity.PARAMETERS)
    config, _ = matched(model.part.spec, model.config, SMALL, narrower, Quantity.PARAMETERS)
    assert config.hidden == 48
    assert type(config)(**config.model_dump()) == config


# --- recipe= -------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [SMALL, SUDOKU, MAZE], ids=lambda task: task.task)
@pytest.mark.parametrize(("name", "lender"), [("hrm", "trm"), ("trm", "hrm"), ("transformer", "hrm")])
def test_a_recipe_lends_its_training_settings_and_not_its_sizes(
    name: str, lender: str, task: TaskInfo
) -> None:
    model = resolve(f"{name}[recipe={lender}]", task)
    assert model.training == resolve(lender, task).training != resolve(name, task).training
    assert model.config == resolve(name, task).config
    assert f"recipe={lender}" in model.name


def test_options_and_settings_for_all_win_over_a_lent_recipe() -> None:
    model = resolve("hrm[recipe=trm,lr=0.5]", SUDOKU, warmup="7")
    lent = resolve("trm", SUDOKU).training
    assert model.training == lent.model_copy(update={"lr": 0.5, "warmup": 7})


def test_a_setting_that_the_lent_recipe_has_anyway_is_not_shown() -> None:
    lent = resolve("trm", SUDOKU).training
    assert resolve(f"hrm[recipe=trm,ema={lent.ema}]", SUDOKU).name == "hrm[recipe=trm]"
    assert resolve(f"hrm[ema={lent.ema}]", SUDOKU).name == f"hrm[ema={lent.ema}]"


def test_a_lender_without_a_recipe_lends_the_defaults_of_the_scale() -> None:
    host = host_with(made(name="plain"))
    host.models.parts.extend(BUILT_IN.models.parts)
    assert resolve_model(host, "hrm[recipe=plain]", SUDOKU, {}).training == TrainingConfig()


def test_an_unknown_lender_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'hmr'; did you mean 'hrm'\?"):
        resolve("trm[recipe=hmr]", SUDOKU)


@pytest.mark.parametrize(("ema", "averaged"), [(0.0, False), (0.9, True)])
def test_ema_decides_whether_averaged_weights_are_evaluated(ema: float, averaged: bool) -> None:
    assert resolve(f"hrm[ema={ema}]", SUDOKU).training.ema == ema
    one = trainer("trm-mlp", steps(3), ema=ema)
    for _ in range(3):
        one.step()
    before = [weight.detach().clone() for weight in one.model.parameters()]
    one.settle()
    same = [torch.equal(*pair) for pair in zip(before, one.model.parameters(), strict=True)]
    assert all(same) != averaged


# --- names of options ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alias", "option"),
    [
        *((f"{name}[T=5]", f"{name}[cycles=5]") for name in ("trm", "trm-att", "trm-mlp")),
        *((f"{name}[n=5]", f"{name}[updates=5]") for name in ("trm", "trm-att", "trm-mlp")),
        ("hrm[N=5,T=3]", "hrm[cycles=5,timesteps=3]"),
        *((f"{name}[prefix=3]", f"{name}[puzzle_emb_len=3]") for name in TRAINED),
        *((f"{name}[width=96]", f"{name}[hidden=96]") for name in TRAINED),
    ],
)
def test_an_alias_is_the_option(alias: str, option: str) -> None:
    one, other = resolve(alias, SUDOKU), resolve(option, SUDOKU)
    assert (one.name, one.config, one.training) == (other.name, other.config, other.training)
    assert one.config != resolve(alias.partition("[")[0], SUDOKU).config


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("trm[T=2,cycles=3]", "cycles"),
        ("trm[n=2,updates=3]", "updates"),
        ("hrm[N=3,cycles=4]", "cycles"),
        ("transformer[width=64,hidden=96]", "hidden"),
        ("hrm[prefix=2,puzzle_emb_len=3]", "puzzle_emb_len"),
    ],
)
def test_an_option_under_two_names_is_refused(text: str, option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} is given twice, as [0-9]+ and [0-9]+"):
        resolve(text, SUDOKU)


def test_an_option_that_does_not_exist_is_refused_with_aliases_too() -> None:
    with pytest.raises(UsageError, match=r"has no option 'widht'; did you mean 'width'\?"):
        resolve("transformer[widht=64]", SUDOKU)


@pytest.mark.parametrize("task", [SMALL, SUDOKU, MAZE], ids=lambda task: task.task)
@pytest.mark.parametrize("name", TRAINED)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_options_that_change_nothing_here_disappear(name: str, task: TaskInfo, data: st.DataObject) -> None:
    usual = resolve(name, task)
    values = {**usual.config.model_dump(), **usual.training.model_dump(), "augment": 1}
    known = sorted(key for key, value in values.items() if value is not None)
    chosen = data.draw(st.sets(st.sampled_from(known), min_size=1))
    model = resolve(f"{name}[{','.join(f'{key}={values[key]}' for key in sorted(chosen))}]", task)
    assert (model.name, model.config, model.training) == (name, usual.config, usual.training)


def test_positions_that_the_puzzle_embedding_has_anyway_disappear_too() -> None:
    assert resolve("hrm[puzzle_emb_len=1]", SUDOKU).name == "hrm"


# --- augment= ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "count", "name"),
    [
        ("", None, "hrm"),
        ("augment=8", None, "hrm"),
        ("augment=2", 2, "hrm[augment=2]"),
        ("augment=full", 1000, "hrm[augment=full]"),
        ("augment=1000", 1000, "hrm[augment=1000]"),
    ],
)
def test_augment_is_an_a_of_the_models_own(options: str, count: int | None, name: str) -> None:
    model = resolve_model(BUILT_IN, f"hrm[{options}]", SUDOKU, {}, (8, 1000))
    assert (model.augmentations, model.name) == (count, name)
    assert (model.config, model.training) == (resolve("hrm").config, resolve("hrm").training)


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "all", "1e3", "Full", "²"])
def test_another_augment_is_refused_with_what_can_be_written(value: str) -> None:
    expected = re.escape(
        f"hrm[augment={value}]: augment={value}: write a number of augmentations from 1, or full"
    )
    with pytest.raises(UsageError, match=expected):
        resolve(f"hrm[augment={value}]")


def planned(*models: str, task: str = "arc-agi-1", **request: Any) -> Grid:
    """A grid on ARC, whose mini scale has A = 8 and as many votes."""
    return plan(everything(), Request(models=models, task=task, scale="mini", seeds=(0,), **request))


def budgets(grid: Grid) -> dict[str, tuple[int, int]]:
    """A and votes of every run, by model."""
    return {
        run.description.model: (run.identity.budget.augmentations, run.identity.votes)  # type: ignore[union-attr, misc]
        for run in grid.runs
    }


def test_a_run_with_an_a_of_its_own_has_it_in_its_budget_and_no_more_votes() -> None:
    grid = planned("trm", "trm[augment=2]", "trm[augment=1]")
    assert budgets(grid) == {"trm-att": (8, 8), "trm-att[augment=2]": (2, 2), "trm-att[augment=1]": (1, 1)}
    assert grid.budget is not None
    assert grid.budget.augmentations == 8
    assert len({run.name for run in grid.runs}) == 3
    for run in grid.runs:
        assert run.identity.budget is not None
        assert run.identity.budget.model_copy(update={"augmentations": 8}) == grid.budget


def test_more_augmentations_than_the_grids_own_leave_its_votes_as_they_are() -> None:
    grid = planned("trm", "trm[augment=full]", augmentations=2)
    assert budgets(grid) == {"trm-att": (2, 2), "trm-att[augment=full]": (8, 2)}


def test_a_model_with_an_a_of_its_own_has_its_own_rows_of_the_puzzle_embedding() -> None:
    usual, few = (job.prepared for job in planned("trm", "trm[augment=2]").jobs)
    assert 1 < few.info.identifiers < usual.info.identifiers
    assert few.identities is not None
    trained = np.unique(few.read("train").identifiers)
    for prepared, count in ((few, 2), (usual, 8)):
        rows = np.minimum(few.identities.augmentations[trained], count).sum()
        assert prepared.info.identifiers == 1 + rows


def test_more_augmentations_than_a_task_has_are_refused() -> None:
    with pytest.raises(UsageError, match="2: task 'tiny' has 1 to 1 augmentations"):
        planned("copy", "copy[augment=2]", task="tiny")


# --- one model under several names is one run ----------------------------------------------------


def test_names_of_one_model_are_one_run_and_each_resolves_to_its_row() -> None:
    names = ["trm", "trm-att", "trm[augment=full]", "trm[mixer=attention]", "trm[T=2]", "trm[T=3]"]
    grid = planned(*names, "trm[cycles=3,n=2]")
    assert [run.description.requested for run in grid.runs] == ["trm", "trm[T=3]"]
    assert [run.description.model for run in grid.runs] == ["trm-att", "trm-att[cycles=3]"]
    assert grid.resolved == {
        **dict.fromkeys(names[:5], "trm"),
        **dict.fromkeys([*names[5:], "trm[cycles=3,n=2]"], "trm[T=3]"),
    }


def test_the_run_is_the_same_whichever_of_its_names_is_requested() -> None:
    (one,), (other,) = planned("trm").runs, planned("trm[augment=full,n=2]").runs
    assert one.name == other.name
    assert one.identity == other.identity


def test_a_match_that_changes_nothing_is_the_model_itself_and_keeps_its_note_otherwise() -> None:
    grid = planned("transformer", "transformer[match=transformer]", "transformer[match=trm]")
    assert grid.resolved["transformer[match=transformer]"] == "transformer"
    assert [len(run.notes) for run in grid.runs] == [0, 1]
    assert grid.runs[1].notes[0].startswith("transformer[match=trm]: ")
    assert grid.runs[1].identity.architecture["hidden"] == grid.models[1].config.hidden  # type: ignore[attr-defined]


def test_models_with_different_recipes_are_two_runs() -> None:
    grid = planned("hrm", "hrm[recipe=trm]", "hrm[recipe=hrm]")
    assert grid.resolved["hrm[recipe=hrm]"] == "hrm"
    one, other = (run.identity for run in grid.runs)
    assert one.architecture == other.architecture
    assert one.training != other.training


# --- models that cannot be built -----------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"match": Match.FLOPS}])
def test_options_that_do_not_fit_together_are_refused_before_anything_is_run(more: dict[str, Any]) -> None:
    text = "trm-att[heads=16,hidden=48]"
    with pytest.raises(UsageError) as caught:
        planned(text, "copy", task="tiny", **more)
    problem = "hidden=48 over heads=16 must give an even head size, not 3"
    assert str(caught.value) == f"model {text} cannot be built: {problem}"


def test_a_plugins_model_that_cannot_be_built_is_named_with_its_error() -> None:
    host = everything()
    add(host, "lab", made())
    grid = plan(host, Request(models=("made",), task="tiny", scale="mini", seeds=(0,)))
    assert [str(error) for error in grid.broken.values()] == [
        "model made cannot be built: NotImplementedError"
    ]

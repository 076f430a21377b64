"""Every option of TRM, HRM and the two transformers changes what it should, and leaves the rest alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.models import resolve
from support.options import FEW, GRADIENTS, IDS, INPUTS, KINDS, TARGETS, D, alike, gradients, made, supervised
from support.stored import asked, evaluated, run, runs, same_results
from support.training import CPU, INFO, MODELS, SMALL, Counted, puzzles, step, steps, trainer
from torch import Tensor
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Halting, Output, Reasoner, State
from trm_bench.harness.inference.inference import InferenceConfig, predict
from trm_bench.harness.nn.blocks import Attention, AttentionBlock, MixerBlock, Stack
from trm_bench.harness.nn.loss import step_loss
from trm_bench.harness.training.costs import count_flops, count_parameters
from trm_bench.harness.training.supervision import Slots, continue_target
from trm_bench.hrm_baseline.config import HRMConfig
from trm_bench.plugins.controls.config import TransformerConfig
from trm_bench.trm.ablations import AblatedTRM
from trm_bench.trm.config import TRMConfig
from trm_bench.trm.model import TRM

pytestmark = pytest.mark.usefixtures("one_thread")

RECURSIVE = ("trm", "hrm", "transformer-looped")
ONE_CELL = TaskInfo("one", "mini", 1, 1, 50)


def calls(model: Reasoner) -> list[tuple[str, bool]]:
    """The networks in the order in which a supervision step applies them, and which carry a gradient."""
    seen: list[tuple[str, bool]] = []
    for name, module in model.named_children():
        if isinstance(module, Stack):
            module.register_forward_pre_hook(
                lambda *_, name=name: seen.append((name, torch.is_grad_enabled()))
            )
    supervised(model)
    return seen


def core(model: Reasoner) -> int:
    return count_parameters(model)[0]


def agree(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    assert set(ours) == set(theirs)
    return all(torch.allclose(value, theirs[name], atol=1e-5) for name, value in ours.items())


# --- every option does something -----------------------------------------------------------------

SIZES = {"mixer": "mlp", "hidden": 32, "heads": 4, "expansion": 8, "multiple": 64, "puzzle_emb_ndim": 8}
CYCLES = {"supervision": 5, "halting": "none", "puzzle_emb_len": 3}
OTHER: dict[str, dict[str, Any]] = {
    "trm": SIZES
    | CYCLES
    | {"blocks": 2, "cycles": 3, "updates": 3, "gradient": "one-step", "networks": 2, "latents": 3},
    "hrm": SIZES
    | CYCLES
    | {"high_blocks": 2, "low_blocks": 2, "cycles": 3, "timesteps": 3, "gradient": "full", "networks": 1},
    "transformer": SIZES | {"blocks": 2, "repeats": 2, "puzzle_emb_len": 3},
    "transformer-looped": SIZES | CYCLES | {"blocks": 2, "repeats": 2},
}


def behaviour(model: Reasoner) -> tuple[object, ...]:
    """Whatever can be seen of a model from outside."""
    _, output = supervised(model)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    numbers = [output.logits.detach(), *gradients(model, output).values()]
    as_bytes = b"".join(number.numpy().tobytes() for number in numbers)
    return model.supervision_steps, model.halting, shapes, as_bytes


@pytest.mark.parametrize("kind", KINDS)
def test_no_option_is_left_out_here(kind: str) -> None:
    assert set(OTHER[kind]) == set(KINDS[kind][0].model_fields)


@pytest.mark.parametrize(("kind", "option"), [(kind, option) for kind in KINDS for option in OTHER[kind]])
def test_every_option_changes_the_model(kind: str, option: str) -> None:
    usual, again, other = made(kind), made(kind), made(kind, **{option: OTHER[kind][option]})
    assert behaviour(usual) == behaviour(again)
    assert behaviour(usual) != behaviour(other)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((kind, {"mixer": "mlp", "halting": "none"}) for kind in RECURSIVE),
    *(("trm", {"gradient": gradient, "networks": 2}) for gradient in ("full", "one-step")),
    *(("hrm", {"gradient": gradient, "networks": 1}) for gradient in ("full", "one-step")),
    *(("trm", {"latents": latents, "updates": 3}) for latents in (1, 3, "multi")),
    *(("trm", {"latents": latents, "updates": 3, "gradient": "one-step"}) for latents in (1, "multi")),
    *(("transformer", {"repeats": 3}), ("transformer-looped", {"repeats": 3, "halting": "two-pass"})),
]


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_a_step_in_bf16_moves_every_weight_of_every_variant(
    kind: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "variant", lambda: made(kind, **options))
    one = trainer("variant", steps(1), precision="bf16", weight_decay=0)
    before = {name: weight.detach().clone() for name, weight in one.model.named_parameters()}
    one.step()
    after = dict(one.model.named_parameters())
    assert [name for name, weight in before.items() if torch.equal(weight, after[name])] == []


# --- cycles, updates, gradient -------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(FEW, FEW, GRADIENTS, st.sampled_from([1, 2, "multi"]))
def test_trm_applies_its_network_t_times_n_plus_one_and_the_gradient_flows_through_the_end(
    cycles: int, updates: int, gradient: str, latents: int | str
) -> None:
    model = made("trm", cycles=cycles, updates=updates, gradient=gradient, latents=latents)
    carrying = updates + 1 if gradient == "full" else 1 if latents == 1 else 2
    flags = [carried for _, carried in calls(model)]
    assert len(flags) == cycles * (updates + 1)
    assert flags == [False] * (len(flags) - carrying) + [True] * carrying


@settings(max_examples=20, deadline=None)
@given(FEW, FEW, GRADIENTS)
def test_hrm_updates_its_high_level_once_for_every_t_timesteps_of_the_low_level(
    cycles: int, timesteps: int, gradient: str
) -> None:
    seen = calls(made("hrm", cycles=cycles, timesteps=timesteps, gradient=gradient))
    assert [name for name, _ in seen] == ([*["f_L"] * timesteps, "f_H"]) * cycles
    carrying = timesteps + 1 if gradient == "full" else 2
    assert [carried for _, carried in seen] == [False] * (len(seen) - carrying) + [True] * carrying


def last_of_each_by_hand(model: AblatedTRM, pads: int) -> Output:
    """A supervision step with everything detached before the last update of z and of y."""
    x = model.embed(INPUTS, IDS)
    y, *z = model.initial_state(len(INPUTS))
    for i in range(model.T * (model.n + 1)):
        turn, last = i % (model.n + 1), i >= model.T * (model.n + 1) - 2
        with torch.set_grad_enabled(last):
            if turn == model.n:
                y = (model.answer_net or model.net)(sum(z), y)
            else:
                z[turn % pads] = model.net(sum(z), y + x)
    return model.heads(y)


@pytest.mark.parametrize("options", [{}, {"networks": 2}, {"latents": 3, "updates": 3}, {"cycles": 1}])
def test_the_one_step_gradient_is_that_of_the_last_update_of_z_and_of_y(options: dict[str, Any]) -> None:
    model = made("trm", gradient="one-step", **options)
    full = alike(made("trm", gradient="full", **options), model)
    (_, ours), (_, whole) = supervised(model), supervised(full)
    by_hand = last_of_each_by_hand(model, pads=options.get("latents", 2) - 1)
    assert torch.equal(ours.logits, whole.logits)
    slopes = gradients(model, ours)
    assert agree(slopes, gradients(model, by_hand))
    assert not agree(slopes, gradients(full, whole))


@pytest.mark.parametrize(("kind", "option"), [("trm", {"updates": 1}), ("hrm", {"timesteps": 1})])
def test_with_one_update_of_z_in_a_cycle_the_last_of_each_is_the_whole_last_cycle(
    kind: str, option: dict[str, Any]
) -> None:
    one_step, full = (made(kind, gradient=gradient, **option) for gradient in ("one-step", "full"))
    (_, ours), (_, whole) = supervised(one_step), supervised(full)
    assert agree(gradients(one_step, ours), gradients(full, whole))


def test_hrms_gradient_can_go_through_the_whole_last_cycle_and_changes_no_prediction() -> None:
    one_step, full = (made("hrm", gradient=gradient) for gradient in ("one-step", "full"))
    (_, ours), (_, whole) = supervised(one_step), supervised(full)
    assert torch.equal(ours.logits, whole.logits)
    assert not agree(gradients(one_step, ours), gradients(full, whole))


# --- halting -------------------------------------------------------------------------------------

POLICIES = {
    "none": Halting.NONE,
    "sigmoid": Halting.HALT_LOGIT,
    "compare": Halting.Q_COMPARE,
    "two-pass": Halting.Q_LEARNING,
}
WORDS = [(kind, word) for kind in RECURSIVE for word in POLICIES if word != "compare"]
WORDS += [("transformer-looped", "compare")]


@pytest.mark.parametrize(("kind", "halting"), WORDS)
def test_halting_chooses_the_policy_and_only_none_has_no_q_head(kind: str, halting: str) -> None:
    model = made(kind, halting=halting)
    assert model.halting is POLICIES[halting]
    _, output = supervised(model)
    with_q = halting != "none"
    assert (model.heads.q is not None, output.q_halt is not None, output.q_continue is not None) == (
        (with_q,) * 3
    )


@pytest.mark.parametrize(("kind", "halting"), WORDS)
def test_halting_changes_neither_state_nor_logits(kind: str, halting: str) -> None:
    usual = made(kind)
    (state, ours), (expected, theirs) = (
        supervised(alike(made(kind, halting=halting), usual)),
        supervised(usual),
    )
    assert torch.equal(ours.logits, theirs.logits)
    assert all(torch.equal(one, other) for one, other in zip(state, expected, strict=True))


@pytest.mark.parametrize(("q_halt", "q_continue"), [(1.0, 2.0), (2.0, 1.0), (-1.0, -2.0), (-2.0, -1.0)])
@pytest.mark.parametrize(("kind", "halting"), WORDS)
def test_a_puzzle_leaves_when_its_policy_says_so(
    kind: str, halting: str, q_halt: float, q_continue: float
) -> None:
    model = made(kind, ONE_CELL, halting=halting, supervision=4)
    if model.heads.q is not None:
        torch.nn.init.zeros_(model.heads.q.weight)
        model.heads.q.bias.data = torch.tensor([q_halt, q_continue])
    slots, examples = Slots(model, 2, 1, CPU), Counted()
    step(slots, examples)
    wanted = {"none": False, "sigmoid": q_halt > 0}.get(halting, q_halt > q_continue)
    assert slots.halted.tolist() == [wanted, wanted]


@pytest.mark.parametrize("kind", RECURSIVE)
@pytest.mark.parametrize("supervision", [1, 2, 5])
def test_without_halting_every_puzzle_stays_for_exactly_n_sup_steps(kind: str, supervision: int) -> None:
    slots = Slots(made(kind, ONE_CELL, halting="none", supervision=supervision), 2, 1, CPU)
    examples, halted = Counted(), []
    for _ in range(2 * supervision):
        step(slots, examples)
        halted.append(slots.halted.tolist())
    assert halted == ([[False, False]] * (supervision - 1) + [[True, True]]) * 2


@pytest.mark.parametrize(("kind", "halting"), WORDS)
def test_only_two_pass_trains_the_continue_logit(kind: str, halting: str) -> None:
    model = made(kind, halting=halting)
    slots = Slots(model, 3, INFO.cells, CPU)
    state, output = supervised(model)
    target = continue_target(slots, state)
    assert (target is not None) == (halting == "two-pass")
    step_loss(output, TARGETS, target).total.backward()
    if model.heads.q is not None:
        halt, go_on = model.heads.q.weight.grad.abs().sum(-1).tolist()
        assert halt > 0
        assert (go_on > 0) == (halting == "two-pass")


def test_two_pass_pays_for_its_second_pass_which_carries_no_gradient() -> None:
    once, twice = (count_flops(made("trm", halting=word), INFO.cells) for word in ("sigmoid", "two-pass"))
    second = once.inference / made("trm").supervision_steps
    assert twice.training_step == once.training_step + second
    assert twice.inference == once.inference


# --- networks ------------------------------------------------------------------------------------


def test_two_networks_of_trm_double_its_core_one_for_z_and_one_for_y() -> None:
    model = made("trm", networks=2, cycles=2, updates=3)
    assert core(model) == 2 * core(made("trm"))
    assert [name for name, _ in calls(model)] == ["net", "net", "net", "answer_net"] * 2
    assert {name for name, _ in calls(made("trm"))} == {"net"}


def test_one_network_of_hrm_halves_its_core_and_is_the_same_memory() -> None:
    model = made("hrm", networks=1)
    assert 2 * core(model) == core(made("hrm"))
    assert model.f_L is model.f_H
    assert len(calls(model)) == len(calls(made("hrm")))


def test_one_network_of_hrm_keeps_its_blocks_or_says_that_it_cannot() -> None:
    with pytest.raises(ValidationError, match=r"high_blocks=1 and low_blocks=2 must be equal"):
        HRMConfig(networks=1, high_blocks=1, low_blocks=2)


def test_one_network_of_hrm_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "shared", lambda: made("hrm", networks=1))
    one = trainer("shared", steps(40), ema=0.5, exploration=0)
    losses = [float(one.step().answer.detach()) for _ in range(40)]
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.slow
def test_weights_of_the_one_network_of_hrm_are_saved_and_read_back(tmp_path: Path) -> None:
    own = run(tmp_path / "own", asked("hrm", networks=1, low_blocks=1))
    (again,) = evaluated(tmp_path / "out", own)
    assert same_results(runs(own)[0], again)


# --- latents -------------------------------------------------------------------------------------


def by_hand(model: TRM, state: State, carried: int) -> State:
    """A supervision step in the words of the paper's Figures 3 to 5; blocks are applied to one sum."""
    nothing = torch.zeros_like(state[0])
    x = model.embed(INPUTS, IDS)
    y, *z = state
    for _ in range(model.T):
        for i in range(model.n):
            everything = x + y + sum(z)
            if carried == 1:
                y = model.net(everything, nothing)
            else:
                z[i % (carried - 1)] = model.net(everything, nothing)
        last = y + x if carried == 1 else y + sum(z)
        y = (getattr(model, "answer_net", None) or model.net)(last, nothing)
    return y, *z


LATENTS = [(1, 3, 1), (2, 3, 2), (3, 3, 3), (3, 2, 3), (7, 6, 7), ("multi", 3, 4), ("multi", 1, 2)]


@pytest.mark.parametrize(
    ("latents", "updates", "carried", "networks"),
    [(*one, networks) for one in LATENTS for networks in (1, 2) if (one[0], networks) != (1, 2)],
)
def test_every_latent_is_updated_by_its_formula(
    latents: int | str, updates: int, carried: int, networks: int
) -> None:
    model = made("trm", latents=latents, updates=updates, networks=networks)
    torch.manual_seed(1)
    state = tuple(torch.randn_like(latent) for latent in model.initial_state(len(INPUTS)))
    assert len(state) == carried
    after, output = supervised(model, state)
    expected = by_hand(model, state, carried)
    for ours, theirs in zip(after, expected, strict=True):
        assert (ours - theirs).abs().mean() < 0.01  # sums in another order; a wrong formula is off by 1
    assert torch.equal(output.logits, model.heads(after[0]).logits)


@pytest.mark.parametrize(("latents", "updates", "carried"), LATENTS)
def test_latents_start_from_different_vectors_and_cost_no_weight(
    latents: int | str, updates: int, carried: int
) -> None:
    model = made("trm", latents=latents, updates=updates)
    starts = torch.stack([latent[0, 0] for latent in model.initial_state(2)])
    assert len(starts.unique(dim=0)) == carried
    assert core(model) == core(made("trm"))
    state, _ = supervised(model)
    assert len(state) == carried
    assert not any(latent.requires_grad for latent in state)


def test_more_latents_than_updates_are_refused_with_the_way_out() -> None:
    with pytest.raises(ValidationError, match=r"latents=7.*updates=2.*updates=6.*latents=multi"):
        TRMConfig(latents=7, updates=2)
    assert TRMConfig(latents=7, updates=6).scratch_pads == 6


def test_a_single_latent_has_no_use_for_a_second_network() -> None:
    with pytest.raises(ValidationError, match=r"networks=2.*latents=1"):
        TRMConfig(latents=1, networks=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trm[latents=7,updates=2]",
            "trm[latents=7,updates=2]: latents=7 has 6 z's and updates=2 would leave some unchanged; use "
            "updates=6, or latents=multi for one z per update",
        ),
        ("trm[latents=0]", "trm[latents=0] latents=0: write a number above 0, or multi"),
    ],
)
def test_a_refusal_on_the_command_line_says_no_more_than_it_must(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(text)
    assert str(caught.value) == message


# --- sizes ---------------------------------------------------------------------------------------

BLOCKS = dict.fromkeys(KINDS, "blocks") | {"hrm": "high_blocks"}


@pytest.mark.parametrize(("mixer", "block"), [("attention", AttentionBlock), ("mlp", MixerBlock)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mlp_mixer_is_made_for_a_number_of_positions_and_attention_for_any(
    kind: str, mixer: str, block: type
) -> None:
    model = made(kind, mixer=mixer)
    blocks = [block for module in model.modules() if isinstance(module, Stack) for block in module.blocks]
    assert {type(one) for one in blocks} == {block}
    larger = made(kind, TaskInfo("larger", "mini", 5, 5, INFO.vocab_size), mixer=mixer)
    assert (core(model) == core(larger)) == (mixer == "attention")


@pytest.mark.parametrize("mixer", ["attention", "mlp"])
@pytest.mark.parametrize("kind", KINDS)
def test_heads_share_the_width_among_them_and_mean_nothing_to_the_mlp(kind: str, mixer: str) -> None:
    two, four = (made(kind, mixer=mixer, heads=heads) for heads in (2, 4))
    sizes = {(one.heads, one.head_size) for one in four.modules() if isinstance(one, Attention)}
    assert sizes == ({(4, 4)} if mixer == "attention" else set())
    assert core(two) == core(four)
    assert torch.equal(supervised(two)[1].logits, supervised(four)[1].logits) == (mixer == "mlp")


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_the_unit_of_the_core(kind: str) -> None:
    one, three = (made(kind, **{BLOCKS[kind]: blocks}) for blocks in (1, 3))
    block = sum(weight.numel() for weight in AttentionBlock(TransformerConfig(**SMALL), 1).parameters())
    assert core(three) - core(one) == 2 * block


@pytest.mark.parametrize(("option", "network"), [("high_blocks", "f_H"), ("low_blocks", "f_L")])
def test_hrms_blocks_are_counted_for_each_network(option: str, network: str) -> None:
    model = made("hrm", **{option: 3})
    assert {name: len(getattr(model, name).blocks) for name in ("f_H", "f_L")} == {
        "f_H": 1,
        "f_L": 1,
        network: 3,
    }


@pytest.mark.parametrize(
    ("options", "inner"),
    [({}, 48), ({"multiple": 1}, 43), ({"multiple": 64}, 64), ({"expansion": 2}, 32), ({"hidden": 32}, 96)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_hidden_expansion_and_multiple_size_every_block(
    kind: str, options: dict[str, Any], inner: int
) -> None:
    model, width = made(kind, **options), options.get("hidden", D)
    blocks = [module for module in model.modules() if isinstance(module, AttentionBlock)]
    assert {tuple(block.mlp.down.weight.shape) for block in blocks} == {(width, inner)}
    assert model.embed.tokens.weight.shape == (INFO.vocab_size, width)
    assert model.embed.puzzle.table.shape == (1, width)


@pytest.mark.parametrize("kind", RECURSIVE)
def test_supervision_is_the_number_of_steps_at_evaluation(kind: str) -> None:
    model = made(kind, supervision=5)
    seen: list[None] = []
    model.register_forward_hook(lambda *_: seen.append(None))
    assert predict(model, puzzles(3), InferenceConfig(CPU)).steps == 5
    assert len(seen) == 5


@pytest.mark.parametrize("kind", ["transformer", "transformer-looped"])
def test_repeats_apply_the_same_weights_again_with_their_gradient(kind: str) -> None:
    once, thrice = made(kind), made(kind, repeats=3)
    assert thrice.state_dict().keys() == once.state_dict().keys()
    assert calls(once) == [("net", True)]
    assert calls(thrice) == [("net", True)] * 3

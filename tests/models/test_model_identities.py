"""One model is another with other options: to the bit, in its predictions and in its training."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.options import FEW, INPUTS, D, alike, gradients, made, supervised
from support.training import MODELS, steps, trainer
from torch import Tensor
from trm_bench.harness.api.reasoner import Reasoner
from trm_bench.hrm_baseline.model import HRM
from trm_bench.trm.model import TRM

pytestmark = pytest.mark.usefixtures("one_thread")


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Under the names of another model; ``names`` are of the first part, dropped where empty."""
    split = {name: name.partition(".") for name in tensors}
    return {
        names.get(first, first) + dot + rest: tensors[name]
        for name, (first, dot, rest) in split.items()
        if names.get(first, first)
    }


def same_bits(one: Reasoner, other: Reasoner, names: Mapping[str, str], slopes: bool = True) -> None:
    """Two supervision steps from fresh states: states, logits, Q logits and gradients are equal."""
    states = [model.initial_state(len(INPUTS)) for model in (one, other)]
    for _ in range(2):
        (ours, output), (theirs, expected) = supervised(one, states[0]), supervised(other, states[1])
        for part, counterpart in zip(ours, theirs, strict=True):
            assert torch.equal(part, counterpart)
        assert torch.equal(output.logits, expected.logits)
        for logit, counterpart in (
            (output.q_halt, expected.q_halt),
            (output.q_continue, expected.q_continue),
        ):
            assert logit is not None
            assert counterpart is not None
            assert torch.equal(logit, counterpart)
        found, wanted = gradients(one, output), renamed(gradients(other, expected), names)
        assert set(found) == set(wanted)
        assert slopes == all(torch.equal(gradient, wanted[name]) for name, gradient in found.items())
        states = [ours, theirs]


AS_TRM = {"f_L": "net", "f_H": "answer_net", "z_H_init": "y_init", "z_L_init": "z_init"}
AS_HRM = {"networks": 2, "gradient": "one-step", "halting": "two-pass", "puzzle_emb_len": 1}


def hrm_and_trm(cycles: int, timesteps: int, blocks: int = 1, mixer: str = "attention") -> tuple[HRM, TRM]:
    """HRM with its defaults, and TRM with four options changed and the same weights."""
    sizes = {"high_blocks": blocks, "low_blocks": blocks, "mixer": mixer}
    hrm = made("hrm", cycles=cycles, timesteps=timesteps, **sizes)
    trm = made("trm", cycles=cycles, updates=timesteps, blocks=blocks, mixer=mixer, **AS_HRM)
    trm.load_state_dict(renamed(hrm.state_dict(), AS_TRM))
    return hrm, trm


@settings(max_examples=12, deadline=None)
@given(FEW, FEW, st.integers(1, 2), st.sampled_from(["attention", "mlp"]))
def test_hrm_is_trm_with_four_options_changed(cycles: int, timesteps: int, blocks: int, mixer: str) -> None:
    hrm, trm = hrm_and_trm(cycles, timesteps, blocks, mixer)
    same_bits(trm, hrm, AS_TRM)


def test_hrm_and_trm_with_four_options_changed_train_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    models = iter(hrm_and_trm(2, 2))
    monkeypatch.setitem(MODELS, "next", lambda: next(models))
    trainers = [trainer("next", steps(8), weight_decay=0.1) for _ in range(2)]
    losses = [[float(one.step().total.detach()) for _ in range(8)] for one in trainers]
    assert losses[0] == losses[1]
    ours, theirs = trainers[1].model.state_dict(), renamed(trainers[0].model.state_dict(), AS_TRM)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@settings(max_examples=8, deadline=None)
@given(FEW, FEW, st.integers(1, 3))
def test_trm_is_hrm_with_four_options_changed(cycles: int, updates: int, puzzle_emb_len: int) -> None:
    trm = made("trm", cycles=cycles, updates=updates, puzzle_emb_len=puzzle_emb_len)
    options = {"networks": 1, "gradient": "full", "halting": "sigmoid", "puzzle_emb_len": puzzle_emb_len}
    hrm = made("hrm", cycles=cycles, timesteps=updates, **options)
    back = {"net": "f_H", "y_init": "z_H_init", "z_init": "z_L_init"}
    weights = renamed(trm.state_dict(), back)
    hrm.load_state_dict({**weights, **renamed(weights, {"f_H": "f_L"})})
    same_bits(hrm, trm, back)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 2), FEW)
def test_the_looped_transformer_is_trm_with_a_single_latent(cycles: int, updates: int) -> None:
    looped = made("transformer-looped", repeats=cycles * (updates + 1), halting="sigmoid")
    trm = made("trm", latents=1, cycles=cycles, updates=updates, puzzle_emb_len=1)
    trm.load_state_dict({**looped.state_dict(), "z_init": torch.empty(0, D)})
    same_bits(trm, looped, {}, slopes=cycles == 1)  # of several cycles TRM back-propagates the last


@pytest.mark.parametrize("repeats", [1, 3])
def test_one_pass_is_the_first_step_of_the_looped_transformer_from_zero(repeats: int) -> None:
    looped, one_pass = made("transformer-looped", repeats=repeats), made("transformer", repeats=repeats)
    looped.y_init.zero_()
    assert torch.equal(supervised(alike(one_pass, looped))[1].logits, supervised(looped)[1].logits)


def test_repeating_the_blocks_of_the_looped_transformer_is_as_many_steps_without_repeating() -> None:
    once, thrice = made("transformer-looped"), made("transformer-looped", repeats=3)
    state = once.initial_state(len(INPUTS))
    for _ in range(3):
        state, _ = supervised(once, state)
    assert torch.equal(state[0], supervised(thrice)[0][0])

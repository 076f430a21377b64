"""The training loop: determinism, budgets, schedule, divergence; and inference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from support.training import CPU, MODELS, puzzles, quiet, steps, trainer
from torch import Tensor
from trm_bench.harness.api.budget import Match
from trm_bench.harness.api.errors import TrainingDiverged
from trm_bench.harness.api.reasoner import Halting, Output, Reasoner, State
from trm_bench.harness.inference.inference import InferenceConfig, predict
from trm_bench.harness.training.trainer import Watcher

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", list(MODELS))
def test_the_same_seed_gives_the_same_losses_bit_for_bit(name: str) -> None:
    first, second = trainer(name, steps(12)), trainer(name, steps(12))
    losses = [[float(one.step().total.detach()) for _ in range(12)] for one in (first, second)]
    assert losses[0] == losses[1]
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_another_seed_gives_other_losses() -> None:
    first, second = trainer("trm-mlp", steps(3), seed=0), trainer("trm-mlp", steps(3), seed=1)
    assert float(first.step().total.detach()) != float(second.step().total.detach())


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_training_lowers_the_loss(name: str) -> None:
    one = trainer(name, steps(150), ema=0, exploration=0)
    losses = [float(one.step().answer.detach()) for _ in range(150)]
    assert np.mean(losses[-20:]) < 0.9 * np.mean(losses[:5])


def test_every_model_sees_the_same_draws_in_the_same_order() -> None:
    seen: dict[str, list[list[int]]] = {}
    for name in ("trm-mlp", "transformer"):
        one = trainer(name, steps(4))
        seen[name] = taken = []
        for _ in range(4):
            free = one.slots.halted.clone()
            one.step()
            taken += one.slots.inputs[free].tolist()
        assert len(taken) == one.drawn()
    shorter = min(len(rows) for rows in seen.values())
    assert len(seen["transformer"]) == 16
    assert shorter < 16  # the recursive model keeps its puzzles longer
    assert seen["trm-mlp"][:shorter] == seen["transformer"][:shorter]


@pytest.mark.parametrize("name", ["trm-mlp", "transformer"])
def test_budgets_are_matched_on_their_axis(name: str) -> None:
    on_steps = trainer(name, steps(9)).run(quiet())
    assert on_steps.steps == 9
    on_examples = trainer(name, steps(30, Match.EXAMPLES)).run(quiet())
    assert 30 <= on_examples.draws < 34
    probe = trainer(name, steps(1))
    amount = 7.5 * probe.flops.training_step * 4
    on_flops = trainer(name, steps(int(amount), Match.FLOPS)).run(quiet())
    assert on_flops.steps == 8
    assert on_flops.flops == pytest.approx(8 * 4 * probe.flops.training_step)


def test_the_learning_rate_warms_up_linearly_and_then_stays() -> None:
    one = trainer("transformer", steps(40), warmup=10)
    rates = []
    for _ in range(14):
        rates.append(one.lr_scale())
        one.step()
    assert rates[:10] == pytest.approx([(t + 1) / 10 for t in range(10)])
    assert rates[10:] == [1.0] * 4


def test_a_cosine_ends_at_the_stated_share() -> None:
    one = trainer("transformer", steps(20), warmup=0, min_lr_ratio=0.1)
    one.run(quiet())
    assert one.lr_scale() == pytest.approx(0.1)


def test_metrics_and_validation_are_reported_and_validation_uses_the_average() -> None:
    one = trainer("trm-mlp", steps(40), validations=4)
    lines: list[Mapping[str, float]] = []
    weights: list[Tensor] = []

    def validate(model: Reasoner) -> Mapping[str, float]:
        weights.append(next(model.parameters()).detach().clone())
        return {"validation_exact": 0.5}

    one.run(Watcher(lines.append, validate))
    curve = [line["step"] for line in lines if "validation_exact" in line]
    assert curve == [10, 20, 30, 40]
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    raw = next(one.model.parameters()).detach().clone()
    assert not torch.equal(weights[-1], raw)
    one.settle()
    assert torch.equal(weights[-1], next(one.model.parameters()))


class Counting(Reasoner):
    """Says halt from the second step on for odd first tokens; predicts the number of the step."""

    supervision_steps = 4
    halting = Halting.HALT_LOGIT

    def initial_state(self, batch: int) -> State:
        return (torch.zeros(batch, dtype=torch.int64),)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        step = state[0] + 1
        logits = torch.nn.functional.one_hot(step, 6).float().unsqueeze(1).expand(-1, inputs.shape[1], -1)
        odd = inputs[:, 0] % 2 == 1
        q_halt = torch.where(odd & (step >= 2), 1.0, -1.0)
        return (step,), Output(logits, q_halt)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_inference_runs_every_step_and_notes_where_the_model_would_have_stopped(batch: int) -> None:
    test = puzzles(10)
    model = Counting().train()
    predictions = predict(model, test, InferenceConfig(CPU, batch_size=batch))
    assert (predictions.tokens == 4).all()
    assert predictions.steps == 4
    odd = test.inputs[:, 0] % 2 == 1
    assert (predictions.halt_steps == np.where(odd, 2, 4)).all()
    assert np.allclose(predictions.halt_probability, 1 / (1 + np.exp(np.where(odd, -1.0, 1.0))))
    assert model.training


@pytest.mark.parametrize("name", list(MODELS))
def test_predictions_do_not_depend_on_the_batch(name: str) -> None:
    torch.manual_seed(0)
    model, test = MODELS[name](), puzzles(7)
    whole = predict(model, test, InferenceConfig(CPU, batch_size=7))
    single = predict(model, test, InferenceConfig(CPU, batch_size=1))
    assert np.array_equal(whole.tokens, single.tokens)


@pytest.mark.parametrize("name", list(MODELS))
def test_bf16_reaches_every_weight_in_spite_of_the_cycles_without_gradient(name: str) -> None:
    """A weight that autocast casts where no gradient flows must be cast again where one does."""
    one = trainer(name, steps(1), precision="bf16")
    before = [parameter.detach().clone() for parameter in one.model.parameters()]
    one.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, one.model.parameters(), strict=True)]
    names = [name for name, _ in one.model.named_parameters()]
    unmoved = [name for name, flag in zip(names, moved, strict=True) if not flag]
    assert unmoved == []


def test_divergence_is_named_with_its_step() -> None:
    with pytest.raises(TrainingDiverged, match="at optimiser step 4; try a smaller learning rate"):
        trainer("exploding", steps(20), ema=0).run(quiet())

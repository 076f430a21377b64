"""EqR: TRM without its three changes, its random numbers, and its choice by the residual."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.models import resolve
from support.options import gradients, supervised
from support.training import CPU, INFO, MODELS, SMALL, puzzles, steps, trainer
from torch import Tensor
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.rollouts import Rollouts, Select
from trm_bench.harness.inference.inference import Depths, InferenceConfig, infer
from trm_bench.harness.inference.rollouts import Residual
from trm_bench.harness.nn.init import truncated
from trm_bench.harness.training.costs import count_flops, count_parameters
from trm_bench.plugins.eqr.config import EqRConfig
from trm_bench.plugins.eqr.model import EqR
from trm_bench.testing import check_model
from trm_bench.trm.config import TRMConfig
from trm_bench.trm.model import TRM

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {**SMALL, "blocks": 1, "cycles": 2, "updates": 2, "supervision": 3}
PLAIN = {"start": "fixed", "damping": 0, "noise": 0}
MIXERS = ("attention", "mlp")


def eqr(**options: Any) -> EqR:
    torch.manual_seed(0)
    return EqR(EqRConfig(**{**SIZES, **options}), INFO)


@pytest.mark.parametrize("mixer", MIXERS)
def test_without_its_changes_it_is_trm_without_a_prefix(mixer: str) -> None:
    ours = eqr(mixer=mixer, **PLAIN)
    theirs = TRM(TRMConfig(**SIZES, mixer=mixer, puzzle_emb_len=0), INFO)
    theirs.load_state_dict(ours.state_dict())
    assert not ours.stochastic
    states = [ours.initial_state(3), theirs.initial_state(3)]
    for _ in range(2):
        (mine, output), (other, expected) = supervised(ours, states[0]), supervised(theirs, states[1])
        assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
        assert torch.equal(output.logits, expected.logits)
        assert output.q_halt is not None
        assert expected.q_halt is not None
        assert torch.equal(output.q_halt, expected.q_halt)
        found, wanted = gradients(ours, output), gradients(theirs, expected)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        states = [mine, other]


def test_without_a_prefix_the_state_is_the_cells_and_q_is_read_at_the_first() -> None:
    model = eqr(**PLAIN)
    assert model.embed.puzzle is None
    assert model.heads.q is not None
    torch.nn.init.normal_(model.heads.q.weight)
    seen: list[Tensor] = []
    model.heads.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    _, output = supervised(model)
    assert seen[0].shape == (3, INFO.cells, SMALL["hidden"])
    assert output.q_halt is not None
    assert torch.allclose(output.q_halt, model.heads.q(seen[0][:, 0])[:, 0])


def test_an_update_is_damped_and_noisy() -> None:
    model = eqr(damping=0.25, noise=0.5)
    latent, inject = torch.randn(2, 400, INFO.cells, SMALL["hidden"])
    with torch.no_grad():
        noise = (model.update(latent, inject) - 0.25 * latent - 0.75 * model.net(latent, inject)) / 0.5
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


def test_a_random_start_is_new_for_every_puzzle_and_cell() -> None:
    torch.manual_seed(0)
    y, z = eqr().initial_state(5000)
    assert not torch.equal(y, z)
    for part in (y, z):
        assert len(part[:, 0, 0].unique()) > 4900
        assert len(part[0, :, 0].unique()) == INFO.cells
        assert float(part.std()) == pytest.approx(1, abs=0.01)
        assert float(part.abs().max()) <= 2 / 0.8796 + 1e-3


def test_truncated_numbers_keep_their_quantiles() -> None:
    points = truncated(torch.tensor([-40.0, -1.0, 0.0, 1.0, 40.0]), 0.5)
    edge = 0.5 * 2 / 0.87962566
    assert points.tolist() == pytest.approx([-edge, float(points[1]), 0, -float(points[1]), edge], abs=1e-5)
    # Φ of the normal before the cut: 0.0228 + 0.9545 · Φ(1)
    inside = torch.special.ndtr(points[3] / edge * 2)
    assert float(inside) == pytest.approx(0.02275 + 0.9545 * 0.841345, abs=1e-4)


@pytest.mark.parametrize("damping", [0, 0.05])
def test_at_a_fixed_point_the_residual_is_zero(damping: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = eqr(start="fixed", damping=damping, noise=0).eval()
    goal = torch.randn(SMALL["hidden"])
    monkeypatch.setattr(model.net, "forward", lambda a, inject: goal.expand_as(a))
    residual, state = Residual(), tuple(goal.expand(3, INFO.cells, -1) for _ in range(2))
    with torch.no_grad():
        for _ in range(2):
            state, output = supervised(model, state)
            residual.add(output.logits)
    assert residual.value(3).abs().max() < 1e-6


def tokens(rollouts: Rollouts, batch: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Which answer counted for each puzzle, and every answer."""
    model = eqr(noise=0.5, mixer="mlp")
    config = InferenceConfig(device=CPU, batch_size=batch, precision="float32")
    read = infer(model, puzzles(12), config, Depths((3,)), rollouts=rollouts)[-1]
    assert read.predictions.rollouts is not None
    return read.predictions.tokens, read.predictions.rollouts


def test_the_residual_chooses_one_of_the_answers_whatever_the_batch() -> None:
    chosen, every = tokens(Rollouts(count=3, select=Select.RESIDUAL))
    assert len(every) == 12
    again, _ = tokens(Rollouts(count=3, select=Select.RESIDUAL), batch=100)
    assert np.array_equal(chosen, again)
    first, _ = tokens(Rollouts(count=3))
    assert not np.array_equal(chosen, first)


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_training_step_moves_every_weight(
    mixer: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "eqr", lambda: eqr(mixer=mixer))
    one = trainer("eqr", steps(1), precision=precision, weight_decay=0)
    before = {name: weight.detach().clone() for name, weight in one.model.named_parameters()}
    loss = one.step()
    assert bool(torch.as_tensor(loss.total).isfinite())
    after = dict(one.model.named_parameters())
    unmoved = [name for name, weight in before.items() if torch.equal(weight, after[name])]
    assert unmoved == []


@pytest.mark.parametrize("name", ["eqr-att", "eqr-mlp", "eqr[start=fixed]", "eqr[start=fixed,noise=0]"])
def test_it_conforms(name: str) -> None:
    check_model(name)


@pytest.mark.parametrize("scale", ["mini", "small", "paper"])
@pytest.mark.parametrize("mixer", ["att", "mlp"])
def test_its_sizes_and_training_settings_are_trm_s(mixer: str, scale: str) -> None:
    task = TaskInfo("sudoku-extreme", scale, 6, 6, 8)
    ours, theirs = resolve(f"eqr-{mixer}", task), resolve(f"trm-{mixer}[puzzle_emb_len=0]", task)
    searched = {"lr", "weight_decay"} if scale == "mini" else set()  # for EqR itself, at mini
    assert ours.training.model_dump(exclude=searched) == theirs.training.model_dump(exclude=searched)
    assert ours.notes == ()
    assert count_parameters(ours.shapes(task)) == count_parameters(theirs.shapes(task))
    assert count_flops(ours.shapes(task), task.cells) == count_flops(theirs.shapes(task), task.cells)


@pytest.mark.parametrize("name", ["eqr", "trm"])
def test_on_maze_unique_it_and_trm_have_the_published_size(name: str) -> None:
    task = TaskInfo("maze-unique", "paper", 30, 30, 6)
    model = resolve(name, task)
    assert model.part.spec.name == f"{name}-att"
    assert count_parameters(model.shapes(task))[0] == pytest.approx(0.26e6, rel=0.03)


def test_it_takes_the_width_that_makes_it_as_large_as_another() -> None:
    task = TaskInfo("sudoku-extreme", "mini", 6, 6, 8)
    assert "core" not in resolve("eqr[match=hrm]", task).notes[0]
    assert resolve("eqr[match=hrm]", task).config.hidden > 48  # type: ignore[attr-defined]

"""Optimiser, clipping and checkpoints as a training uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.training import MODELS, quiet, steps, trainer
from trm_bench.harness.api.errors import TrainingDiverged, UsageError
from trm_bench.harness.training.checkpoint import read_checkpoint, write_checkpoint
from trm_bench.harness.training.trainer import Trainer, Watcher

pytestmark = pytest.mark.usefixtures("one_thread")
MUON: dict[str, Any] = {"optimizer": "muon", "clip": 0.5, "min_lr_ratio": 0.1}


def losses(one: Trainer, count: int) -> list[float]:
    return [float(one.step().total.detach()) for _ in range(count)]


@pytest.mark.parametrize("name", list(MODELS))
def test_muon_moves_every_weight_at_the_first_step(name: str) -> None:
    one = trainer(name, steps(1), **MUON)
    before = {name: p.detach().clone() for name, p in one.model.named_parameters()}
    one.step()
    assert [name for name, p in one.model.named_parameters() if torch.equal(p, before[name])] == []


def test_options_change_the_training_and_their_defaults_do_not() -> None:
    plain, *others = (
        losses(trainer("trm-mlp", steps(6), **more), 6)
        for more in (
            {},
            {"optimizer": "adam-atan2", "clip": 0},
            {"clip": 1e9},
            {"clip": 1e-3},
            {"optimizer": "muon"},
        )
    )
    assert others[0] == others[1] == plain
    assert others[2] != plain != others[3]


def test_the_schedule_is_that_of_both_optimisers() -> None:
    one = trainer("trm-att", steps(12), warmup=4, **MUON)
    rates = []
    for _ in range(12):
        scale = one.lr_scale()
        one.step()
        parts = (one.optimiser.adam, one.optimiser.muon)
        used = {part.param_groups[0]["lr"] for part in parts if part is not None}
        assert used == {one.config.lr * scale}
        rates.append(scale)
    assert rates[0] < rates[3] > rates[-1]


@pytest.mark.parametrize("stop", range(7))
def test_a_training_with_muon_that_is_resumed_is_the_whole_one(stop: int, tmp_path: Path) -> None:
    whole, first, second = (trainer("trm-mlp", steps(7), **MUON) for _ in range(3))
    expected = losses(whole, 7)
    before = losses(first, stop)
    write_checkpoint(tmp_path / "checkpoint.pt", {"trainer": first.state()})
    losses(second, 2)  # what is restored replaces this
    saved = read_checkpoint(tmp_path / "checkpoint.pt")
    assert saved is not None
    second.restore(saved["trainer"])
    assert before + losses(second, 7 - stop) == expected
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_graph_refuses_muon() -> None:
    with pytest.raises(
        UsageError, match="graph=true goes with optimizer=adam-atan2, not with optimizer=muon"
    ):
        trainer("trm-mlp", steps(1), graph=True, optimizer="muon")


# --- what a checkpoint may hold --------------------------------------------------------------------


def unwatched(one: Trainer) -> Trainer:
    """A trainer that does not look at the loss of every step, as on an accelerator."""
    one.device = torch.device("meta")
    return one


def test_a_diverged_training_is_not_saved_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    one = unwatched(trainer("exploding", steps(1000), ema=0))  # a line of metrics every ten steps
    path = tmp_path / "checkpoint.pt"

    def save(step: int) -> None:
        write_checkpoint(path, {"trainer": one.state()})

    with pytest.raises(TrainingDiverged, match="the loss is nan at optimiser step 4"):
        one.run(Watcher(lambda line: None, lambda model: {}, save, due=lambda step: True))
    saved = read_checkpoint(path)
    assert saved is not None
    assert saved["trainer"]["steps"] == 3
    assert all(torch.isfinite(weight).all() for weight in saved["trainer"]["model"].values())


def test_a_stop_after_divergence_is_a_divergence() -> None:
    one = unwatched(trainer("exploding", steps(1000), ema=0))
    saving = Watcher(
        lambda line: None, lambda model: {}, lambda step: one.state() and None, stop=lambda: one.steps == 6
    )
    with pytest.raises(TrainingDiverged, match="at optimiser step 6"):
        one.run(saving)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_are_looked_at_too_as_the_loss_shows_it_a_step_later(number: float) -> None:
    one = trainer("trm-mlp", steps(5))
    losses(one, 2)
    with torch.no_grad():
        one.model.get_parameter("heads.answer.weight")[1, 2] = number
    with pytest.raises(
        TrainingDiverged, match=r"weight heads\.answer\.weight is not finite after optimiser step 2"
    ):
        one.state()


def test_a_good_state_is_saved_right_after_a_line_of_metrics() -> None:
    one = trainer("trm-mlp", steps(20))
    one.run(quiet())
    assert float(one.average.sums[0]) == 0  # nothing to look at since
    assert one.state()["steps"] == 20

"""Two processes that train one run by gloo, against one: the same draws, the same losses but for rounding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from support.group import BATCH, Pair, Trained, pair_of_processes, predictions, run_to_the_end, train
from support.training import MODELS
from trm_bench.harness.inference.inference import Read
from trm_bench.harness.training.group import ALONE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
STEPS = 12
FIRST, LATER = 1e-6, 1e-3
"""Relative differences of losses: in the first five steps, and later, when rounding has grown."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair_of_processes(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


def equal_but_for_rounding(one: Trained, other: Trained) -> None:
    """Draws and slots to the bit, losses within rounding."""
    assert other.losses[:5] == pytest.approx(one.losses[:5], rel=FIRST)
    assert other.losses == pytest.approx(one.losses, rel=LATER)
    for name in ("inputs", "targets", "puzzle_ids", "may_halt", "steps", "halted", "drawn"):
        assert torch.equal(one.slots[name], other.slots[name]), name


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one if key not in ("seconds", "devices")
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("name", list(MODELS))
def test_two_processes_are_to_the_bit_one_that_takes_the_batch_in_two_portions(name: str, pair: Pair) -> None:
    alone = train(ALONE, name, STEPS, microbatch=BATCH // 2)
    first, _ = pair.both(train, name, STEPS)
    assert first.losses == pytest.approx(alone.losses, rel=1e-12)  # which only the log adds up
    for part in ("model", "optimiser", "ema", "slots"):
        assert same(first.state[part], alone.state[part]), part


@pytest.mark.parametrize("settings", [{}, {"microbatch": 3, "clip": 0.5}], ids=["whole", "portions"])
@pytest.mark.parametrize("name", list(MODELS))
def test_two_processes_train_as_one_does(name: str, settings: dict[str, Any], pair: Pair) -> None:
    alone = train(ALONE, name, STEPS, **settings)
    first, second = pair.both(train, name, STEPS, **settings)
    equal_but_for_rounding(alone, first)
    assert first.losses == second.losses
    assert same(first.state, second.state)  # replicas hold the same bits


def test_urm_trains_in_two_processes_as_in_one(pair: Pair) -> None:
    alone = train(ALONE, "urm", STEPS)
    first, second = pair.both(train, "urm", STEPS)
    equal_but_for_rounding(alone, first)
    assert same(first.state, second.state)


def test_a_stochastic_model_is_the_same_in_both_and_resumes_to_the_bit(pair: Pair) -> None:
    together, second = pair.both(train, "eqr", STEPS)
    assert together.losses == second.losses
    assert same(together.state, second.state)
    saved, _ = pair.both(train, "eqr", 5)
    resumed, _ = pair.both(train, "eqr", STEPS - 5, saved.state)
    assert saved.losses + resumed.losses == together.losses
    assert same(resumed.state["model"], together.state["model"])


def test_matrices_that_muon_trains_are_the_same_in_both(pair: Pair) -> None:
    alone = train(ALONE, "trm-mlp", STEPS, optimizer="muon")
    first, second = pair.both(train, "trm-mlp", STEPS, optimizer="muon")
    assert first.losses[:5] == pytest.approx(alone.losses[:5], rel=1e-3)  # it iterates in bf16
    assert same(first.state, second.state)


@pytest.mark.parametrize("name", ["trm-att", "hrm"])
def test_a_row_that_both_look_up_has_one_update_from_both(name: str, pair: Pair) -> None:
    alone = train(ALONE, name, STEPS, rows=3)
    first, second = pair.both(train, name, STEPS, rows=3)
    equal_but_for_rounding(alone, first)
    assert same(first.state, second.state)
    (table,) = (key for key in alone.model if key.endswith("puzzle.table"))
    assert torch.equal(first.model[table], alone.model[table])
    assert (alone.model[table].abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", ["trm-att", "hrm"])
def test_what_any_number_saved_any_number_resumes(name: str, pair: Pair) -> None:
    alone = train(ALONE, name, STEPS)
    (together, _) = pair.both(train, name, STEPS)
    saved_by_one = train(ALONE, name, 5)
    (saved_by_two, _) = pair.both(train, name, 5)
    (resumed_by_two, _) = pair.both(train, name, STEPS - 5, saved_by_one.state)
    resumed_by_one = train(ALONE, name, STEPS - 5, saved_by_two.state)
    (as_before, _) = pair.both(train, name, STEPS - 5, saved_by_two.state)
    for start, rest in ((saved_by_one, resumed_by_two), (saved_by_two, resumed_by_one)):
        equal_but_for_rounding(alone, Trained(start.losses + rest.losses, rest.state))
    for part in ("model", "optimiser", "ema", "slots"):
        assert same(as_before.state[part], together.state[part]), part  # the same number: to the bit
    assert saved_by_two.losses + as_before.losses == together.losses
    assert {key: type(value) for key, value in saved_by_two.state.items()} == {
        key: type(value) for key, value in saved_by_one.state.items()
    }
    assert resumed_by_two.state["average"] == pytest.approx(alone.state["average"], rel=LATER)


# --- decided together ------------------------------------------------------------------------------


def test_lines_of_metrics_are_those_of_the_whole_batch(pair: Pair) -> None:
    alone = run_to_the_end(ALONE, "trm-mlp")
    first, second = pair.both(run_to_the_end, "trm-mlp")
    assert first == second
    assert [line["step"] for line in first.lines] == [line["step"] for line in alone.lines]
    for one, other in zip(alone.lines[:5], first.lines[:5], strict=True):
        assert other == pytest.approx(one, rel=FIRST)
    assert [line.get("draws") for line in first.lines] == [line.get("draws") for line in alone.lines]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_stop_that_one_hears_stops_both_with_one_checkpoint(rank: int, pair: Pair) -> None:
    for told in pair.both(run_to_the_end, "trm-mlp", stop=(rank, 17)):
        assert (told.ended, told.saved) == ("stopped", [17])


def test_both_save_when_the_first_one_wants_to(pair: Pair) -> None:
    for told in pair.both(run_to_the_end, "trm-mlp", due=9):
        assert (told.ended, told.saved) == ("done", [9])


def test_a_loss_that_is_not_finite_in_one_ends_both(pair: Pair) -> None:
    for told in pair.both(run_to_the_end, "trm-mlp", spoil="loss"):
        assert "the loss is nan at optimiser step 10" in told.ended


def test_weights_that_drift_apart_are_named_with_the_step(pair: Pair) -> None:
    for told in pair.both(run_to_the_end, "trm-mlp", spoil="weights"):
        assert "process 1 of 2 has other weights than process 0 after optimiser step 10 (" in told.ended


# --- evaluation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("halting", [False, True])
@pytest.mark.parametrize("votes", [False, True])
def test_predictions_are_those_of_one_process(votes: bool, halting: bool, pair: Pair) -> None:
    alone = predictions(ALONE, "trm-att", votes, halting)
    for reads in pair.both(predictions, "trm-att", votes, halting):
        for one, other in zip(alone, reads, strict=True):
            assert arrays(one).keys() == arrays(other).keys()
            for name, values in arrays(one).items():
                assert np.array_equal(values, arrays(other)[name], equal_nan=values.dtype.kind == "f"), name


def arrays(read: Read) -> dict[str, np.ndarray[Any, Any]]:
    """Everything that was read, but for the time."""
    fields = {**vars(read.predictions), "stopped": read.stopped, "steps": np.array(read.steps)}
    ballots = fields.pop("ballots")
    fields |= {} if ballots is None else vars(ballots)
    return {name: np.asarray(value) for name, value in fields.items() if value is not None}


def test_fewer_batches_than_processes_are_predicted_all_the_same(pair: Pair) -> None:
    alone = predictions(ALONE, "trm-mlp", False, False, batch=100)
    for reads in pair.both(predictions, "trm-mlp", False, False, batch=100):
        assert np.array_equal(reads[-1].predictions.tokens, alone[-1].predictions.tokens)

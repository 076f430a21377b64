"""Batches in portions, and blocks computed again: the same training; and how the portions are chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.training import CPU, INFO, MODELS, numbered, steps, table, trainer
from torch import Tensor
from trm_bench.harness.api.errors import UnavailableError
from trm_bench.harness.api.reasoner import Output, Reasoner, State
from trm_bench.harness.training import microbatch
from trm_bench.harness.training.compiling import obstacle
from trm_bench.harness.training.config import ExecutionConfig, TrainingConfig
from trm_bench.harness.training.memory import ByPortion, Training, forecast
from trm_bench.harness.training.microbatch import Microbatch, choose_microbatch
from trm_bench.harness.training.trainer import Trainer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
BATCH, STEPS = 8, 12


def made(name: str, **settings: object) -> Trainer:
    return trainer(name, steps(STEPS, batch=BATCH), exploration=0.5, **settings)


def losses(one: Trainer) -> list[float]:
    return [float(one.step().total.detach()) for _ in range(STEPS)]


# --- the same training -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 4])
@pytest.mark.parametrize("name", list(MODELS))
def test_portions_train_as_the_whole_batch_does(name: str, size: int) -> None:
    """Draws, halting and rows of the puzzle embedding are equal; sums differ by rounding, which grows."""
    whole, parts = made(name), made(name, microbatch=size)
    for step in range(STEPS):
        a, b = whole.step(), parts.step()
        if step < 5:
            for one, other in zip(a.parts(), b.parts(), strict=True):
                assert torch.allclose(one.double(), other.double(), rtol=2e-6)
        for content in ("inputs", "targets", "puzzle_ids", "may_halt", "steps", "halted", "drawn"):
            assert torch.equal(getattr(whole.slots, content), getattr(parts.slots, content)), content
        if step == 4:
            assert all(map(close, whole.model.parameters(), parts.model.parameters()))
    assert torch.equal(table(whole), table(parts))
    assert table(whole).any()


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["trm-att", "hrm"])
def test_a_row_that_several_portions_look_up_has_one_update_from_all_of_them(name: str) -> None:
    whole, parts = numbered(made(name), 3), numbered(made(name, microbatch=3), 3)
    for _ in range(STEPS):
        whole.step()
        parts.step()
        assert torch.equal(table(whole), table(parts))
    assert (table(whole).abs().amax(1) > 0).all()


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", list(MODELS))
def test_blocks_computed_again_give_the_same_losses_and_weights_bit_for_bit(
    name: str, precision: str
) -> None:
    kept, again = made(name, precision=precision), made(name, precision=precision, recompute=True)
    assert losses(kept) == losses(again)
    assert all(map(torch.equal, kept.model.parameters(), again.model.parameters()))


@pytest.mark.slow
@pytest.mark.skipif(obstacle(CPU) is not None, reason=f"torch.compile: {obstacle(CPU)}")
@pytest.mark.parametrize("name", ["trm-mlp", "hrm"])
def test_compiled_blocks_computed_again_differ_by_no_more_than_rounding(name: str) -> None:
    for precision, first, most in (("float32", STEPS, 1e-4), ("bf16", 1, 5e-3)):
        torch._dynamo.reset()
        ways = [made(name, compile=True, precision=precision, recompute=flag) for flag in (False, True)]
        kept, again = (losses(one)[:first] for one in ways)
        assert kept == pytest.approx(again, rel=most)


# --- chosen by what is free ------------------------------------------------------------------------

FLOAT32 = TrainingConfig(precision="float32")
AUTO = ExecutionConfig(compile=False)


def chosen(
    monkeypatch: pytest.MonkeyPatch,
    free: int | None,
    model: Reasoner | None = None,
    execution: ExecutionConfig = AUTO,
    share: int | None = None,
    batch: int = 96,
) -> Microbatch:
    """The choice for HRM or another model where ``free`` bytes are free."""
    monkeypatch.setattr(microbatch, "free_memory", lambda device: free)
    model = MODELS["hrm"]() if model is None else model
    return choose_microbatch(model, INFO.cells, batch, FLOAT32, execution, CPU, share)


@pytest.fixture(scope="module")
def hrm() -> ByPortion:
    """Forecasts of HRM with a batch of 96."""
    return ByPortion(Training(MODELS["hrm"](), INFO.cells, 96, FLOAT32, "cpu"))


def resident() -> int:
    """Bytes of HRM that are there already, and so not free."""
    model = MODELS["hrm"]()
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def test_the_largest_divisor_of_the_batch_that_fits_is_chosen(
    monkeypatch: pytest.MonkeyPatch, hrm: ByPortion
) -> None:
    for free_for, expected in ((96, 96), (47, 32), (1, 2)):  # one takes as much as two
        choice = chosen(monkeypatch, hrm.at(free_for).total - resident())
        assert choice.puzzles == expected
        assert choice.memory == hrm.at(expected)
    whole = chosen(monkeypatch, 10**12)
    assert whole.reason == f"{hrm.at(96).total / 1e6:.2f} MB for the batch of 96"
    half = chosen(monkeypatch, hrm.at(50).total - resident())
    assert half.reason.startswith(
        f"{whole.reason}, {hrm.at(50).total / 1e6:.2f} MB free: in portions of 48 ("
    )


def test_a_run_that_was_given_a_share_of_the_memory_keeps_to_it(
    monkeypatch: pytest.MonkeyPatch, hrm: ByPortion
) -> None:
    free = hrm.at(96).total
    assert chosen(monkeypatch, free).puzzles == 96
    assert chosen(monkeypatch, free, share=hrm.at(48).total).puzzles == 48
    assert chosen(monkeypatch, free, share=hrm.at(48).total - 1).puzzles == 32


def test_a_requested_microbatch_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for requested, expected in ((7, 7), (500, 96)):
        execution = ExecutionConfig(microbatch=requested)
        assert chosen(monkeypatch, 1, execution=execution) == Microbatch(
            expected, f"portions of {expected} as requested"
        )


def test_where_free_memory_is_not_known_the_whole_batch_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, None) == Microbatch(96, "not forecast: what is free on cpu is not known")


class Reading(Reasoner):
    """Its forward pass depends on its numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(INFO.vocab_size, INFO.vocab_size)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        logits = self.embed(inputs)
        return state, Output(logits if float(logits.detach().sum()) > 0 else -logits)


def test_a_model_that_cannot_be_forecast_trains_with_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen(monkeypatch, 1, Reading())
    assert (choice.puzzles, choice.memory) == (96, None)
    assert choice.reason == "not forecast: its forward pass reads numbers, which a forecast does not have"


def test_what_does_not_fit_is_refused_with_what_is_needed_and_free_and_what_to_try(
    monkeypatch: pytest.MonkeyPatch, hrm: ByPortion
) -> None:
    with pytest.raises(UnavailableError) as refused:
        chosen(monkeypatch, 1000)
    message = str(refused.value)
    least = hrm.at(1)
    assert message.startswith(
        f"training HRM needs {least.total / 1e3:.0f} KB even with 2 puzzles in memory at a time, and "
    )
    assert f"96 slots {least.slots / 1e3:.0f} KB" in message
    assert message.endswith("a smaller batch_size does not help; use another device")
    without = replace(least, slots=0).reserved_for("cpu").total
    with pytest.raises(UnavailableError, match=r"a smaller --set batch_size .* or another device"):
        chosen(monkeypatch, without - resident() + 1)


def test_computing_again_is_advised_where_it_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["trm-mlp"]()
    settings = Training(model, INFO.cells, 2, FLOAT32, "cpu")
    plain, again = (forecast(replace(settings, recompute=flag)).total for flag in (False, True))
    present = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    with pytest.raises(UnavailableError, match=r"--set recompute=true needs \d+ KB in portions of 2"):
        chosen(monkeypatch, (plain + again) // 2 - present, model, batch=2)
    execution = ExecutionConfig(compile=False, recompute=True)
    assert chosen(monkeypatch, (plain + again) // 2 - present, model, execution, batch=2).puzzles == 2

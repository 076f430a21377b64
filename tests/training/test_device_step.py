"""What a training step may not do on an accelerator, shown without one.

Two stand-ins: PyTorch's meta device holds no numbers, so it refuses every question whose answer would have
to be fetched from it, and refuses tensors of another device; a recording of a step's operations, played again
over the same tensors, is what a CUDA graph does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from support.training import CPU, MODELS, steps, trainer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from trm_bench.harness.api.budget import Match
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.nn.blocks import Stack
from trm_bench.harness.nn.embedding import PuzzleEmbedding
from trm_bench.harness.nn.optim import SignSGD
from trm_bench.harness.training.cuda_graph import repeated
from trm_bench.harness.training.device import autocast
from trm_bench.harness.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")
META = torch.device("meta")
HALF = {"exploration": 0.5}


# --- no host, no second device ---------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MODELS))
def test_a_step_reads_nothing_from_the_device_and_stays_on_it(name: str) -> None:
    one = trainer(name, steps(5), device=META, **HALF)
    for _ in range(2):
        loss = one._on_device()
    assert {part.device for part in vars(loss).values()} == {META}
    assert all(part.device == META for part in one.slots.state)


def test_the_stand_in_refuses_a_question_to_the_device_and_a_mixture_of_two() -> None:
    there = torch.ones(3, device=META)
    with pytest.raises(RuntimeError, match="meta tensors"):
        float(there.sum())
    with pytest.raises(RuntimeError, match="device cpu is not on the expected device meta"):
        there + torch.ones(3)


# --- the same work in the same memory --------------------------------------------------------------


class Recording(TorchDispatchMode):
    """Notes every operation; `play` does them again, each into the memory that it wrote before."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.noted.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def play(self) -> None:
        for func, args, kwargs, result in self.noted:
            again = func(*args, **kwargs)
            tree_map(_rewrite, result, again)


def _rewrite(old: Any, new: Any) -> None:
    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
        old.copy_(new)


def graphed(one: Trainer, plain: int) -> Iterator[float]:
    """Losses of a trainer whose step is recorded once, after ``plain`` calls, and played from then on."""
    step = one._on_device
    recording = Recording()
    calls = 0
    kept: Any = None

    def work() -> Any:
        nonlocal calls, kept
        calls += 1
        if calls <= plain:
            return step()
        if calls == plain + 1:
            with recording:
                kept = step()
        else:
            recording.play()
        return kept

    one._work = work
    while True:
        yield float(one.step().total.detach())


@pytest.mark.parametrize("name", list(MODELS))
def test_a_recorded_step_played_again_is_the_step(name: str) -> None:
    """Nothing that changes from step to step is a number of the host, and nothing moves in memory."""
    settings = {"warmup": 8, "min_lr_ratio": 0.1, "clip": 0.5, **HALF}
    plain, played = (trainer(name, steps(14), **settings) for _ in range(2))
    expected = [float(plain.step().total.detach()) for _ in range(14)]
    losses = graphed(played, plain=3)
    assert [next(losses) for _ in range(14)] == expected
    assert played.drawn() == plain.drawn()
    assert played.average.values() == plain.average.values()
    for one in (plain, played):
        one.settle()
    for a, b in zip(plain.model.state_dict().values(), played.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_stand_in_sees_a_number_of_the_host_that_changes() -> None:
    """As the learning rate was, before it lay on the device."""
    weight, recording = torch.ones(1), Recording()
    with recording:
        weight -= 0.5
    recording.play()
    assert weight.item() == 0.0  # the recorded number, whatever the host's is by then


def test_a_graph_needs_cuda_and_says_so() -> None:
    with pytest.raises(UsageError, match="graph=true needs --device cuda: cpu has no graphs"):
        repeated(lambda: None, CPU)


# --- precision -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MODELS))
def test_under_bf16_everything_between_the_products_is_bf16(name: str) -> None:
    one = trainer(name, steps(1), precision="bf16")
    seen: set[torch.dtype] = set()
    for module in one.model.modules():
        if isinstance(module, Stack):
            module.register_forward_hook(lambda _m, given, gave: seen.update({given[0].dtype, gave.dtype}))
    one.step()
    assert seen == {torch.bfloat16}
    assert {part.dtype for part in one.slots.state} <= {torch.bfloat16}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_bf16_losses_are_close_to_those_of_float32(name: str) -> None:
    wide, narrow = (trainer(name, steps(20), precision=word) for word in ("float32", "bf16"))
    a, b = ([float(one.step().total.detach()) for _ in range(20)] for one in (wide, narrow))
    assert b[:2] == pytest.approx(a[:2], rel=0.01)
    assert sum(b) == pytest.approx(sum(a), rel=0.01)
    assert b != a


def test_gradients_of_repeated_uses_are_added_in_float32() -> None:
    """A weight used k times: rounded once per use, never the sum."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    with autocast(CPU, "bf16"):
        with torch.no_grad():
            layer(torch.ones(1, 1))
        parts = [layer(torch.tensor([[x]])) for x in (256.0, 1.0)]
    sum(part.float().sum() for part in parts).backward()  # type: ignore[union-attr]
    assert layer.weight.grad is not None
    assert layer.weight.grad.item() == 257.0  # bfloat16 has no such number


# --- puzzle embeddings -----------------------------------------------------------------------------


def test_rows_that_a_batch_looks_up_twice_move_once_by_the_sign_of_their_sum() -> None:
    embedding = PuzzleEmbedding(4, 2).train()
    embedding.table += torch.arange(4.0).unsqueeze(1)
    rows = embedding(torch.tensor([2, 1, 2]))
    (rows * torch.tensor([[3.0, -1.0], [0.0, 1.0], [-1.0, -1.0]])).sum().backward()
    SignSGD([embedding], lr=0.5, weight_decay=0.1).step(0.5)
    kept = 1 - 0.5 * 0.1
    expected = [[0, 0], [kept, kept - 0.5], [2 * kept - 0.5, 2 * kept + 0.5], [3, 3]]
    assert torch.allclose(embedding.table, torch.tensor(expected))


def test_an_examples_budget_ends_at_its_draws() -> None:
    """They are counted on the device; a step takes four at most."""
    one = trainer("trm-mlp", steps(30, Match.EXAMPLES), **HALF)
    drawn = []
    while one.spent() < 1:
        one.step()
        drawn.append(one.drawn())
    assert drawn[-2] < 30 <= drawn[-1]

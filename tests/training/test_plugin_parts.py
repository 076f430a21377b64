"""What models of plugins may do with the parts of `trm_bench.nn`; what would be trained wrong is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.training import CPU
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from trm_bench.harness.api.errors import PluginError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Output, Reasoner, State, supervise
from trm_bench.harness.nn.optim import SignSGD
from trm_bench.harness.training.costs import count_flops
from trm_bench.harness.training.supervision import Slots

from trm_bench.nn import AttentionBlock, BlockConfig, InputEmbedding, PuzzleEmbedding, Stack

CONFIG = BlockConfig(hidden=16, heads=2, multiple=16)


class Dropping(AttentionBlock):
    """A block that draws random numbers."""

    def forward(self, x_BSD: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x_BSD), 0.5)


@pytest.mark.parametrize("block", [AttentionBlock, Dropping])
def test_recomputed_activations_have_the_same_random_numbers(block: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net, x = Stack(CONFIG, 2, 5, block), torch.randn(3, 5, 16, requires_grad=True)
    gradients = []
    for net.recompute in (False, True):
        torch.manual_seed(1)
        (found,) = torch.autograd.grad(net(x, x).square().sum(), x)
        gradients.append(found)
    assert torch.equal(*gradients)


class Carrying(Reasoner):
    """A model with a given state, and what becomes of it."""

    supervision_steps = 2

    def __init__(self, state: Tensor, change: Callable[[Tensor], Tensor] = lambda part: part):
        super().__init__()
        self.part, self.change = state, change
        self.head = nn.Linear(1, 3)

    def initial_state(self, batch: int) -> State:
        return (self.part.expand(batch, *self.part.shape[1:]),)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        return (self.change(state[0]),), Output(self.head(inputs[..., None].float()))


def test_a_start_state_that_is_to_be_trained_is_refused() -> None:
    with pytest.raises(PluginError, match="initial_state of Carrying: a state that is trained"):
        Slots(Carrying(nn.Parameter(torch.zeros(1, 4))), 2, 3, CPU)
    Slots(Carrying(torch.zeros(1, 4)), 2, 3, CPU)


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (torch.ones(1, 4, dtype=torch.int64), lambda part: part / 2),
        (torch.zeros(1, 4), lambda part: part[:, :1]),
        (torch.zeros(1, 4), lambda part: part > 0),
    ],
    ids=["fractions in whole numbers", "another shape", "booleans"],
)
def test_a_state_that_becomes_something_else_is_refused(
    state: Tensor, change: Callable[[Tensor], Tensor]
) -> None:
    model = Carrying(state, change)
    with pytest.raises(PluginError, match=r"forward of Carrying: the state is .*, and was .*; each part"):
        supervise(model, model.initial_state(2), torch.ones(2, 3, dtype=torch.int64), torch.zeros(2).long())
    low = Carrying(torch.zeros(1, 4), lambda part: part.bfloat16())  # its precision may differ
    supervise(low, low.initial_state(2), torch.ones(2, 3, dtype=torch.int64), torch.zeros(2).long())


def rows(lookup: Callable[[InputEmbedding, Tensor, Tensor], Tensor]) -> Tensor:
    """Sums of the rows of a puzzle embedding after one update."""
    torch.manual_seed(0)
    embed = InputEmbedding(CONFIG.model_copy(update={"puzzle_emb_len": 1}), TaskInfo("t", "mini", 1, 3, 4, 3))
    assert embed.puzzle is not None
    optimiser = SignSGD([embed.puzzle], lr=0.1, weight_decay=0.0)
    inputs, ids = torch.ones(2, 3, dtype=torch.int64), torch.tensor([0, 2])
    lookup(embed, inputs, ids).square().sum().backward()
    lookup(embed, inputs, ids).sum().backward()
    optimiser.step(0.1)
    assert embed.puzzle.looked_up == ()
    return embed.puzzle.table.abs().sum(dim=1)


def test_a_lookup_within_recomputed_activations_is_trained() -> None:
    plain = rows(lambda embed, inputs, ids: embed(inputs, ids))
    again = rows(lambda embed, inputs, ids: checkpoint(embed, inputs, ids, use_reentrant=False))
    assert plain[0] > 0
    assert plain[1] == 0
    assert torch.equal(plain, again)


def test_every_lookup_of_a_step_is_trained() -> None:
    embedding = PuzzleEmbedding(4, 2)
    optimiser = SignSGD([embedding], lr=0.1, weight_decay=0.0)
    (embedding(torch.tensor([0])).sum() + embedding(torch.tensor([3])).sum()).backward()
    optimiser.step(0.1)
    assert (embedding.table != 0).any(dim=1).tolist() == [True, False, False, True]


class Multiplying(Reasoner):
    """Products that are no plain matrix products."""

    supervision_steps = 1

    def __init__(self, product: nn.Module, width: int):
        super().__init__()
        self.product, self.head = product, nn.Linear(width, 4, bias=False)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        x = inputs[..., None].float().expand(*inputs.shape, self.head.in_features)
        return state, Output(self.head(self.product(x)))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Bilinear(8, 8, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x)  # type: ignore[no-any-return]


class ByVector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return x * (x @ self.weight)[..., None]


@pytest.mark.parametrize(("product", "inner"), [(Twice(), 8 * 8 * 8), (ByVector(), 8)])
def test_products_that_torch_does_not_count_are_counted(product: nn.Module, inner: int) -> None:
    cells, head = 3, 8 * 4
    assert count_flops(Multiplying(product, 8), cells).inference == 2 * cells * (inner + head)

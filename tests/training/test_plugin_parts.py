"""What models of plugins may do with the parts of `trm_bench.nn`; what would be trained wrong is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.training import CPU, MODELS, steps, trainer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from trm_bench.harness.api.errors import PluginError, UsageError
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Output, Reasoner, State, supervise
from trm_bench.harness.nn.optim import SignSGD
from trm_bench.harness.nn.precision import require_float32
from trm_bench.harness.training.costs import Flops, build_shapes, count_flops, count_parameters
from trm_bench.harness.training.supervision import Slots

from trm_bench.nn import AttentionBlock, BlockConfig, InputEmbedding, OutputHeads, PuzzleEmbedding, Stack

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


class OnGrid(nn.Module):
    """A convolution over a row of cells, or over a grid of two rows."""

    def __init__(self, convolution: nn.Module, rows: int):
        super().__init__()
        self.convolution, self.rows = convolution, rows

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        x = x.unflatten(2, (self.rows, -1)) if self.rows > 1 else x
        return self.convolution(x).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize(
    ("kind", "taps", "rows"),
    [
        (nn.Conv1d, 3, 1),
        (nn.Conv2d, 9, 2),
        (nn.ConvTranspose1d, 3, 1),
        (nn.ConvTranspose2d, 9, 2),
    ],
)
def test_a_convolution_costs_the_products_of_its_groups_in_both_directions(
    kind: Callable[..., nn.Module], taps: int, rows: int, groups: int
) -> None:
    cells, head = 6, 8 * 4
    layer = OnGrid(kind(8, 8, 3, padding=1, groups=groups, bias=False), rows)
    model = Multiplying(nn.Sequential(nn.Linear(8, 8, bias=False), layer), 8)  # so that its input is trained
    inner = taps * 8 * 8 // groups
    forward = 2 * cells * (8 * 8 + inner + head)
    # The input of the first layer is not trained.
    assert count_flops(model, cells) == Flops(3 * forward - 2 * cells * 8 * 8, forward)


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.complex64) @ torch.view_as_complex(self.weight)).real


def test_a_complex_product_is_four_real_ones() -> None:
    assert count_flops(Multiplying(Complex(), 8), 3).inference == 2 * 3 * (4 * 8 * 8 + 8 * 4)


# --- what shapes alone do not tell -------------------------------------------------------------------


class Island(nn.Module):
    """A part in float32, by the device's name."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.inner(x.float())  # type: ignore[no-any-return]


class Reading(Island):
    """Goes on as long as a number says, which is twice, and draws one."""

    def forward(self, x: Tensor) -> Tensor:
        left = 2.0 + 0 * float(torch.rand(()))
        while float(0 * x.detach().sum()) + left > 0:
            x, left = self.inner(x), left - 1
        return x


@pytest.mark.parametrize(("product", "inner"), [(Island, 8 * 8), (Reading, 2 * 8 * 8)])
def test_a_model_that_does_not_run_on_shapes_alone_is_counted_all_the_same(
    product: Callable[[], nn.Module], inner: int
) -> None:
    cells, head = 3, 8 * 4
    shapes = build_shapes(lambda task: Multiplying(product(), 8), TaskInfo("t", "mini", 1, cells, 4))
    before = torch.random.get_rng_state()
    for model in (shapes, Multiplying(product(), 8)):
        torch.random.set_rng_state(before)
        assert count_flops(model, cells).inference == 2 * cells * (inner + head)
        assert torch.equal(torch.random.get_rng_state(), before)
        assert all(parameter.grad is None for parameter in model.parameters())


def test_counting_with_numbers_does_not_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trm_bench.harness.training.costs.WITH_NUMBERS", 100)
    with pytest.raises(UsageError, match="forward reads numbers on the host; with numbers, two puzzles take"):
        count_flops(Multiplying(Reading(), 8), 3)


def test_gradients_that_a_plugin_switched_off_do_not_change_what_is_counted() -> None:
    model = Multiplying(nn.Linear(8, 8), 8)
    expected = count_flops(model, 3)
    with torch.no_grad():
        assert count_flops(model, 3) == expected


# --- parameters ----------------------------------------------------------------------------------------


def test_frozen_parameters_are_counted_nowhere() -> None:
    model, task = nn.Module(), TaskInfo("t", "mini", 1, 3, 4)
    model.embed, model.heads = InputEmbedding(CONFIG, task), OutputHeads(CONFIG, task, q=True)
    model.core = nn.Linear(5, 5, bias=False)
    _, io, _ = count_parameters(model)  # type: ignore[arg-type]
    model.embed.requires_grad_(False)
    assert count_parameters(model)[:2] == (25, io - 4 * 16)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (torch.bfloat16, "parameter weight is bfloat16; keep parameters in float32"),
        (torch.float16, "parameter weight is float16; keep parameters in float32"),
        (torch.complex64, "parameter weight is complex64, .*view_as_complex"),
    ],
)
def test_parameters_that_the_optimisers_would_move_wrongly_are_refused(
    dtype: torch.dtype, words: str
) -> None:
    with pytest.raises(PluginError, match=words):
        require_float32(nn.Linear(2, 2, dtype=dtype))
    require_float32(nn.Linear(2, 2, dtype=torch.float64))


def test_a_model_of_low_precision_is_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "low", lambda: Multiplying(nn.Linear(8, 8), 8).bfloat16())
    with pytest.raises(PluginError, match=r"parameter product\.weight is bfloat16"):
        trainer("low", steps(1))


def test_a_layer_without_a_shape_is_named() -> None:
    with pytest.raises(PluginError, match=r"parameter product\.weight has no shape yet: .*in build"):
        count_flops(Multiplying(nn.LazyLinear(8), 8), 3)

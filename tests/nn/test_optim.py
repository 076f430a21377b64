"""The optimiser of a training: which parameters Muon takes, what a step does, and clipping."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from support.training import MODELS
from torch import Tensor, nn
from trm_bench.harness.nn.optim import AdamATan2, Optimiser

LR, DECAY, BETAS = 0.02, 0.3, (0.9, 0.95)
Make = Callable[[list[nn.Parameter], float], Optimiser]


def parameters() -> list[nn.Parameter]:
    """Two matrices, a vector and a convolution's weight."""
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in ((6, 4), (3, 8), (5,), (4, 1, 2))]


def give_gradients(params: list[nn.Parameter], seed: int, scale: float = 1.0) -> None:
    torch.manual_seed(seed)
    for p in params:
        p.grad = scale * torch.randn(p.shape)


def stepped(optimiser: Optimiser, params: list[nn.Parameter], steps: int = 4, scale: float = 1.0) -> None:
    for t in range(steps):
        give_gradients(params, t, scale)
        optimiser.prepare(LR / (t + 1))
        optimiser.update()
        optimiser.zero_grad()


def muon(params: list[nn.Parameter], clip: float = 0.0) -> Optimiser:
    return Optimiser(params, LR, DECAY, BETAS, muon=True, clip=clip)


def adam(params: list[nn.Parameter], clip: float = 0.0) -> Optimiser:
    return Optimiser(params, LR, DECAY, BETAS, clip=clip)


def equal(a: list[nn.Parameter], b: list[nn.Parameter]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- Muon ------------------------------------------------------------------------------------------


def test_a_muon_step_is_torchs_for_matrices_and_adam_atan2_for_the_rest() -> None:
    ours, theirs = parameters(), parameters()
    stepped(muon(ours), ours)
    matrices = torch.optim.Muon(
        theirs[:2], LR, DECAY, momentum=0.95, nesterov=True, ns_steps=5, adjust_lr_fn="match_rms_adamw"
    )
    rest = AdamATan2(theirs[2:], LR, DECAY, BETAS)
    for t in range(4):
        give_gradients(theirs, t)
        for part in (matrices, rest):
            part.param_groups[0]["lr"] = LR / (t + 1)
            part.step()
    assert equal(ours, theirs)


@pytest.mark.parametrize("shape", [(24, 6), (6, 24), (9, 9)])
def test_the_size_of_a_muon_step_and_its_decay_are_those_of_urm(shape: tuple[int, int]) -> None:
    """p (1 − lr·wd) − lr · 0.2 · √max(rows, columns) · O, with O nearly orthogonal."""
    torch.manual_seed(1)
    p = nn.Parameter(torch.randn(shape))
    before = p.detach().clone()
    optimiser = muon([p])
    p.grad = torch.randn(shape)
    optimiser.prepare(LR)
    optimiser.update()
    moved = (before * (1 - LR * DECAY) - p.detach()) / (LR * 0.2 * math.sqrt(max(shape)))
    values = torch.linalg.svdvals(moved)
    assert len(values) == min(shape)
    assert 0.3 < float(values.min()) <= float(values.max()) < 1.4


@pytest.mark.parametrize("name", list(MODELS))
def test_muon_takes_every_matrix_and_no_parameter_is_left_out_or_taken_twice(name: str) -> None:
    model = MODELS[name]()
    optimiser = muon(list(model.parameters()))
    parts = [part for part in (optimiser.muon, optimiser.adam) if part is not None]
    taken = [id(p) for part in parts for group in part.param_groups for p in group["params"]]
    assert sorted(taken) == sorted(map(id, model.parameters()))
    assert optimiser.muon is not None
    by_muon = {id(p) for p in optimiser.muon.param_groups[0]["params"]}
    named = {name for name, p in model.named_parameters() if id(p) in by_muon}
    assert named == {name for name, p in model.named_parameters() if p.ndim == 2}
    assert {"embed.tokens.weight", "heads.answer.weight"} <= named  # as in the code of URM


@pytest.mark.parametrize("shapes", [[(3,), (5,)], [(2, 2, 2)], [(3, 4), (4, 3)]])
def test_a_model_may_have_only_matrices_or_none(shapes: list[tuple[int, ...]]) -> None:
    params = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    optimiser = muon(params)
    stepped(optimiser, params, steps=1)
    assert all((p != 1).all() for p in params)
    optimiser.load_state_dict(optimiser.state_dict())


def test_without_muon_the_step_is_adam_atan2_bit_for_bit() -> None:
    ours, theirs = parameters(), parameters()
    stepped(adam(ours), ours)
    plain = AdamATan2(theirs, LR, DECAY, BETAS)
    for t in range(4):
        give_gradients(theirs, t)
        plain.param_groups[0]["lr"] = LR / (t + 1)
        plain.step()
    assert equal(ours, theirs)


# --- clipping --------------------------------------------------------------------------------------


def norm(params: list[nn.Parameter]) -> float:
    grads: list[Tensor] = [p.grad for p in params if p.grad is not None]
    return math.sqrt(sum(float(grad.double().square().sum()) for grad in grads))


@pytest.mark.parametrize("make", [adam, muon])
def test_clip_bounds_the_norm_over_all_parameters_together(make: Make) -> None:
    params = parameters()
    optimiser = make(params, 0.5)
    give_gradients(params, 0)
    direction = [p.grad / norm(params) for p in params if p.grad is not None]
    optimiser.prepare(LR)
    optimiser.update()
    assert norm(params) == pytest.approx(0.5, rel=1e-5)
    for p, unit in zip(params, direction, strict=True):
        assert p.grad is not None
        assert torch.allclose(p.grad, 0.5 * unit, rtol=1e-4)


def test_a_gradient_below_the_bound_stays_and_by_default_there_is_no_bound() -> None:
    never, high, low = parameters(), parameters(), parameters()
    stepped(adam(never), never)
    stepped(adam(high, clip=1e3), high)
    assert equal(never, high)
    # A later gradient a thousand times as large counts less once it is clipped.
    for params, clip in ((never, 0.0), (low, 1.0)):
        optimiser = adam(params, clip)
        stepped(optimiser, params, steps=1)
        stepped(optimiser, params, steps=1, scale=1e3)
    assert not equal(never, low)


@pytest.mark.parametrize("make", [adam, muon])
def test_an_update_reads_nothing_from_the_device(make: Make) -> None:
    """The meta device refuses every question to it."""
    params = [nn.Parameter(torch.ones(p.shape, device="meta")) for p in parameters()]
    optimiser = make(params, 1.0)
    for p in params:
        p.grad = torch.ones_like(p)
    optimiser.prepare(LR)
    optimiser.update()

"""The shared parts: blocks, initialisation, losses, optimisers, parameter counts, FLOPs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Output, Reasoner
from trm_bench.harness.nn.blocks import Attention, Rotary, SwiGLU, rms_norm
from trm_bench.harness.nn.embedding import PuzzleEmbedding
from trm_bench.harness.nn.init import truncated_normal_
from trm_bench.harness.nn.loss import stablemax_cross_entropy, step_loss
from trm_bench.harness.nn.optim import EMA, AdamATan2, SignSGD
from trm_bench.harness.training.costs import build_shapes, count_flops, count_parameters
from trm_bench.hrm_baseline.config import HRMConfig
from trm_bench.hrm_baseline.model import HRM
from trm_bench.plugins.controls.config import LoopedConfig, TransformerConfig
from trm_bench.plugins.controls.copying import Copy
from trm_bench.plugins.controls.transformers import LoopedTransformer, Transformer
from trm_bench.trm.config import TRMConfig, TRMMLPConfig
from trm_bench.trm.model import TRM

SUDOKU = TaskInfo("sudoku-extreme", "paper", 9, 9, 11)
MAZE = TaskInfo("maze-hard", "paper", 30, 30, 6)
TINY = TaskInfo("tiny", "mini", 3, 4, 7)


def test_truncated_normal_has_the_wanted_spread_after_the_cut() -> None:
    torch.manual_seed(0)
    values = truncated_normal_(torch.empty(400_000), std=0.5)
    assert float(values.std()) == pytest.approx(0.5, rel=0.01)
    assert float(values.abs().max()) <= 2 * 0.5 / 0.8796 + 1e-3


def test_rms_norm_gives_unit_mean_square_and_keeps_the_type() -> None:
    x = torch.randn(3, 5, 8, dtype=torch.bfloat16) * 40
    normed = rms_norm(x)
    assert normed.dtype == torch.bfloat16
    assert torch.allclose(normed.float().square().mean(-1), torch.ones(3, 5), atol=0.02)


@pytest.mark.parametrize(("size", "inner"), [(512, 1536), (97, 512), (916, 2560), (48, 256)])
def test_swiglu_rounds_its_inner_size_up_to_a_multiple_of_256(size: int, inner: int) -> None:
    assert SwiGLU(size, 4.0, 256).down.in_features == inner


def test_rotary_keeps_lengths_and_depends_on_relative_positions_only() -> None:
    rotary = Rotary(positions=9, head_size=8)
    q, k = torch.randn(8), torch.randn(8)
    rotated_q = rotary(q.expand(1, 1, 9, 8))[0, 0]
    rotated_k = rotary(k.expand(1, 1, 9, 8))[0, 0]
    assert torch.allclose(rotated_q.norm(dim=-1), q.norm().expand(9), atol=1e-5)
    products = rotated_q @ rotated_k.T
    for offset in range(-8, 9):
        diagonal = products.diagonal(offset)
        assert torch.allclose(diagonal, diagonal[0].expand_as(diagonal), atol=1e-4)


def test_attention_names_an_odd_head_size() -> None:
    with pytest.raises(ValueError, match="hidden=48 over heads=16 must give an even head size, not 3"):
        Attention(48, 16, 4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.data())
def test_stablemax_is_the_negative_log_of_its_formula(values: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(1, len(values) - 1))
    s = [v + 1 if v >= 0 else 1 / (1 - v) for v in values]
    expected = -math.log(s[label] / sum(s))
    logits = torch.tensor([[values]], dtype=torch.float64)
    loss = stablemax_cross_entropy(logits, torch.tensor([[label]]))
    assert float(loss) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_padding_cells_are_not_scored() -> None:
    logits = torch.randn(1, 4, 5)
    targets = torch.tensor([[2, 0, 3, 0]])
    changed = logits.clone()
    changed[:, [1, 3]] += torch.randn(1, 2, 5) * 10
    assert torch.equal(stablemax_cross_entropy(logits, targets), stablemax_cross_entropy(changed, targets))
    sharp = nn.functional.one_hot(torch.tensor([[2, 4, 3, 4]]), 5).float()
    assert step_loss(Output(sharp), targets).right.tolist() == [True]


def test_step_loss_sums_over_the_batch_with_half_weight_on_halting() -> None:
    logits, targets = torch.randn(3, 4, 5), torch.randint(1, 5, (3, 4))
    q_halt, q_continue, target = torch.randn(3), torch.randn(3), torch.rand(3)
    loss = step_loss(Output(logits, q_halt, q_continue), targets, target)
    bce = nn.functional.binary_cross_entropy_with_logits
    expected_halt = bce(q_halt, loss.right.float(), reduction="sum")
    expected_continue = bce(q_continue, target, reduction="sum")
    expected = stablemax_cross_entropy(logits, targets).sum() + 0.5 * (expected_halt + expected_continue)
    assert float(loss.total) == pytest.approx(float(expected))


def test_adam_atan2_takes_the_published_steps() -> None:
    lr, decay, beta1, beta2 = 0.01, 0.5, 0.9, 0.95
    parameter = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimiser = AdamATan2([parameter], lr, decay, (beta1, beta2))
    p, m, v = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
    for t in range(1, 5):
        gradient = [0.3 * t, -0.01 / t]
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
        for i in range(2):
            m[i] = beta1 * m[i] + (1 - beta1) * gradient[i]
            v[i] = beta2 * v[i] + (1 - beta2) * gradient[i] ** 2
            p[i] *= 1 - lr * decay
            p[i] -= lr / (1 - beta1**t) * math.atan2(m[i], math.sqrt(v[i]) / math.sqrt(1 - beta2**t))
    assert parameter.tolist() == pytest.approx(p, rel=1e-12)


def test_sign_sgd_adds_equal_rows_first_and_leaves_other_rows_alone() -> None:
    embedding = PuzzleEmbedding(identifiers=4, size=2).train()
    embedding.table.copy_(torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]]))
    rows = embedding(torch.tensor([1, 3, 1]))
    # Row 1 is seen twice with gradients that nearly cancel: only the sign of the sum may count.
    (rows * torch.tensor([[1.0, -2.0], [0.5, 0.0], [-3.0, 1.0]])).sum().backward()
    SignSGD([embedding], lr=0.1, weight_decay=0.5).step(0.1)
    expected = [[1.0, 1.0], [2 * 0.95 + 0.1, 2 * 0.95 + 0.1], [3.0, 3.0], [4 * 0.95 - 0.1, 4 * 0.95]]
    assert torch.allclose(embedding.table, torch.tensor(expected))


def test_ema_swap_brings_the_average_in_and_the_weights_back() -> None:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.0)
    ema = EMA(layer, decay=0.9)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    ema.update()
    ema.swap()
    assert layer.weight.tolist() == [[pytest.approx(0.1), pytest.approx(0.1)]]
    ema.swap()
    assert layer.weight.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("model", "config", "task", "published"),
    [
        (TRM, TRMConfig(), SUDOKU, 6.82),
        (TRM, TRMMLPConfig(), SUDOKU, 5.02),
        (TRM, TRMMLPConfig(updates=4), MAZE, 18.79),
        (HRM, HRMConfig(), SUDOKU, 27.26),
        (Transformer, TransformerConfig(), MAZE, 27.13),
        (LoopedTransformer, LoopedConfig(), SUDOKU, 27.13),
    ],
    ids=["trm-att", "trm-mlp on 81", "trm-mlp on 900", "hrm", "transformer", "transformer-looped"],
)
def test_cores_have_the_published_size(model: Any, config: Any, task: TaskInfo, published: float) -> None:
    core, _, _ = count_parameters(build_shapes(lambda info: model(config, info), task))
    assert round(core / 1e6, 2) == published


def test_the_puzzle_embedding_is_counted_apart() -> None:
    task = TaskInfo("arc", "paper", 30, 30, 12, identifiers=1000)
    core, io, table = count_parameters(TRM(TRMConfig(hidden=64), task))
    assert table == 1000 * 64
    assert io == 12 * 64 + 64 * 12 + 2 * 64 + 2
    assert core == count_parameters(TRM(TRMConfig(hidden=64), TINY))[0]


def block_flops(positions: int, hidden: int, inner: int, attention: bool, mixer_inner: int = 0) -> float:
    """Forward FLOPs of one block by the closed form of docs/budget.md."""
    mlp = 2 * positions * hidden * 3 * inner
    if attention:
        return mlp + 2 * positions * hidden * 4 * hidden + 2 * 2 * positions**2 * hidden
    return mlp + 2 * hidden * positions * 3 * mixer_inner


def test_flops_of_trm_follow_the_closed_form() -> None:
    config = TRMMLPConfig(hidden=16, cycles=3, updates=2, puzzle_emb_len=4, multiple=16, supervision=5)
    positions = 4 + TINY.cells
    block = block_flops(positions, 16, 48, attention=False, mixer_inner=48)
    net = config.blocks * block
    calls = config.updates + 1
    heads = 2 * TINY.cells * 16 * TINY.vocab_size + 2 * 16 * 2
    flops = count_flops(TRM(config, TINY), TINY.cells)
    assert flops.training_step == pytest.approx(
        (config.cycles - 1) * calls * net + 3 * (calls * net + heads), rel=0.01
    )
    assert flops.inference == pytest.approx(5 * (config.cycles * calls * net + heads), rel=0.01)


def test_flops_of_hrm_count_one_step_gradient_and_the_second_pass() -> None:
    config = HRMConfig(hidden=16, heads=2, high_blocks=1, low_blocks=1, cycles=2, timesteps=2, multiple=16)
    block = block_flops(1 + TINY.cells, 16, 48, attention=True)
    heads = 2 * TINY.cells * 16 * TINY.vocab_size + 2 * 16 * 2
    forward = 6 * block + heads
    backward = 2 * (2 * block + heads)
    flops = count_flops(HRM(config, TINY), TINY.cells)
    assert flops.training_step == pytest.approx(2 * forward + backward, rel=0.01)


def test_flops_of_a_one_pass_transformer_are_three_forwards() -> None:
    model = Transformer(TransformerConfig(hidden=16, heads=2, blocks=2, multiple=16), TINY)
    flops = count_flops(model, TINY.cells)
    assert flops.training_step == pytest.approx(3 * flops.inference, rel=0.01)


def test_counting_flops_changes_neither_weights_nor_the_random_state() -> None:
    model = TRM(TRMConfig(hidden=16, heads=2, multiple=16), TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    count_flops(model, TINY.cells)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def test_copy_has_no_parameters_and_gives_its_input_back() -> None:
    model = Copy(TINY)
    inputs = torch.randint(1, 7, (2, TINY.cells))
    _, output = model((), inputs, torch.zeros(2, dtype=torch.int64))
    assert torch.equal(output.logits.argmax(-1), inputs)
    assert count_parameters(model) == (0, 0, 0)


@pytest.mark.parametrize(
    "model",
    [
        TRM(TRMConfig(hidden=16, heads=2, multiple=16, puzzle_emb_len=2), TINY),
        TRM(TRMMLPConfig(hidden=16, multiple=16, puzzle_emb_len=2), TINY),
        HRM(HRMConfig(hidden=16, heads=2, multiple=16), TINY),
        Transformer(TransformerConfig(hidden=16, heads=2, blocks=2, multiple=16), TINY),
        LoopedTransformer(LoopedConfig(hidden=16, heads=2, blocks=2, multiple=16), TINY),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_keep_rows_apart_and_reach_every_parameter(model: Reasoner) -> None:
    """A row's prediction does not depend on its neighbours, and the loss moves every weight."""
    torch.manual_seed(1)
    inputs = torch.randint(1, 7, (4, TINY.cells))
    ids = torch.zeros(4, dtype=torch.int64)
    state, output = model(model.initial_state(4), inputs, ids)
    _, alone = model(model.initial_state(1), inputs[2:3], ids[:1])
    assert torch.allclose(output.logits[2:3], alone.logits, atol=1e-5)
    assert all(not part.requires_grad for part in state)
    loss = step_loss(output, torch.randint(1, 7, (4, TINY.cells)), torch.rand(4))
    loss.total.backward()
    untouched = [name for name, p in model.named_parameters() if p.grad is None]
    assert untouched == []

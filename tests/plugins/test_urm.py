"""URM: its convolution, its loops, and the looped transformer that it is without them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from support.models import resolve
from support.options import IDS, INPUTS, gradients, supervised
from support.training import INFO, MODELS, SMALL, steps, trainer
from torch import Tensor
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Output
from trm_bench.harness.nn.blocks import AttentionBlock
from trm_bench.harness.training.costs import count_flops, count_parameters
from trm_bench.plugins.controls.config import LoopedConfig
from trm_bench.plugins.controls.transformers import LoopedTransformer
from trm_bench.plugins.urm.config import URMConfig
from trm_bench.plugins.urm.model import URM, ConvBlock, ConvSwiGLU
from trm_bench.testing import check_model

pytestmark = pytest.mark.usefixtures("one_thread")


def urm(**options: Any) -> URM:
    torch.manual_seed(0)
    return URM(
        URMConfig(**{**SMALL, "blocks": 1, "supervision": 3, "loops": 3, "untracked": 1, **options}), INFO
    )


@pytest.mark.parametrize("cell", [0, 2, 5])
def test_a_cell_changes_the_convolution_at_itself_and_at_the_next_cell_alone(cell: int) -> None:
    conv = ConvSwiGLU(8, 4.0, 8)
    a = torch.randn(2, 6, conv.down.in_features)
    changed = a.clone()
    changed[:, cell] += 1
    differs = (conv.convolved(a) != conv.convolved(changed)).any(-1).any(0)
    assert differs.tolist() == [place in (cell, cell + 1) for place in range(6)]


def test_the_convolution_is_torch_s_depthwise_one_cut_to_its_positions() -> None:
    conv = ConvSwiGLU(8, 4.0, 8)
    inner = conv.down.in_features
    a = torch.randn(3, 7, inner)
    kernel = torch.stack([conv.before, conv.here], dim=-1).unsqueeze(1)
    expected = torch.nn.functional.conv1d(a.transpose(1, 2), kernel, conv.bias, padding=1, groups=inner)
    assert torch.allclose(conv.convolved(a), expected[..., :7].transpose(1, 2), atol=1e-6)
    bound = 2**-0.5
    for part in (conv.before, conv.here, conv.bias):
        assert float(part.detach().abs().max()) <= bound
        assert float(part.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.4)


def test_with_a_kernel_that_copies_the_block_is_the_ordinary_one(monkeypatch: pytest.MonkeyPatch) -> None:
    config = URMConfig(**SMALL)
    block, plain = ConvBlock(config, 6), AttentionBlock(config, 6)
    block.load_state_dict(plain.state_dict(), strict=False)
    assert isinstance(block.mlp, ConvSwiGLU)
    with torch.no_grad():
        for part, value in ((block.mlp.before, 0), (block.mlp.here, 1), (block.mlp.bias, 0)):
            part.fill_(value)
    x = torch.randn(2, 6, config.hidden)
    assert not torch.allclose(block(x), plain(x))  # the SiLU after it
    monkeypatch.setattr(block.mlp, "mixed", block.mlp.convolved)
    assert torch.equal(block(x), plain(x))


@pytest.mark.parametrize("untracked", [0, 1, 3])
def test_the_first_loops_have_no_gradient(untracked: int) -> None:
    model, seen = urm(loops=4, untracked=untracked), []
    model.net.register_forward_pre_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    supervised(model)
    assert seen == [False] * untracked + [True] * (4 - untracked)


def by_hand(model: URM) -> Output:
    """A supervision step with everything before the last loop detached."""
    x, (h,) = model.embed(INPUTS, IDS), model.initial_state(len(INPUTS))
    for _ in range(model.loops - 1):
        h = model.net(h, x).detach()
    return model.heads(model.net(h, x))  # type: ignore[no-any-return]


def test_with_all_but_one_loop_untracked_the_gradient_is_that_of_the_last_loop() -> None:
    model = urm(loops=3, untracked=2)
    found, expected = gradients(model, supervised(model)[1]), gradients(model, by_hand(model))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_without_convolution_and_truncation_it_is_the_looped_transformer() -> None:
    torch.manual_seed(1)
    config = LoopedConfig(**SMALL, blocks=2, repeats=3, halting="sigmoid", supervision=3)
    looped = LoopedTransformer(config, INFO)
    model = urm(conv=False, blocks=2, loops=3, untracked=0)
    weights = dict(looped.state_dict())
    model.load_state_dict({"h_init": weights.pop("y_init"), **weights})
    states = [model.initial_state(3), looped.initial_state(3)]
    for _ in range(2):
        (ours, output), (theirs, expected) = supervised(model, states[0]), supervised(looped, states[1])
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(output.logits, expected.logits)
        found, wanted = gradients(model, output), gradients(looped, expected)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        states = [ours, theirs]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("optimizer", ["adam-atan2", "muon"])
def test_a_training_step_moves_every_weight(
    precision: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    monkeypatch.setitem(MODELS, "urm", urm)
    one = trainer("urm", steps(1), precision=precision, optimizer=optimizer, weight_decay=0)
    with torch.no_grad():
        one.model.heads.q.weight.normal_()  # type: ignore[union-attr,operator]
    before = {name: weight.detach().clone() for name, weight in one.model.named_parameters()}
    one.step()
    after: dict[str, Tensor] = dict(one.model.named_parameters())
    assert [name for name, weight in before.items() if torch.equal(weight, after[name])] == []


@pytest.mark.parametrize("name", ["urm", "urm[conv=false,untracked=0,halting=two-pass]"])
def test_it_conforms(name: str) -> None:
    check_model(name)


def test_no_loop_with_a_gradient_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"untracked=4 of loops=4 leaves no loop with a gradient"):
        URMConfig(loops=4, untracked=4)


@pytest.mark.parametrize("task", [TaskInfo("sudoku-extreme", "paper", 9, 9, 11)])
def test_the_defaults_are_those_of_the_code(task: TaskInfo) -> None:
    model = resolve("urm", task)
    config: Any = model.config
    assert (config.loops, config.untracked, config.blocks, config.hidden, config.heads) == (12, 6, 4, 512, 8)
    assert count_parameters(model.shapes(task))[0] == pytest.approx(13.65e6, rel=5e-4)


def test_at_mini_a_step_has_the_parameters_and_the_work_of_trm_att() -> None:
    task = TaskInfo("maze-hard", "mini", 5, 5, 6)
    ours, theirs = (resolve(name, task).build(task) for name in ("urm", "trm-att"))
    kernels = sum(p.numel() for name, p in ours.named_parameters() if p.ndim == 1 and name.startswith("net"))
    assert count_parameters(ours)[0] - kernels == count_parameters(theirs)[0]
    assert count_flops(ours, task.cells) == count_flops(theirs, task.cells)

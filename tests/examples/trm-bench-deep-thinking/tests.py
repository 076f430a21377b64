"""What holds for the model, whatever it is trained on. ``python -m pytest`` in this folder."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from trm_bench_deep_thinking import Config, build, trm_bench_register_models

from trm_bench import Reasoner, TaskInfo

SMALL = Config(channels=8, iterations=2, supervision=3)


def on_grid(side: int, config: Config = SMALL) -> Reasoner:
    torch.manual_seed(0)
    return build(config, TaskInfo("any", "mini", side, side, vocab_size=4))


def questions(side: int, count: int = 5) -> torch.Tensor:
    return torch.randint(1, 4, (count, side * side), generator=torch.Generator().manual_seed(1))


def predict(model: Reasoner, inputs: torch.Tensor, steps: int = 1) -> torch.Tensor:
    state, ids = model.initial_state(len(inputs)), torch.zeros(len(inputs), dtype=torch.long)
    for _ in range(steps):
        state, output = model(state, inputs, ids)
    logits: torch.Tensor = output.logits
    return logits


def test_a_prediction_has_logits_for_each_cell() -> None:
    assert predict(on_grid(5), questions(5)).shape == (5, 25, 4)


def test_the_features_are_carried_without_their_gradient() -> None:
    model, inputs = on_grid(5), questions(5)
    state, output = model(model.initial_state(5), inputs, torch.zeros(5, dtype=torch.long))
    assert output.logits.requires_grad
    assert not any(part.requires_grad for part in state)
    assert not torch.equal(predict(model, inputs, 2), predict(model, inputs, 1))


def test_two_supervision_steps_are_as_many_iterations_in_one() -> None:
    once = on_grid(5, SMALL.model_copy(update={"iterations": 4}))
    assert torch.allclose(predict(once, questions(5)), predict(on_grid(5), questions(5), 2))


def test_the_question_is_recalled_at_every_iteration() -> None:
    model: Any = on_grid(5)
    blank = torch.zeros(1, 8, 5, 5)
    ones, twos = (model.embed(torch.full((1, 5, 5), token)).permute(0, 3, 1, 2) for token in (1, 2))
    assert not torch.equal(model.block(blank, ones), model.block(blank, twos))


def test_the_same_weights_work_on_a_larger_grid() -> None:
    """The point of the paper. A cell that is far from every edge cannot tell the two grids apart."""
    once = SMALL.model_copy(update={"iterations": 1})  # seven convolutions, so seven cells are near
    small, large = on_grid(15, once), on_grid(19, once)
    large.load_state_dict(small.state_dict())
    inputs = questions(15, 1)
    padded = torch.nn.functional.pad(inputs.view(15, 15), (2, 2, 2, 2), value=1).view(1, -1)
    middle = predict(small, inputs).view(15, 15, 4)[7, 7]
    assert torch.allclose(predict(large, padded).view(19, 19, 4)[9, 9], middle, atol=1e-6)


def test_it_learns() -> None:
    model, inputs = on_grid(4, Config(channels=16, iterations=2, supervision=1)), questions(4, 16)
    targets = inputs.view(-1, 4, 4).flip(2).flatten(1)  # mirrored, so that cells must be looked for
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(predict(model, inputs).flatten(0, 1), targets.flatten())
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(model.parameters(), gradients, strict=True):
                weight.sub_(0.01 * gradient.sign())
    assert losses[-1] < 0.5 * losses[0]


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="widht"):
        Config.model_validate({"widht": 8})


def test_what_is_registered_needs_no_torch() -> None:
    program = "import sys, trm_bench_deep_thinking; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    (spec,) = trm_bench_register_models()
    assert spec.api_version == "1.0"
    assert "bansal2022endtoend" in spec.citation
    assert spec.recipes is not None
    assert spec.recipes.is_file()

"""The published models are the defaults, and what the puzzle embedding of each may be."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from support.options import IDS, INPUTS, KINDS, D, made, supervised
from support.training import INFO, SMALL
from torch import Tensor
from trm_bench.harness.nn.embedding import PuzzleEmbedding
from trm_bench.hrm_baseline.config import HRMConfig
from trm_bench.plugins.controls.config import LoopedConfig, TransformerConfig
from trm_bench.trm.config import TRMConfig, TRMMLPConfig

pytestmark = pytest.mark.usefixtures("one_thread")


# --- the published models are the defaults -------------------------------------------------------


ALL = {"mixer": "attention", "hidden": 512, "puzzle_emb_ndim": None, "expansion": 4, "multiple": 256}
ONE_NET = {"heads": 8, "blocks": 2, "cycles": 3, "updates": 6, "gradient": "full", "halting": "sigmoid"}
TWO_NETS = {
    "heads": 8,
    "high_blocks": 4,
    "low_blocks": 4,
    "cycles": 2,
    "timesteps": 2,
    "gradient": "one-step",
}
TRM_DEFAULTS = ALL | ONE_NET | {"networks": 1, "latents": 2, "supervision": 16, "puzzle_emb_len": 16}


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (TRMConfig(), TRM_DEFAULTS),
        (TRMMLPConfig(), TRM_DEFAULTS | {"mixer": "mlp"}),
        (
            HRMConfig(),
            ALL | TWO_NETS | {"halting": "two-pass", "networks": 2, "prefix": 1, "supervision": 16},
        ),
        (TransformerConfig(), ALL | {"blocks": 8, "repeats": 1, "prefix": 1}),
        (LoopedConfig(), ALL | {"blocks": 8, "repeats": 1, "prefix": 1, "supervision": 16}),
        (LoopedConfig(), {"halting": "compare"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_defaults_are_the_published_models(config: object, published: dict[str, Any]) -> None:
    assert {name: getattr(config, name) for name in published} == published


# --- puzzle_emb_len, puzzle_emb_ndim -------------------------------------------------------------


@pytest.mark.parametrize("puzzle_emb_len", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_puzzle_embedding_comes_before_the_cells_and_is_not_decoded(
    kind: str, puzzle_emb_len: int
) -> None:
    model = made(kind, puzzle_emb_len=puzzle_emb_len)
    seen: list[Tensor] = []
    model.heads.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    _, output = supervised(model)
    (y,) = seen
    assert y.shape == (3, puzzle_emb_len + INFO.cells, D)
    assert torch.equal(output.logits, y[:, -INFO.cells :] @ model.heads.answer.weight.T)
    if model.heads.q is not None:
        q = y[:, 0] @ model.heads.q.weight.T + model.heads.q.bias
        assert torch.allclose(torch.stack([output.q_halt, output.q_continue], -1), q, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_puzzle_embedding_every_position_is_a_cell(
    kind: str,
) -> None:
    config, build = KINDS[kind]
    model = build(config(**SMALL, puzzle_emb_len=0), replace(INFO, identifiers=9))
    _, output = supervised(model)
    assert output.logits.shape == (3, INFO.cells, INFO.vocab_size)
    assert all(part.shape[1] == INFO.cells for part in model.initial_state(3))
    assert not any(isinstance(module, PuzzleEmbedding) for module in model.modules())


def test_a_size_of_no_puzzle_embedding_is_refused() -> None:
    with pytest.raises(ValidationError, match="no puzzle embedding; leave puzzle_emb_ndim=8 out"):
        HRMConfig(puzzle_emb_len=0, puzzle_emb_ndim=8)


@pytest.mark.parametrize(("size", "positions"), [(None, 1), (8, 1), (16, 1), (17, 2), (40, 3)])
@pytest.mark.parametrize("kind", ["hrm", "transformer", "transformer-looped"])
def test_a_puzzle_embedding_takes_as_many_positions_as_it_needs(
    kind: str, size: int | None, positions: int
) -> None:
    model = made(kind, puzzle_emb_ndim=size)
    x, row = model.embed(INPUTS, IDS), model.embed.puzzle.table[0]
    assert x.shape == (3, positions + INFO.cells, D)
    prefix = x[0, :positions].flatten()
    assert len(row) == (size or D)
    assert torch.allclose(prefix[: len(row)], math.sqrt(D) * row)
    assert not prefix[len(row) :].any()
    assert torch.allclose(x[:, positions:], math.sqrt(D) * model.embed.tokens(INPUTS))


def test_the_published_prefix_of_trm_does_not_grow_with_the_embedding() -> None:
    assert made("trm", puzzle_emb_len=4, puzzle_emb_ndim=40).embed(INPUTS, IDS).shape[1] == 4 + INFO.cells


def test_positions_of_trm_too_few_for_the_puzzle_embedding_are_refused() -> None:
    expected = r"puzzle_emb_ndim=40 does not fit puzzle_emb_len=2 positions of hidden=16"
    with pytest.raises(ValueError, match=expected):
        made("trm", puzzle_emb_len=2, puzzle_emb_ndim=40)


@pytest.mark.parametrize("kind", ["hrm", "transformer", "transformer-looped"])
def test_the_other_models_grow_as_many_positions_as_it_needs(kind: str) -> None:
    positions = made(kind, puzzle_emb_len=2, puzzle_emb_ndim=40).embed(INPUTS, IDS).shape[1] - INFO.cells
    assert positions == 3

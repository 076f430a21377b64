"""Small models with options, and what a supervision step of one gives."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.reasoner import Output, Reasoner, State
from trm_bench.harness.nn.loss import step_loss
from trm_bench.hrm_baseline.config import HRMConfig
from trm_bench.hrm_baseline.model import HRM
from trm_bench.plugins.controls.config import LoopedConfig, TransformerConfig
from trm_bench.plugins.controls.transformers import LoopedTransformer, Transformer
from trm_bench.trm.ablations import build
from trm_bench.trm.config import TRMConfig

from support.training import INFO, SMALL

KINDS: dict[str, tuple[Any, Any]] = {
    "trm": (TRMConfig, build),
    "hrm": (HRMConfig, HRM),
    "transformer": (TransformerConfig, Transformer),
    "transformer-looped": (LoopedConfig, LoopedTransformer),
}


LESS: dict[str, dict[str, Any]] = {
    "trm": {"blocks": 1, "cycles": 2, "updates": 2, "puzzle_emb_len": 2, "supervision": 3},
    "hrm": {"high_blocks": 1, "low_blocks": 1, "supervision": 3},
    "transformer": {"blocks": 1},
    "transformer-looped": {"blocks": 1, "supervision": 3},
}


D = SMALL["hidden"]


RANDOM = torch.Generator().manual_seed(0)


INPUTS = torch.randint(1, INFO.vocab_size, (3, INFO.cells), generator=RANDOM)


TARGETS = torch.randint(1, INFO.vocab_size, (3, INFO.cells), generator=RANDOM)


CONTINUE = torch.rand(3, generator=RANDOM)


IDS = torch.zeros(3, dtype=torch.int64)


def made(kind: str, task: TaskInfo = INFO, **options: Any) -> Any:
    """A small model whose Q head and puzzle embedding are not zero, as they are before training."""
    config, model = KINDS[kind]
    torch.manual_seed(0)
    reasoner = model(config(**{**SMALL, **LESS[kind], **options}), task)
    with torch.no_grad():
        reasoner.embed.puzzle.table.normal_()
        if reasoner.heads.q is not None:
            reasoner.heads.q.weight.normal_()
            reasoner.heads.q.bias.zero_()
    return reasoner


def alike(model: Any, other: Reasoner) -> Any:
    """The model with the weights of another, wherever both have them."""
    model.load_state_dict(other.state_dict(), strict=False)
    return model


def supervised(model: Reasoner, state: State | None = None) -> tuple[State, Output]:
    """One supervision step."""
    return model(model.initial_state(len(INPUTS)) if state is None else state, INPUTS, IDS)


def gradients(model: Reasoner, output: Output) -> dict[str, Tensor]:
    """Of the loss of a supervision step; zero where it does not reach."""
    names, weights = zip(*model.named_parameters(), strict=True)
    loss = step_loss(output, TARGETS, CONTINUE).total
    found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))


FEW = st.integers(1, 4)


GRADIENTS = st.sampled_from(["full", "one-step"])

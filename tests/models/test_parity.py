"""Parity with golden vectors that the public reference implementation computed; see their README."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.models import BUILT_IN
from support.paths import PARITY
from torch import Tensor
from trm_bench.harness.api.puzzles import PAD, TaskInfo
from trm_bench.harness.api.reasoner import Output, Reasoner
from trm_bench.harness.api.specs import ModelSpec, ReferenceNames
from trm_bench.harness.data.examples import Batch
from trm_bench.harness.nn.embedding import PuzzleEmbedding
from trm_bench.harness.nn.loss import StepLoss, step_loss
from trm_bench.harness.nn.optim import AdamATan2, SignSGD
from trm_bench.harness.training.supervision import Slots, continue_target
from trm_bench.harness.weights.files import load_weights, read_weights
from trm_bench.harness.weights.reference_names import our_name

CASES = sorted(PARITY.rglob("*.json"))
EVALUATION, TRAINING = 1e-6, (1e-6, 1e-4, 2e-3)
"""Of the largest entry, or of the norm; training by optimiser step."""

pytestmark = pytest.mark.usefixtures("one_thread")


def spec_of(config: dict[str, Any]) -> ModelSpec:
    """Which of our models a configuration in the reference's words is of."""
    if "L_cycles" not in config:
        return BUILT_IN.models.get("transformer-looped").spec
    trm = {"mlp_t", "puzzle_emb_len", "no_ACT_continue"} & config.keys()
    return BUILT_IN.models.get("trm-att" if trm else "hrm").spec


class Offered:
    """The reference offers a whole batch at each step; a free slot takes the row of its own number."""

    def __init__(self, batch: Batch):
        self.batch = batch

    def at(self, draws: Tensor) -> Batch:
        return self.batch


class Case:
    """One golden case: its configuration, and our model with the weights that its seed gives."""

    def __init__(self, path: Path):
        content = json.loads(path.read_text())
        self.seed, self.config, self.shapes = content["seed"], content["config"], content["shapes"]
        self.optimiser = content["optimiser"]
        self.evaluation, self.training = content["evaluation"], content["training"]
        self.spec = spec_of(self.config)
        self.model = self.build()
        self.model.load_state_dict({self.ours(name): self.first_weight(name) for name in self.shapes})

    def build(self) -> Reasoner:
        """Our model for the configuration."""
        sizes = self.config["seq_len"], self.config["vocab_size"], self.config["num_puzzle_identifiers"]
        assert self.spec.config is not None
        assert self.spec.build is not None
        config = self.spec.config(**self.reference.options(self.config))
        return self.spec.build(config, TaskInfo("parity", "mini", 1, *sizes))

    @property
    def reference(self) -> ReferenceNames:
        assert self.spec.reference is not None
        return self.spec.reference

    def ours(self, theirs: str) -> str:
        """Our name of one of the reference's tensors; every one must have one."""
        name = our_name(theirs, self.reference)
        assert name is not None, theirs
        return name

    def rng(self, name: str) -> np.random.RandomState:
        return np.random.RandomState(zlib.crc32(f"{self.seed}:{name}".encode()))

    def first_weight(self, name: str) -> Tensor:
        shape = self.shapes[name]
        half = len(shape) == 1 or "puzzle_emb" in name
        scale = 1.0 if name.endswith("_init") else 0.5 if half else 1 / np.sqrt(shape[-1])
        return torch.from_numpy((self.rng(name).standard_normal(shape) * scale).astype(np.float32))

    def batch(self, number: int) -> Batch:
        size, cells = self.config["batch_size"], self.config["seq_len"]
        draw, vocabulary = self.rng(f"batch{number}"), self.config["vocab_size"]
        inputs = torch.from_numpy(draw.randint(1, vocabulary, (size, cells)))
        labels = draw.randint(1, vocabulary, (size, cells))
        targets = torch.from_numpy(np.where(draw.rand(size, cells) < 0.2, PAD, labels))
        ids = torch.from_numpy(draw.randint(0, self.config["num_puzzle_identifiers"], (size,)))
        may_halt = torch.ones(size, self.model.supervision_steps, dtype=torch.bool)
        return Batch(inputs.long(), targets.long(), ids.long(), may_halt)

    def probed(self, name: str, value: Tensor) -> float:
        """The sum of a tensor weighted by its seeded probe."""
        probe = self.rng(f"probe:{name}").standard_normal(tuple(value.shape))
        return float((value.detach().double().numpy() * probe).sum())


def close(ours: Tensor, theirs: list[float], within: float, what: str) -> None:
    golden = torch.tensor(theirs, dtype=torch.float64)
    scale = max(float(golden.abs().max()), 1e-6)
    error = float((ours.detach().double().flatten() - golden).abs().max()) / scale
    assert error < within, f"{what}: relative error {error:.1e}"


def probes_close(case: Case, name: str, ours: Tensor, golden: list[float], within: float) -> None:
    norm, total = golden
    scale = max(norm, 1e-6)
    assert abs(float(ours.detach().double().norm()) - norm) / scale < within, f"norm of {name}"
    assert abs(case.probed(name, ours) - total) / scale < within, f"probe of {name}"


@pytest.fixture(params=CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_there_are_golden_vectors_of_every_architecture() -> None:
    assert {path.stem for path in CASES} >= {"hrm", "transformer_looped", "trm_att", "trm_mlp"}


def test_evaluation(case: Case) -> None:
    """Logits and halting logits of every supervision step, from a fresh state."""
    check_evaluation(case, case.model)


def test_evaluation_with_weights_from_a_file_in_the_references_names(case: Case, tmp_path: Path) -> None:
    """As `trm-bench evaluate` reads them: the checkpoint of a compiled model, into a freshly built one."""
    file = tmp_path / "golden.pt"
    torch.save({f"_orig_mod.{name}": case.first_weight(name) for name in case.shapes}, file)
    assert read_weights(file).keys() == {f"_orig_mod.{name}" for name in case.shapes}
    torch.manual_seed(1)
    model = case.build()
    load_weights(model, case.spec, file)
    check_evaluation(case, model)


def check_evaluation(case: Case, model: Reasoner) -> None:
    model, batch = model.eval(), case.batch(0)
    state = model.initial_state(len(batch.inputs))
    for step, golden in enumerate(case.evaluation):
        with torch.no_grad():
            state, output = model(state, batch.inputs, batch.puzzle_ids)
        check_outputs(golden, output, None, EVALUATION)
        assert output.q_continue is not None
        close(output.q_continue, golden["q_continue"], EVALUATION, f"q_continue at {step}")


def check_outputs(golden: dict[str, Any], output: Output, target: Tensor | None, within: float) -> None:
    close(output.logits, golden["logits"], within, "logits")
    assert output.q_halt is not None
    close(output.q_halt, golden["q_halt"], within, "q_halt")
    if "target_q_continue" in golden:
        assert target is not None
        close(target, golden["target_q_continue"], within, "target of q_continue")


def test_training(case: Case) -> None:
    """Slot replacement, losses, halting, gradients and updated weights of three optimiser steps."""
    model, size, optimiser = case.model.train(), case.config["batch_size"], case.optimiser
    adam = AdamATan2(
        model.parameters(), optimiser["lr"], optimiser["weight_decay"], tuple(optimiser["betas"])
    )
    embeddings = [module for module in model.modules() if isinstance(module, PuzzleEmbedding)]
    sign = SignSGD(embeddings, optimiser["embedding_lr"], optimiser["embedding_weight_decay"])
    slots = Slots(model, size, case.config["seq_len"], torch.device("cpu"))
    for step, (golden, within) in enumerate(zip(case.training, TRAINING, strict=True)):
        assert slots.halted.tolist() == golden["replaced"], f"replaced at {step}"
        slots.refill(Offered(case.batch(step)))
        state, output = model(slots.state, slots.inputs, slots.puzzle_ids)
        target = continue_target(slots, state)
        loss = step_loss(output, slots.targets, target)
        check_outputs(golden, output, target, within)
        check_losses(golden, loss, within)
        (loss.total / size).backward()
        check_gradients(case, golden["gradients"], embeddings, within)
        adam.step()
        sign.step(optimiser["embedding_lr"])
        adam.zero_grad()
        for name, probes in golden["weights"].items():
            probes_close(case, name, model.state_dict()[case.ours(name)], probes, within)
        slots.advance(state, output)
        assert slots.steps.tolist() == golden["steps"], f"steps at {step}"
        assert slots.halted.tolist() == golden["halted"], f"halted at {step}"


def check_losses(golden: dict[str, Any], loss: StepLoss, within: float) -> None:
    parts = {
        "loss": loss.total,
        "lm_loss": loss.answer,
        "q_halt_loss": loss.halt,
        "q_continue_loss": loss.halt_continue,
    }
    for name, value in parts.items():
        assert float(value.detach()) == pytest.approx(golden.get(name, 0.0), rel=within, abs=1e-6), name


def check_gradients(
    case: Case, golden: dict[str, list[float]], embeddings: list[PuzzleEmbedding], within: float
) -> None:
    parameters = dict(case.model.named_parameters())
    (rows,) = embeddings[0].looked_up
    for name, probes in golden.items():
        tensor = rows[1] if name == "puzzle_emb_local" else parameters[case.ours(name)]
        gradient = tensor.grad
        gradient = torch.zeros_like(tensor) if gradient is None else gradient
        probes_close(case, name, gradient, probes, within)

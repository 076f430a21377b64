"""Parity with golden vectors that the public reference implementation computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.models import BUILT_IN
from support.paths import PARITY
from torch import Tensor
from trm_bench.harness.api.puzzles import PAD, TaskInfo
from trm_bench.harness.api.reasoner import Reasoner
from trm_bench.harness.api.specs import ModelSpec
from trm_bench.harness.data.examples import Batch
from trm_bench.harness.nn.embedding import PuzzleEmbedding
from trm_bench.harness.nn.loss import step_loss
from trm_bench.harness.nn.optim import AdamATan2, SignSGD
from trm_bench.harness.training.supervision import Slots, continue_target
from trm_bench.harness.weights.files import load_weights, read_weights
from trm_bench.harness.weights.reference_names import our_name

CASES = sorted(path.stem for path in PARITY.glob("*.json"))
TOLERANCE = 1e-4


def spec_of(config: dict[str, Any]) -> ModelSpec:
    """Which of our models a configuration in the reference's words is of."""
    if "L_cycles" not in config:
        return BUILT_IN.models.get("transformer-looped").spec
    trm = {"mlp_t", "puzzle_emb_len", "no_ACT_continue"} & config.keys()
    return BUILT_IN.models.get("trm-att" if trm else "hrm").spec


def build(config: dict[str, Any]) -> Reasoner:
    """Our model for a configuration in the reference's words."""
    task = TaskInfo(
        "parity", "mini", 1, config["seq_len"], config["vocab_size"], config["num_puzzle_identifiers"]
    )
    spec = spec_of(config)
    assert spec.config is not None
    assert spec.build is not None
    assert spec.reference is not None
    return spec.build(spec.config(**spec.reference.options(config)), task)


class Offered:
    """The reference offers a whole batch at each step; a free slot takes the row of its own number."""

    def __init__(self, batch: Batch):
        self.batch = batch

    def at(self, draws: Tensor) -> Batch:
        return self.batch


class Case:
    """One golden case: its configuration, tensors, and our model loaded with its first weights."""

    def __init__(self, name: str):
        content = json.loads((PARITY / f"{name}.json").read_text())
        self.config, self.training = content["config"], content["train"]
        self.eval_steps = content["eval_steps"]
        self.tensors = load_file(PARITY / f"{name}.safetensors")
        self.spec = spec_of(self.config)
        self.model = build(self.config)
        self.model.load_state_dict({self.ours(key): value for key, value in self.group("init.").items()})

    def ours(self, theirs: str) -> str:
        """Our name of one of the reference's tensors; every one must have one."""
        assert self.spec.reference is not None
        name = our_name(theirs, self.spec.reference)
        assert name is not None, theirs
        return name

    def group(self, prefix: str) -> dict[str, Tensor]:
        return {
            key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)
        }

    def batch(self, step: int) -> Batch:
        part = self.group(f"batch{step}.")
        labels = part["labels"].long()
        targets = torch.where(labels == -100, PAD, labels)
        ids = part["puzzle_identifiers"].long()
        return Batch(part["inputs"].long(), targets, ids, torch.ones_like(ids))


def close(ours: Tensor, theirs: Tensor, what: str) -> None:
    scale = max(float(theirs.abs().max()), 1e-6)
    error = float((ours.detach() - theirs).abs().max()) / scale
    assert error < TOLERANCE, f"{what}: relative error {error:.1e}"


pytestmark = pytest.mark.usefixtures("one_thread")
"""Sums in a fixed order: with one thread the training cases come out bit for bit."""


@pytest.fixture(params=CASES or [None])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param is None:
        pytest.skip(f"no golden vectors at {PARITY} (set TRM_BENCH_PARITY_DIR)")
    return Case(request.param)


def test_parity_of_evaluation(case: Case) -> None:
    """Logits, Q logits and states of every supervision step from a fresh state."""
    check_evaluation(case, case.model)


def test_parity_of_evaluation_with_weights_read_from_a_file_in_the_references_names(
    case: Case, tmp_path: Path
) -> None:
    """The way of `trm-bench evaluate`: a compiled model's checkpoint, put into a freshly built model."""
    file = tmp_path / "golden.pt"
    state = {f"_orig_mod.{name}": value for name, value in case.group("init.").items()}
    assert all(name.startswith("_orig_mod.model.inner.") for name in state)
    torch.save(state, file)
    assert read_weights(file).keys() == state.keys()
    torch.manual_seed(1)
    model = build(case.config)
    load_weights(model, case.spec, file)
    check_evaluation(case, model)


def check_evaluation(case: Case, model: Reasoner) -> None:
    model, batch = model.eval(), case.batch(0)
    state = model.initial_state(len(batch.inputs))
    for step in range(case.eval_steps):
        with torch.no_grad():
            state, output = model(state, batch.inputs, batch.puzzle_ids)
        golden = case.group(f"eval.step{step}.")
        close(output.logits, golden["logits"], f"logits at {step}")
        assert output.q_halt is not None
        assert output.q_continue is not None
        close(output.q_halt, golden["q_halt_logits"], f"q_halt at {step}")
        close(output.q_continue, golden["q_continue_logits"], f"q_continue at {step}")
        for ours, theirs in zip(state, ("z_H", "z_L"), strict=False):
            close(ours, golden[theirs], f"{theirs} at {step}")


def test_parity_of_training(case: Case) -> None:
    """Losses, halting, slot replacement, first gradients and the weights after all optimiser steps."""
    model, training = case.model.train(), case.training
    size = case.config["batch_size"]
    optimiser = AdamATan2(
        model.parameters(), training["lr"], training["weight_decay"], tuple(training["betas"])
    )
    embeddings = [module for module in model.modules() if isinstance(module, PuzzleEmbedding)]
    embedding_optimiser = SignSGD(embeddings, training["puzzle_emb_lr"], training["puzzle_emb_weight_decay"])
    slots = Slots(model, size, case.config["seq_len"], torch.device("cpu"))
    for step, golden in enumerate(training["history"]):
        assert slots.halted.tolist() == golden["replaced"], f"replaced at {step}"
        slots.refill(Offered(case.batch(step)))
        state, output = model(slots.state, slots.inputs, slots.puzzle_ids)
        target = continue_target(slots, state)
        loss = step_loss(output, slots.targets, target)
        check_outputs(case.group(f"train.step{step}."), output.logits, output.q_halt, target)
        check_losses(golden, loss, step)
        (loss.total / size).backward()
        if step == 0:
            check_gradients(case, model, embeddings)
        optimiser.step()
        embedding_optimiser.step(training["puzzle_emb_lr"])
        optimiser.zero_grad()
        slots.advance(state, output)
        assert slots.steps.tolist() == golden["steps"], f"steps at {step}"
        assert slots.halted.tolist() == golden["halted"], f"halted at {step}"
    ours = model.state_dict()
    for name, value in case.group("final.").items():
        close(ours[case.ours(name)], value, f"final {name}")


def check_outputs(
    golden: dict[str, Tensor], logits: Tensor, q_halt: Tensor | None, target: Tensor | None
) -> None:
    close(logits, golden["logits"], "training logits")
    assert q_halt is not None
    close(q_halt, golden["q_halt_logits"], "training q_halt")
    if "target_q_continue" in golden:
        assert target is not None
        close(target, golden["target_q_continue"], "target of q_continue")


def check_losses(golden: dict[str, Any], loss: Any, step: int) -> None:
    parts = {
        "loss": loss.total,
        "lm_loss": loss.answer,
        "q_halt_loss": loss.halt,
        "q_continue_loss": loss.halt_continue,
    }
    for name, value in parts.items():
        assert float(value.detach()) == pytest.approx(golden[name], rel=TOLERANCE, abs=1e-6), (
            f"{name} at {step}"
        )


def check_gradients(case: Case, model: Reasoner, embeddings: list[PuzzleEmbedding]) -> None:
    parameters = dict(model.named_parameters())
    golden = case.group("grad0.")
    rows = embeddings[0].looked_up
    assert rows is not None
    assert rows[1].grad is not None
    close(rows[1].grad, golden.pop("puzzle_emb_local"), "gradient of the puzzle embedding")
    for name, value in golden.items():
        gradient = parameters[case.ours(name)].grad
        ours = torch.zeros_like(value) if gradient is None else gradient
        close(ours, value, f"gradient of {name}")


def test_parity_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder comes from TRM_BENCH_PARITY_DIR, so that further golden vectors can be tried."""
    import importlib

    import conftest

    monkeypatch.setenv("TRM_BENCH_PARITY_DIR", str(tmp_path))
    try:
        assert tmp_path == importlib.reload(conftest).PARITY
    finally:
        monkeypatch.undo()
        importlib.reload(conftest)

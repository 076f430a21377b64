"""Resuming, validating and halting on CUDA, where there is one: the same numbers as on the straight way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from support.training import CPU, MODELS, puzzles, steps, trainer
from trm_bench.harness.api.budget import Match
from trm_bench.harness.api.reasoner import Reasoner
from trm_bench.harness.inference.inference import Depths, InferenceConfig, infer
from trm_bench.harness.training.checkpoint import read_checkpoint, write_checkpoint
from trm_bench.harness.training.trainer import Metrics, Trainer, Watcher

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
CUDA = torch.device("cuda")
names = pytest.mark.parametrize("name", list(MODELS))


def made(name: str, match: Match = Match.STEPS, amount: int = 20, **settings: object) -> Trainer:
    return trainer(name, steps(amount, match), device=CUDA, exploration=0.5, **settings)


def losses(one: Trainer, count: int) -> list[float]:
    kept = [one.step().total.detach().clone() for _ in range(count)]
    return [float(loss) for loss in kept]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels that give the same numbers every time."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@names
@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(
    ("stop", "more"), [(8, {}), (8, {"precision": "bf16"}), (2, {"graph": True}), (8, {"graph": True})]
)
def test_a_resumed_training_is_the_whole_one(
    name: str, more: dict[str, object], stop: int, tmp_path: Path
) -> None:
    whole, first, second = (made(name, **more) for _ in range(3))
    expected = losses(whole, 16)
    before = losses(first, stop)
    write_checkpoint(tmp_path / "checkpoint.pt", {"trainer": first.state()})
    saved = read_checkpoint(tmp_path / "checkpoint.pt")
    assert saved is not None
    second.restore(saved["trainer"])
    assert before + losses(second, 16 - stop) == expected
    assert second.drawn() == whole.drawn()
    for one in (whole, second):
        one.settle()
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


@names
@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(
    ("match", "amount", "graph"),
    [(Match.STEPS, 40, False), (Match.STEPS, 40, True), (Match.EXAMPLES, 90, True)],
)
def test_validating_and_saving_change_nothing(name: str, match: Match, amount: int, graph: bool) -> None:
    quiet, busy = (made(name, match, amount, validations=count, graph=graph) for count in (0, 3))
    seen = []

    def validate(model: Reasoner) -> Metrics:
        depths = Depths((model.supervision_steps,))
        seen.append(infer(model, puzzles(), InferenceConfig(CUDA), depths))
        return {"validation_exact": 1.0}

    lines: tuple[list[Metrics], list[Metrics]] = [], []
    spent = quiet.run(Watcher(lines[0].append, validate))
    saving = Watcher(
        lines[1].append, validate, save=lambda step: busy.state() and None, due=lambda step: step % 7 == 0
    )
    assert (busy.run(saving).steps, busy.drawn()) == (spent.steps, quiet.drawn())
    assert seen
    assert [line for line in lines[0] if "loss" in line] == [line for line in lines[1] if "loss" in line]
    for a, b in zip(quiet.model.parameters(), busy.model.parameters(), strict=True):
        assert torch.equal(a, b)


@names
def test_halting_stops_where_it_does_on_the_cpu(name: str) -> None:
    one = made(name, precision="float32")
    losses(one, 20)
    model = one.model
    depths = Depths(tuple(range(1, model.supervision_steps + 1)), True)
    there = infer(model, puzzles(), InferenceConfig(CUDA, batch_size=16), depths)
    here = infer(model.to(CPU), puzzles(), InferenceConfig(CPU, batch_size=16), depths)
    for a, b in zip(there, here, strict=True):
        assert float(np.mean(a.predictions.tokens == b.predictions.tokens)) > 0.99
        assert a.steps == pytest.approx(b.steps, rel=0.05)

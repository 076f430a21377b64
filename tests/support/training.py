"""Small models in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from trm_bench.harness.api.augment import NoAugmentation
from trm_bench.harness.api.budget import Budget, Match
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo
from trm_bench.harness.api.reasoner import Output, Reasoner, State
from trm_bench.harness.data.examples import Batch, ExampleStream, Exploration
from trm_bench.harness.training.compiling import compile_parts
from trm_bench.harness.training.config import ExecutionConfig, TrainingConfig
from trm_bench.harness.training.costs import count_flops
from trm_bench.harness.training.group import ALONE, Group
from trm_bench.harness.training.supervision import Slots
from trm_bench.harness.training.trainer import Trainer, Watcher
from trm_bench.hrm_baseline.config import HRMConfig
from trm_bench.hrm_baseline.model import HRM
from trm_bench.plugins.controls.config import LoopedConfig, TransformerConfig
from trm_bench.plugins.controls.transformers import LoopedTransformer, Transformer
from trm_bench.plugins.eqr.config import EqRConfig
from trm_bench.plugins.eqr.model import EqR
from trm_bench.plugins.urm.config import URMConfig
from trm_bench.plugins.urm.model import URM
from trm_bench.trm.config import TRMConfig, TRMMLPConfig
from trm_bench.trm.model import TRM

INFO = TaskInfo("mirror", "mini", 2, 3, 5)


CPU = torch.device("cpu")


SMALL = {"hidden": 16, "heads": 2, "multiple": 16}


MODELS = {
    "trm-att": lambda: TRM(TRMConfig(**SMALL, cycles=2, updates=1, supervision=3, puzzle_emb_len=1), INFO),
    "trm-mlp": lambda: TRM(TRMMLPConfig(**SMALL, cycles=2, updates=1, supervision=3, puzzle_emb_len=1), INFO),
    "hrm": lambda: HRM(HRMConfig(**SMALL, high_blocks=1, low_blocks=1, supervision=3), INFO),
    "transformer": lambda: Transformer(TransformerConfig(**SMALL, blocks=1), INFO),
    "transformer-looped": lambda: LoopedTransformer(LoopedConfig(**SMALL, blocks=1, supervision=3), INFO),
}


LATER = {
    "urm": lambda: URM(URMConfig(**SMALL, blocks=1, loops=3, untracked=1, supervision=3), INFO),
    "eqr": lambda: EqR(EqRConfig(**SMALL, blocks=1, cycles=2, updates=1, supervision=3), INFO),
}
"""Built by few tests: they consist of the parts of `MODELS`."""


def puzzles(count: int = 40) -> PuzzleSet:
    tokens = np.random.default_rng(0).integers(1, 5, (count, INFO.cells)).astype(np.uint8)
    return PuzzleSet.single_identity(tokens, tokens[:, ::-1].copy(), [str(i) for i in range(count)])


def trainer(
    name: str,
    budget: Budget,
    seed: int = 0,
    device: torch.device = CPU,
    group: Group = ALONE,
    **settings: object,
) -> Trainer:
    """A trainer of a small model; settings are those of the recipe and of its execution."""
    torch.manual_seed(seed)
    model = ({**MODELS, **LATER}.get(name, Exploding)()).to(device)
    given: dict[str, Any] = {"precision": "float32", "lr": 3e-3, "warmup": 5, "ema": 0.9, **settings}
    execution = ExecutionConfig(
        **{key: given.pop(key) for key in ExecutionConfig.model_fields if key in given}
    )
    config = TrainingConfig(**given)
    examples = ExampleStream(
        puzzles(),
        NoAugmentation(),
        1,
        task_seed=0,
        seed=seed,
        exploration=Exploration(config.exploration, model.supervision_steps),
    )
    flops = count_flops(model, INFO.cells)
    if execution.compile is True:
        compile_parts(model, device)
    return Trainer(
        model,
        examples,
        config,
        budget,
        flops,
        cells=INFO.cells,
        device=device,
        execution=execution,
        group=group,
    )


def table(one: Trainer) -> Tensor:
    (embedding,) = one.embedding_optimiser.embeddings
    return embedding.table


def numbered(one: Trainer, rows: int) -> Trainer:
    """The same training with a row of the puzzle embedding for every ``rows``-th draw."""
    (embedding,) = one.embedding_optimiser.embeddings
    embedding.table = torch.zeros(rows, embedding.table.shape[1])
    examples: Callable[[Tensor], Batch] = one.feed.at
    one.feed.at = lambda draws: replace(examples(draws), puzzle_ids=draws % rows)  # type: ignore[method-assign]
    return one


def steps(amount: int, match: Match = Match.STEPS, batch: int = 4) -> Budget:
    return Budget(match=match, amount=amount, batch_size=batch, augmentations=1)


def quiet() -> Watcher:
    return Watcher(lambda line: None, lambda model: {})


class Counted:
    """Puzzles 1, 2, 3 …, as they are taken; ``may_halt`` is after each step, or the same after all."""

    def __init__(self, may_halt: Sequence[bool] = (True,)):
        self.may_halt = torch.tensor(may_halt)

    def at(self, draws: Tensor) -> Batch:
        numbers = draws + 1
        column = numbers.unsqueeze(1)
        return Batch(column, column, torch.zeros_like(numbers), self.may_halt.expand(len(draws), -1))


def step(slots: Slots, examples: Counted) -> None:
    slots.refill(examples)
    state, output = slots.model(slots.state, slots.inputs, slots.puzzle_ids)
    slots.advance(state, output)


class Exploding(Reasoner):
    """Fine for three steps."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.calls = 0

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        self.calls += 1
        logits = self.weight * torch.nn.functional.one_hot(inputs, INFO.vocab_size).float()
        return state, Output(logits / 0 if self.calls > 3 else logits)


def gradient(name: str, **settings: object) -> Tensor:
    """Of all weights in the first step, on the CPU."""
    torch._dynamo.reset()
    one = trainer(name, steps(1), **settings)
    one.optimiser.zero_grad = one.optimiser.update = lambda: None  # type: ignore[method-assign]
    one.step()
    return torch.cat([p.grad.flatten() for p in one.model.parameters() if p.grad is not None]).cpu()

"""The search behind the mini recipes: the same grid for every model, judged on validation alone.

    python benchmarks/tune_mini.py --task maze-hard

Trains each model once (seed 0) per learning rate and weight decay, under the budget of the task's
mini scale, and prints the share of validation puzzles solved. The test split is never read. The
model's sizes and every other setting stay as the recipe has them.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping

import torch
from trm_bench.harness.cell import exact_share
from trm_bench.harness.data import Prepared, prepare
from trm_bench.harness.examples import ExampleStream, Exploration
from trm_bench.harness.flops import count_flops
from trm_bench.harness.host import host
from trm_bench.harness.inference import Answering, predict
from trm_bench.harness.randomness import named_seed
from trm_bench.harness.reasoner import Reasoner
from trm_bench.harness.specs import BuildRequest, TaskSpec
from trm_bench.harness.study import RunRequest, plan
from trm_bench.harness.training import Trainer, Watcher

MODELS = "trm-mlp,trm-att,hrm,transformer,transformer-looped"
LEARNING_RATES = (1e-3, 2e-3, 4e-3, 8e-3)
WEIGHT_DECAYS = (0.1, 1.0)
CPU = torch.device("cpu")


def validation_score(name: str, task: TaskSpec, prepared: Prepared, lr: float, decay: float) -> float:
    """The share of validation puzzles that the averaged weights solve after the whole budget."""
    settings = {"lr": str(lr), "weight_decay": str(decay), "validations": "1"}
    request = RunRequest((name,), task.name, "mini", (0,), settings=settings)
    study = plan(host(), request)
    model = study.models[0]
    assert model.part.spec.build is not None
    torch.manual_seed(named_seed("initial weights", 0))
    reasoner = model.part.spec.build(model.config, prepared.info)
    validation = prepared.read("validation")
    scores: list[float] = []

    def validate(averaged: Reasoner) -> Mapping[str, float]:
        scores.append(exact_share(predict(averaged, validation, Answering(CPU)), validation))
        return {}

    examples = ExampleStream(
        prepared.read("train"),
        task.augmentation(prepared.info),
        study.budget.augmentations,
        task_seed=0,
        seed=0,
        exploration=Exploration(model.training.exploration, reasoner.supervision_steps),
        device=CPU,
    )
    flops = count_flops(reasoner, prepared.info.cells)
    trainer = Trainer(
        reasoner, examples, model.training, study.budget, flops, cells=prepared.info.cells, device=CPU
    )
    trainer.run(Watcher(lambda line: None, validate))
    return scores[-1]


def main() -> None:
    """Print the grid of one task as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--models", default=MODELS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    part = host().tasks.get(arguments.task)
    prepared = prepare(part, BuildRequest("mini", 0))
    print("| model | lr | weight decay | validation % | seconds |\n|---|---:|---:|---:|---:|", flush=True)
    grid = itertools.product(LEARNING_RATES, WEIGHT_DECAYS, arguments.models.split(","))
    for lr, decay, name in grid:
        started = time.perf_counter()
        score = validation_score(name, part.spec, prepared, lr, decay)
        seconds = time.perf_counter() - started
        print(f"| {name} | {lr:g} | {decay:g} | {100 * score:.1f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()

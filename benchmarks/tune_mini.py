"""The search behind the mini recipes: the same grid for every model, judged on validation alone.

    python benchmarks/tune_mini.py --task maze-hard
    python benchmarks/tune_mini.py --task arc-agi-1 --grid lr=5e-4,1e-3,2e-3 --grid embedding_lr=3e-3,1e-2

Trains each model once (seed 0) per point of the grid, under the budget of the task's mini scale, and prints
the primary metric on the validation puzzles, answered as the task's test split would be. The test split is
never read. The model's sizes and every other setting stay as the recipe has them.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from trm_bench.harness.api.predictions import Predictions
from trm_bench.harness.api.puzzles import PuzzleSet
from trm_bench.harness.api.randomness import named_seed
from trm_bench.harness.api.reasoner import Reasoner
from trm_bench.harness.api.specs import AugmentationRequest
from trm_bench.harness.data.examples import ExampleStream, Exploration
from trm_bench.harness.host.host import host
from trm_bench.harness.inference.inference import InferenceConfig, Views, answer, predict
from trm_bench.harness.planning.grid import Request, Study, plan
from trm_bench.harness.stats.scores import cluster_means
from trm_bench.harness.training.costs import count_flops
from trm_bench.harness.training.trainer import Trainer, Watcher

MODELS = "trm-mlp,trm-att,hrm,transformer,transformer-looped"
GRID = ("lr=1e-3,2e-3,4e-3,8e-3", "weight_decay=0.1,1.0")
CPU = torch.device("cpu")


def validation_score(name: str, task: str, settings: Mapping[str, str]) -> float:
    """The primary metric on validation after the whole budget, averaged weights, 0 to 1."""
    study = plan(host(), Request((name,), task, "mini", (0,), settings={**settings, "validations": "0"}))
    model, prepared, spec = study.models[0], study.prepared, study.task.spec
    assert model.part.spec.build is not None
    torch.manual_seed(named_seed("initial weights", 0))
    reasoner = model.part.spec.build(model.config, prepared.info)
    train = prepared.read("train")
    examples = ExampleStream(
        train,
        spec.augmentation(AugmentationRequest(prepared.info, train, prepared.identities, training=True)),
        study.budget.augmentations,
        task_seed=0,
        seed=0,
        exploration=Exploration(model.training.exploration, reasoner.supervision_steps),
        identities=prepared.identities,
        rows=prepared.rows,
    )
    flops, cells = count_flops(reasoner, prepared.info.cells), prepared.info.cells
    trainer = Trainer(reasoner, examples, model.training, study.budget, flops, cells=cells, device=CPU)
    trainer.run(Watcher(lambda line: None, lambda averaged: {}))
    trainer.settle()
    validation = prepared.read("validation")
    (primary,) = [part.spec for part in host().evaluators.parts if part.spec.name == spec.primary]
    samples = primary.evaluate(prepared.info, validation, answers(reasoner, validation, study))
    scores = np.array([[sample.score for sample in samples]])
    return float(cluster_means(scores, validation.clusters).mean())


def answers(reasoner: Reasoner, validation: PuzzleSet, study: Study) -> Predictions:
    """As a cell answers its test split, by vote where the task has it."""
    votes, prepared = study.cells[0].identity.votes, study.prepared
    if votes is None or prepared.identities is None or prepared.rows is None:
        return predict(reasoner, validation, InferenceConfig(CPU))
    rows, who = prepared.rows, validation.identifiers
    blank = replace(validation, targets=np.zeros_like(validation.targets))
    request = AugmentationRequest(prepared.info, blank, prepared.identities, training=False)
    views = Views(
        study.task.spec.augmentation(request),
        0,
        np.minimum(prepared.identities.augmentations[who], votes),
        lambda items, ks: rows.of(who[items], ks),
    )
    reading = InferenceConfig((reasoner.supervision_steps,))
    return answer(reasoner, validation, InferenceConfig(CPU), reading, views)[0].predictions


def main() -> None:
    """Print the grid of one task as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--grid", action="append", help="a training setting and its values; may be repeated")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    axes = [axis.partition("=") for axis in arguments.grid or GRID]
    keys = [key for key, _, _ in axes]
    print(
        f"| model | {' | '.join(keys)} | validation % | seconds |\n|---|{'---:|' * (len(keys) + 2)}",
        flush=True,
    )
    for name in arguments.models.split(","):
        for values in itertools.product(*(texts.split(",") for _, _, texts in axes)):
            started = time.perf_counter()
            score = validation_score(name, arguments.task, dict(zip(keys, values, strict=True)))
            seconds = time.perf_counter() - started
            print(f"| {name} | {' | '.join(values)} | {100 * score:.1f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()

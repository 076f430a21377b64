"""The search behind the mini recipes: the same grid for every model, judged on validation alone.

    python benchmarks/tune_mini.py --task maze-hard
    python benchmarks/tune_mini.py --task arc-agi-1 --grid lr=5e-4,1e-3,2e-3 --grid embedding_lr=3e-3,1e-2

Trains each model once (seed 0) per point of the grid, under the budget of the task's mini scale, and prints
the primary metric on the validation puzzles, predicted as a run predicts the test puzzles. The test split is
never read. The model's sizes and every other setting stay as the recipe has them.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from trm_bench.harness.host.host import host
from trm_bench.harness.inference.inference import Depths
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.running.worker import Worker
from trm_bench.harness.stats.scores import cluster_means
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.training.trainer import Watcher

MODELS = "trm-mlp,trm-att,hrm,transformer,transformer-looped"
GRID = ("lr=1e-3,2e-3,4e-3,8e-3", "weight_decay=0.1,1.0")


def validation_score(name: str, task: str, settings: Mapping[str, str]) -> float:
    """The primary metric on validation after the whole budget, averaged weights, 0 to 1."""
    grid = plan_training(
        host(), Request((name,), task, "mini", (0,), settings={**settings, "validations": 0})
    )
    (job,) = grid.jobs
    worker = Worker(host(), job, RunFolder(Path()), lambda line: None)
    trainer = worker.trainer()
    trainer.run(Watcher(lambda line: None, lambda averaged: {}))
    trainer.settle()
    validation = job.prepared.read("validation")
    (read,) = worker.infer(validation, Depths((worker.model.supervision_steps,)))
    (primary,) = [part.spec for part in grid.context.evaluators if part.spec.name == grid.task.primary]
    samples = primary.evaluate(job.prepared.info, validation, read.predictions)
    scores = np.array([[sample.score for sample in samples]])
    return float(cluster_means(scores, validation.clusters).mean())


def main() -> None:
    """Print the grid of one task as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", required=True)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--grid", action="append", help="a training setting and its values; may be repeated")
    arguments = parser.parse_args()
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

"""Where the time of a training step goes, part by part, each waited for.

    python benchmarks/step_parts.py [--task sudoku-extreme] [--scale mini] [--batch N] [--models trm,hrm]

The parts are those of `Trainer._on_device`, in its order; also the host's part (making and sending draws).
Waiting between them costs what an accelerator would overlap, so the sum is more than a step takes there.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from tabulate import tabulate
from trm_bench.harness.host.host import host
from trm_bench.harness.nn.loss import step_loss
from trm_bench.harness.nn.precision import refresh
from trm_bench.harness.planning.models import split_models
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.running.speed import AT_MOST
from trm_bench.harness.running.worker import Worker
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.training.device import autocast, synchronize
from trm_bench.harness.training.supervision import continue_target
from trm_bench.harness.training.trainer import Trainer

WARM_UP, LEAST = 3, 3


class Parts:
    """Adds up the seconds of named parts."""

    def __init__(self, device: torch.device):
        self.device, self.seconds = device, defaultdict[str, float](float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done inside, until the device has done it."""
        synchronize(self.device)
        started = time.perf_counter()
        yield
        synchronize(self.device)
        self.seconds[name] += time.perf_counter() - started


def step(one: Trainer, parts: Parts) -> None:
    """`Trainer.step`, taken apart."""
    slots = one.slots
    with parts.part("draws (host)"):
        one.feed.refresh()
    one.optimiser.prepare(one.config.lr)
    one.embedding_optimiser.prepare(one.config.embedding_lr)
    with parts.part("refill"):
        slots.refill(one.feed)
    with parts.part("weights to bf16"):
        refresh(one.model)
    with autocast(one.device, one.config.precision):
        with parts.part("forward"):
            state, output = one.model(slots.state, slots.inputs, slots.puzzle_ids)
        with parts.part("second pass"):
            target = continue_target(slots, state)
    with parts.part("loss"):
        loss = step_loss(output, slots.targets, target)
    with parts.part("backward"):
        (loss.total / one.budget.batch_size).backward()  # type: ignore[no-untyped-call]
    with parts.part("optimiser"):
        one.optimiser.update()
        one.embedding_optimiser.collect()
        one.embedding_optimiser.update()
        one.optimiser.zero_grad()
    with parts.part("average"):
        if one.ema:
            one.ema.update()
    with parts.part("slots, metrics"):
        slots.advance(state, output)
        one.average.add(loss, slots.steps)
    one.feed.note(slots.drawn)
    one.steps += 1


def main() -> None:
    """Print a column of percentages for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="sudoku-extreme")
    parser.add_argument("--scale", default="mini")
    parser.add_argument("--models", default="trm,hrm,transformer")
    parser.add_argument("--batch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each model")
    given = parser.parse_args()
    settings = {"batch_size": given.batch} if given.batch else {}
    names = tuple(split_models(given.models))
    request = Request(names, given.task, given.scale, (0,), device=given.device, settings=settings)
    grid = plan_training(host(), request, at_most=AT_MOST)
    assert grid.budget is not None
    columns: dict[str, dict[str, float]] = {}
    for job in grid.jobs:
        worker = Worker(host(), job, RunFolder(Path()), lambda line: None)
        one, counted = worker.trainer(), 0
        for _ in range(WARM_UP):
            step(one, Parts(worker.device))
        parts, started = Parts(worker.device), time.perf_counter()
        while counted < LEAST or time.perf_counter() - started < given.seconds:
            step(one, parts)
            counted += 1
        total = sum(parts.seconds.values())
        columns[job.run.description.model] = {"ms a step": 1000 * total / counted} | {
            name: 100 * seconds / total for name, seconds in parts.seconds.items()
        }
    rows = [
        [
            name if name == "ms a step" else f"{name} %",
            *(f"{column[name]:.1f}" for column in columns.values()),
        ]
        for name in next(iter(columns.values()))
    ]
    print(f"{given.task}, {given.scale}, batch {grid.budget.batch_size}, {given.device}")
    print(tabulate(rows, headers=["", *columns], disable_numparse=True))


if __name__ == "__main__":
    main()

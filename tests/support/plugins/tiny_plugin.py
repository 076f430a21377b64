"""A plugin that trains in a second: mirror a row of tokens. Only public names are used."""

from __future__ import annotations

import os
import time

import numpy as np
from pydantic import BaseModel

from trm_bench import (
    BuildRequest,
    DataError,
    EvaluatorSpec,
    ModelSpec,
    NoAugmentation,
    PuzzleSet,
    Sample,
    Scale,
    Source,
    TaskData,
    TaskInfo,
    TaskSpec,
    hookimpl,
)

CELLS, VOCAB = 6, 5
SLOW = "TINY_SLOW"
"""Names a file: for as long as it is there, every step of `mirror` takes at least a twentieth of a second."""


def build(request: BuildRequest) -> TaskData:
    if request.options.get("broken"):
        raise DataError("tiny.csv:3: the question has 5 cells, not 6")
    tokens = np.random.default_rng(request.seed).integers(1, VOCAB, (200, CELLS)).astype(np.uint8)
    tokens = np.unique(tokens, axis=0)
    puzzles = PuzzleSet.single_identity(
        tokens, tokens[:, ::-1].copy(), [f"row-{i}" for i in range(len(tokens))]
    )
    order = np.random.default_rng(0).permutation(len(puzzles))
    info = TaskInfo("tiny", request.scale, height=1, width=CELLS, vocab_size=VOCAB)
    return TaskData(
        info,
        puzzles.take(order[:120]),
        puzzles.take(order[120:140]),
        puzzles.take(order[140:180]),
        Source("generated", f"mirrored rows, seed {request.seed}"),
    )


class Config(BaseModel):
    hidden: int = 16
    explode: bool = False
    crash: bool = False


def build_model(config: Config, task: TaskInfo) -> object:
    import torch

    from trm_bench import Output, Reasoner

    class Mirror(Reasoner):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(task.vocab_size, config.hidden)
            self.mix = torch.nn.Linear(task.cells, task.cells)
            self.head = torch.nn.Linear(config.hidden, task.vocab_size)

        def forward(self, state, inputs, puzzle_ids):  # type: ignore[no-untyped-def]
            if (slow := os.environ.get(SLOW)) and os.path.exists(slow):
                time.sleep(0.05)
            mixed = self.mix(self.embed(inputs).transpose(1, 2)).transpose(1, 2)
            logits = self.head(mixed)
            if config.explode:
                logits = logits / 0
            if config.crash and inputs.device.type != "meta":
                os._exit(7)
            return state, Output(logits)

    return Mirror()


def first_cell(task: TaskInfo, puzzles: PuzzleSet, predictions: object) -> list[Sample]:
    right = predictions.tokens[:, 0] == puzzles.targets[:, 0]  # type: ignore[attr-defined]
    return [
        Sample(str(item), str(cluster), float(score))
        for item, cluster, score in zip(puzzles.ids, puzzles.clusters, right, strict=True)
    ]


@hookimpl
def trm_bench_register_tasks() -> list[TaskSpec]:
    mini = Scale("mini", "rows of 6 tokens", steps=150, batch_size=16, augmentations=1)
    return [
        TaskSpec(
            name="tiny",
            summary="mirror a row",
            version=1,
            scales={"mini": mini},
            build=build,
            augmentation=lambda request: NoAugmentation(),
            evaluators=("exact", "first-cell", "cells"),
            primary="exact",
            options=("broken",),
        )
    ]


@hookimpl
def trm_bench_register_models() -> list[ModelSpec]:
    return [ModelSpec("mirror", "one linear map over positions", config=Config, build=build_model)]


@hookimpl
def trm_bench_register_evaluators() -> list[EvaluatorSpec]:
    return [
        EvaluatorSpec("first-cell", "is the first cell right", evaluate=first_cell),
        EvaluatorSpec("last-cell", "one that no task requests", evaluate=first_cell, tasks=("tiny",)),
    ]

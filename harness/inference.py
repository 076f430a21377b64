"""Answers of a trained model: every supervision step is run, as in the published evaluations."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device import autocast, synchronize
from .predictions import Predictions
from .puzzles import PuzzleSet, Tokens
from .reasoner import Reasoner, halt_decision

LATENCY_REPEATS = 5
LATENCY_SECONDS = 5.0
"""No further repeat is begun after this long: a large model on a CPU takes minutes for one puzzle."""


@dataclass(frozen=True)
class Answering:
    """How a model is made to answer.

    Attributes:
        device: where.
        precision: ``float32`` or ``bf16``.
        batch_size: puzzles at a time.
    """

    device: torch.device
    precision: str = "float32"
    batch_size: int = 256


@torch.inference_mode()
def predict(
    model: Reasoner, puzzles: PuzzleSet, how: Answering, progress: Callable[[float], None] | None = None
) -> Predictions:
    """Answer every puzzle with all N_sup supervision steps; leaves the model in its mode.

    ``progress`` is called after each batch with the share of puzzles that are answered.
    """
    training = model.training
    model.eval()
    parts = []
    try:
        for start in range(0, len(puzzles), how.batch_size):
            parts.append(_answer(model, puzzles.take(slice(start, start + how.batch_size)), how))
            if progress is not None:
                progress(min(1.0, (start + how.batch_size) / len(puzzles)))
    finally:
        model.train(training)
    answers, halts, probabilities = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Predictions(answers, model.supervision_steps, halts, probabilities)


def _answer(
    model: Reasoner, puzzles: PuzzleSet, how: Answering
) -> tuple[Tokens, NDArray[np.int64], NDArray[np.float64]]:
    inputs = torch.from_numpy(puzzles.inputs.astype(np.int64)).to(how.device)
    ids = torch.from_numpy(puzzles.identifiers.astype(np.int64)).to(how.device)
    halts = torch.full((len(puzzles),), model.supervision_steps, device=how.device)
    state = model.initial_state(len(puzzles))
    with autocast(how.device, how.precision):
        for step in range(1, model.supervision_steps + 1):
            state, output = model(state, inputs, ids)
            now = halt_decision(model.halting, output)
            halts = torch.where(now, halts.clamp(max=step), halts)
    answers = output.logits.argmax(-1).to(torch.uint8).cpu().numpy()
    return answers, halts.cpu().numpy(), _probability(output.q_halt, len(puzzles))


def _probability(q_halt: Tensor | None, count: int) -> NDArray[np.float64]:
    if q_halt is None:
        return np.full(count, np.nan)
    return q_halt.float().cpu().double().sigmoid().numpy()  # MPS has no float64


def milliseconds_per_puzzle(model: Reasoner, puzzles: PuzzleSet, how: Answering) -> float:
    """Median wall time of one puzzle alone, all supervision steps; the first try is a warm-up."""
    alone = puzzles.take(slice(0, 1))
    times: list[float] = []
    while len(times) <= LATENCY_REPEATS and sum(times) < LATENCY_SECONDS:
        started = time.perf_counter()
        predict(model, alone, how)
        synchronize(how.device)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[1:] or times)

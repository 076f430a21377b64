"""Answers of a trained model: every supervision step is run, as in the published evaluations."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .augment import Augmentation, Ints
from .device import autocast, synchronize
from .predictions import Predictions
from .puzzles import PuzzleSet, Tokens
from .reasoner import Reasoner, halt_decision
from .voting import BallotBox

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


@dataclass(frozen=True)
class Views:
    """How test items are answered by vote: each under the first variants that it has.

    Attributes:
        augmentation: of the test split.
        seed: the task seed; the variants are those of training.
        votes: (N,) variants of each item.
        rows: items (V,) and their variants (V,) to rows of the puzzle embedding (V,).
    """

    augmentation: Augmentation
    seed: int
    votes: Ints
    rows: Callable[[Ints, Ints], Ints]


def predict(
    model: Reasoner, puzzles: PuzzleSet, how: Answering, progress: Callable[[float], None] | None = None
) -> Predictions:
    """Answer every puzzle with all N_sup supervision steps; leaves the model in its mode.

    ``puzzles.identifiers`` are rows of the puzzle embedding. ``progress`` is called after each batch with
    the share of puzzles that are answered.
    """
    parts = []
    with _evaluating(model):
        for start in range(0, len(puzzles), how.batch_size):
            batch = puzzles.take(slice(start, start + how.batch_size))
            parts.append(_answer(model, batch.inputs, batch.identifiers, how))
            if progress is not None:
                progress(min(1.0, (start + how.batch_size) / len(puzzles)))
    answers, halts, probabilities = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Predictions(answers, model.supervision_steps, halts, probabilities)


def predict_by_vote(
    model: Reasoner,
    puzzles: PuzzleSet,
    views: Views,
    how: Answering,
    progress: Callable[[float], None] | None = None,
) -> Predictions:
    """Answer every puzzle under its variants, with the same weights, and collect the ballots.

    Every supervision step of every view is run. Apart from the ballots, the result is that of the puzzles
    as they are (variant 0).
    """
    items = np.repeat(np.arange(len(puzzles)), views.votes)
    ks = np.arange(len(items)) - np.repeat(np.cumsum(views.votes) - views.votes, views.votes)
    box, plain = BallotBox(views.votes), []
    with _evaluating(model):
        for start in range(0, len(items), how.batch_size):
            here = slice(start, start + how.batch_size)
            variants = views.augmentation.variants(views.seed, items[here], ks[here])
            rows = views.rows(items[here], ks[here])
            answers, halts, probabilities = _answer(
                model, variants.apply(puzzles.inputs[items[here]]), rows, how
            )
            box.add(items[here], ks[here], variants.invert(answers), probabilities)
            itself = ks[here] == 0
            plain.append((answers[itself], halts[itself], probabilities[itself]))
            if progress is not None:
                progress(min(1.0, (start + how.batch_size) / len(items)))
    answers, halts, probabilities = (np.concatenate(column) for column in zip(*plain, strict=True))
    return Predictions(answers, model.supervision_steps, halts, probabilities, box.ballots())


@contextmanager
def _evaluating(model: Reasoner) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def _answer(
    model: Reasoner, questions: Tokens, puzzle_ids: NDArray[np.integer], how: Answering
) -> tuple[Tokens, NDArray[np.int64], NDArray[np.float64]]:
    inputs = torch.from_numpy(questions.astype(np.int64)).to(how.device)
    ids = torch.from_numpy(puzzle_ids.astype(np.int64)).to(how.device)
    halts = torch.full((len(questions),), model.supervision_steps, device=how.device)
    state = model.initial_state(len(questions))
    with autocast(how.device, how.precision):
        for step in range(1, model.supervision_steps + 1):
            state, output = model(state, inputs, ids)
            now = halt_decision(model.halting, output)
            halts = torch.where(now, halts.clamp(max=step), halts)
    answers = output.logits.argmax(-1).to(torch.uint8).cpu().numpy()
    return answers, halts.cpu().numpy(), _probability(output.q_halt, len(questions))


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

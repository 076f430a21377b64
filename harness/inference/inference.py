"""Answers of a trained model, by default after every supervision step, as in the published evaluations."""

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

from ..api.augment import Augmentation, Ints
from ..api.predictions import Predictions
from ..api.puzzles import PuzzleSet, Tokens
from ..api.reasoner import Reasoner, halt_decision
from ..api.voting import BallotBox
from ..training.device import autocast, synchronize

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

    def pairs(self) -> tuple[Ints, Ints]:
        """(V,) the item and (V,) the variant of every vote, variant 0 of an item first."""
        items = np.repeat(np.arange(len(self.votes)), self.votes)
        return items, np.arange(len(items)) - np.repeat(np.cumsum(self.votes) - self.votes, self.votes)


@dataclass(frozen=True)
class Pass:
    """One way through the supervision steps.

    Attributes:
        depths: rising; an answer is read after each of these numbers of steps.
        halting: whether a puzzle stops, and leaves the batch, when the model's own rule says so.
    """

    depths: tuple[int, ...]
    halting: bool = False


@dataclass(frozen=True)
class Answered:
    """What was read at one depth.

    Attributes:
        predictions: the answers.
        seconds: wall time from the start to this depth, all batches together.
        steps: mean supervision steps that a puzzle took.
    """

    predictions: Predictions
    seconds: float
    steps: float


def predict(
    model: Reasoner, puzzles: PuzzleSet, how: Answering, progress: Callable[[float], None] | None = None
) -> Predictions:
    """Answer every puzzle with all N_sup supervision steps; see `answer`."""
    return answer(model, puzzles, how, Pass((model.supervision_steps,)), progress=progress)[0].predictions


def answer(
    model: Reasoner,
    puzzles: PuzzleSet,
    how: Answering,
    reading: Pass,
    views: Views | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Answered]:
    """Answer every puzzle, and read the answers at each depth; leaves the model in its mode.

    ``puzzles.identifiers`` are rows of the puzzle embedding, unless ``views`` say under which variants each
    puzzle is answered: then the result has ballots, and is else that of the puzzles as they are (variant 0).
    ``progress`` is called after each batch with the share that is done.
    """
    items, ks = (
        (np.arange(len(puzzles)), np.zeros(len(puzzles), np.int64)) if views is None else views.pairs()
    )
    columns = [_Column(depth, reading.halting, views) for depth in reading.depths]
    with _evaluating(model):
        for start in range(0, len(items), how.batch_size):
            here = slice(start, start + how.batch_size)
            questions, rows, undo = _questions(puzzles, views, items[here], ks[here])
            reads = _answer(model, questions, rows, how, reading)
            for column, read in zip(columns, reads, strict=True):
                column.add(items[here], ks[here], read, undo)
            if progress is not None:
                progress(min(1.0, (start + how.batch_size) / len(items)))
    return [column.answered() for column in columns]


def _questions(
    puzzles: PuzzleSet, views: Views | None, items: Ints, ks: Ints
) -> tuple[Tokens, NDArray[np.integer], Callable[[Tokens], Tokens]]:
    """What is asked, under which rows of the puzzle embedding, and how an answer is undone."""
    if views is None:
        return puzzles.inputs[items], puzzles.identifiers[items], lambda answers: answers
    variants = views.augmentation.variants(views.seed, items, ks)
    return variants.apply(puzzles.inputs[items]), views.rows(items, ks), variants.invert


@dataclass(frozen=True)
class _Read:
    """A batch at one depth: answers (n, L), first halt (n,), halt probability (n,), wall time until then."""

    answers: Tokens
    halts: Ints
    probability: NDArray[np.float64]
    seconds: float


class _Column:
    """Collects batches at one depth."""

    def __init__(self, depth: int, halting: bool, views: Views | None):
        self.depth, self.halting = depth, halting
        self.box = None if views is None else BallotBox(views.votes)
        self.parts: list[tuple[Tokens, Ints, NDArray[np.float64]]] = []
        self.seconds = 0.0
        self.steps: list[Ints] = []

    def add(self, items: Ints, ks: Ints, read: _Read, undo: Callable[[Tokens], Tokens]) -> None:
        if self.box is not None:
            self.box.add(items, ks, undo(read.answers), read.probability)
        itself = ks == 0
        self.parts.append((read.answers[itself], read.halts[itself], read.probability[itself]))
        self.seconds += read.seconds
        self.steps.append(read.halts if self.halting else np.full(len(read.halts), self.depth))

    def answered(self) -> Answered:
        answers, halts, probability = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        ballots = None if self.box is None else self.box.ballots()
        predictions = Predictions(answers, self.depth, halts, probability, ballots, self.halting)
        return Answered(predictions, self.seconds, float(np.concatenate(self.steps).mean()))


@contextmanager
def _evaluating(model: Reasoner) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        # Batches shrink as puzzles leave: what was compiled for one size would be compiled again and again.
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        model.train(training)


def _answer(
    model: Reasoner, questions: Tokens, puzzle_ids: NDArray[np.integer], how: Answering, reading: Pass
) -> list[_Read]:
    started = time.perf_counter()
    inputs = torch.from_numpy(questions.astype(np.int64)).to(how.device)
    ids = torch.from_numpy(puzzle_ids.astype(np.int64)).to(how.device)
    count, most = len(questions), reading.depths[-1]
    answers = torch.zeros_like(inputs, dtype=torch.uint8)
    q_halt = torch.full((count,), float("nan"), device=how.device)
    halts = torch.full((count,), most, device=how.device)
    running = torch.arange(count, device=how.device)  # the rows of the batch that are still in it
    state, reads = model.initial_state(count), []
    with autocast(how.device, how.precision):
        for step in range(1, most + 1):
            if len(running):
                state, output = model(state, inputs, ids)
                now = halt_decision(model.halting, output)
                halts[running] = torch.where(now, halts[running].clamp(max=step), halts[running])
            leaving = reading.halting and len(running) and bool(now.any())
            if len(running) and (leaving or step in reading.depths):
                answers[running] = output.logits.argmax(-1).to(torch.uint8)
                if output.q_halt is not None:
                    q_halt[running] = output.q_halt.float()
            if leaving:
                running, inputs, ids = running[~now], inputs[~now], ids[~now]
                state = tuple(part[~now] for part in state)
            if step in reading.depths:
                reads.append(_read(answers, halts.clamp(max=step), q_halt, how, started))
    return reads


def _read(answers: Tensor, halts: Tensor, q_halt: Tensor, how: Answering, started: float) -> _Read:
    synchronize(how.device)
    seconds = time.perf_counter() - started
    # Copied, because the next depth writes into the same memory.
    return _Read(
        answers.cpu().numpy().copy(),
        halts.cpu().numpy().copy(),
        q_halt.cpu().double().sigmoid().numpy(),  # MPS has no float64
        seconds,
    )


def milliseconds_per_puzzle(model: Reasoner, puzzles: PuzzleSet, how: Answering, reading: Pass) -> float:
    """Median wall time of one puzzle alone; the first try is a warm-up."""
    alone = puzzles.take(slice(0, 1))
    times: list[float] = []
    while len(times) <= LATENCY_REPEATS and sum(times) < LATENCY_SECONDS:
        started = time.perf_counter()
        answer(model, alone, how, reading)
        synchronize(how.device)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[1:] or times)

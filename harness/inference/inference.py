"""Predictions of a trained model, by default after all supervision steps, as in the published evaluations."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..api.augment import Augmentation, Ints
from ..api.predictions import Predictions
from ..api.puzzles import PuzzleSet, Tokens
from ..api.reasoner import Reasoner, halt_decision
from ..api.voting import BallotBox
from ..nn.precision import refresh, set_precision
from ..training.device import autocast, synchronize

LATENCY_REPEATS = 5
LATENCY_SECONDS = 5.0
"""No further repeat is started after this time: a large model on a CPU takes minutes for one puzzle."""


@dataclass(frozen=True)
class InferenceConfig:
    """How predictions are computed.

    Attributes:
        device: where.
        precision: ``float32`` or ``bf16``.
        batch_size: puzzles at a time.
        compiled: whether the model's compiled parts are used, which are made for one size of batch.
    """

    device: torch.device
    precision: str = "float32"
    batch_size: int = 256
    compiled: bool = False


@dataclass(frozen=True)
class Views:
    """The augmented views under which test items are voted on: the first augmentations of each.

    Attributes:
        augmentation: of the test split.
        seed: the task seed; the augmentations are those of training.
        votes: (N,) views of each item.
        rows: items (V,) and their augmentations (V,) to rows of the puzzle embedding (V,).
    """

    augmentation: Augmentation
    seed: int
    votes: Ints
    rows: Callable[[Ints, Ints], Ints]

    def pairs(self) -> tuple[Ints, Ints]:
        """(V,) the item and (V,) the augmentation of every vote, augmentation 0 of an item first."""
        items = np.repeat(np.arange(len(self.votes)), self.votes)
        return items, np.arange(len(items)) - np.repeat(np.cumsum(self.votes) - self.votes, self.votes)


@dataclass(frozen=True)
class Depths:
    """The supervision steps after which predictions are read, in one pass.

    Attributes:
        steps: rising.
        halting: whether a puzzle stops, and leaves the batch, when the model's own rule says stop.
    """

    steps: tuple[int, ...]
    halting: bool = False


@dataclass(frozen=True)
class Read:
    """Predictions read at one depth.

    Attributes:
        predictions: of every puzzle.
        seconds: wall time from the start to this depth, all batches together.
        steps: mean supervision steps that a puzzle took.
        stopped: (N,) whether the model's own rule has said stop until this depth.
    """

    predictions: Predictions
    seconds: float
    steps: float
    stopped: NDArray[np.bool_]


def predict(
    model: Reasoner,
    puzzles: PuzzleSet,
    config: InferenceConfig,
    progress: Callable[[float], None] | None = None,
) -> Predictions:
    """Predict every puzzle with all N_sup supervision steps; see `infer`."""
    return infer(model, puzzles, config, Depths((model.supervision_steps,)), progress=progress)[0].predictions


def infer(
    model: Reasoner,
    puzzles: PuzzleSet,
    config: InferenceConfig,
    depths: Depths,
    views: Views | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Read]:
    """Run every puzzle through the model, and read predictions at each depth; leaves the model in its mode.

    ``puzzles.identifiers`` are rows of the puzzle embedding, unless ``views`` are given: then every puzzle is
    predicted under each of its views, the result has ballots, and its predictions are of augmentation 0.
    ``progress`` is called after each batch with the share that is done.
    """
    items, ks = (
        (np.arange(len(puzzles)), np.zeros(len(puzzles), np.int64)) if views is None else views.pairs()
    )
    columns = [_Column(steps, depths.halting, views) for steps in depths.steps]
    size = min(config.batch_size, len(items))
    compiled = config.compiled and not depths.halting  # where puzzles leave, every batch has another size
    with _evaluating(model, config.precision, compiled):
        for start in range(0, len(items), config.batch_size):
            here = slice(start, start + config.batch_size)
            inputs, rows, undo = _inputs(puzzles, views, items[here], ks[here])
            count = len(inputs)
            if compiled and count < size:  # the last batch is filled up
                again = np.arange(size) % count
                inputs, rows = inputs[again], rows[again]
            for column, batch in zip(columns, _run(model, inputs, rows, config, depths), strict=True):
                column.add(items[here], ks[here], batch.first(count), undo)
            if progress is not None:
                progress(min(1.0, (start + config.batch_size) / len(items)))
    return [column.read() for column in columns]


def _inputs(
    puzzles: PuzzleSet, views: Views | None, items: Ints, ks: Ints
) -> tuple[Tokens, NDArray[np.integer], Callable[[Tokens], Tokens]]:
    """Inputs, rows of the puzzle embedding, and how to undo a view in a prediction."""
    if views is None:
        return puzzles.inputs[items], puzzles.identifiers[items], lambda tokens: tokens
    transforms = views.augmentation.transforms(views.seed, items, ks)
    return transforms.apply(puzzles.inputs[items]), views.rows(items, ks), transforms.invert


@dataclass(frozen=True)
class _Batch:
    """A batch at one depth: tokens (n, L), first halt (n,), halt probability (n,), wall time until then."""

    tokens: Tokens
    halts: Ints
    probability: NDArray[np.float64]
    seconds: float

    def first(self, count: int) -> _Batch:
        """Without the puzzles that filled it up."""
        return _Batch(self.tokens[:count], self.halts[:count], self.probability[:count], self.seconds)


class _Column:
    """Collects batches at one depth."""

    def __init__(self, depth: int, halting: bool, views: Views | None):
        self.depth, self.halting = depth, halting
        self.box = None if views is None else BallotBox(views.votes)
        self.parts: list[tuple[Tokens, Ints, NDArray[np.float64]]] = []
        self.seconds = 0.0
        self.steps: list[Ints] = []

    def add(self, items: Ints, ks: Ints, batch: _Batch, undo: Callable[[Tokens], Tokens]) -> None:
        if self.box is not None:
            self.box.add(items, ks, undo(batch.tokens), batch.probability)
        itself = ks == 0
        self.parts.append((batch.tokens[itself], batch.halts[itself], batch.probability[itself]))
        self.seconds += batch.seconds
        taken = np.minimum(batch.halts, self.depth)
        self.steps.append(taken if self.halting else np.full(len(taken), self.depth))

    def read(self) -> Read:
        tokens, halts, probability = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        ballots = None if self.box is None else self.box.ballots()
        halt_steps = np.minimum(halts, self.depth)
        predictions = Predictions(tokens, self.depth, halt_steps, probability, ballots, self.halting)
        mean_steps = float(np.concatenate(self.steps).mean())
        return Read(predictions, self.seconds, mean_steps, halts <= self.depth)


@contextmanager
def _evaluating(model: Reasoner, precision: str, compiled: bool) -> Iterator[None]:
    training = model.training
    model.eval()
    set_precision(model, precision)
    refresh(model)
    try:
        with torch.inference_mode(), torch.compiler.set_stance("default" if compiled else "force_eager"):
            yield
    finally:
        model.train(training)


def _run(
    model: Reasoner, tokens: Tokens, rows: NDArray[np.integer], config: InferenceConfig, depths: Depths
) -> list[_Batch]:
    """One batch through all supervision steps, read at each depth."""
    started = time.perf_counter()
    inputs = torch.from_numpy(tokens.astype(np.int64)).to(config.device)
    ids = torch.from_numpy(rows.astype(np.int64)).to(config.device)
    count, last = len(tokens), depths.steps[-1]
    predicted = torch.zeros_like(inputs, dtype=torch.uint8)
    q_halt = torch.full((count,), float("nan"), device=config.device)
    halts = torch.full((count,), last + 1, device=config.device)  # after the last step: never yet
    running = torch.arange(count, device=config.device)  # the rows of the batch that are still in it
    state, reads = model.initial_state(count), []
    with autocast(config.device, config.precision):
        for step in range(1, last + 1):
            if len(running):
                state, output = model(state, inputs, ids)
                stop = halt_decision(model.halting, output)
                halts[running] = torch.where(stop, halts[running].clamp(max=step), halts[running])
            leaving = depths.halting and len(running) and bool(stop.any())
            if len(running) and (leaving or step in depths.steps):
                predicted[running] = output.logits.argmax(-1).to(torch.uint8)
                if output.q_halt is not None:
                    q_halt[running] = output.q_halt.float()
            if leaving:
                running, inputs, ids = running[~stop], inputs[~stop], ids[~stop]
                state = tuple(part[~stop] for part in state)
            if step in depths.steps:
                reads.append(_read(predicted, halts, q_halt, config, started))
    return reads


def _read(
    predicted: Tensor, halts: Tensor, q_halt: Tensor, config: InferenceConfig, started: float
) -> _Batch:
    synchronize(config.device)
    seconds = time.perf_counter() - started
    # Copied, because the next depth writes into the same memory.
    return _Batch(
        predicted.cpu().numpy().copy(),
        halts.cpu().numpy().copy(),
        q_halt.cpu().double().sigmoid().numpy(),  # MPS has no float64
        seconds,
    )


def milliseconds_per_puzzle(
    model: Reasoner, puzzles: PuzzleSet, config: InferenceConfig, depths: Depths
) -> float:
    """Median wall time of one puzzle alone; the first try is a warm-up."""
    alone = puzzles.take(slice(0, 1))
    times: list[float] = []
    while len(times) <= LATENCY_REPEATS and sum(times) < LATENCY_SECONDS:
        started = time.perf_counter()
        infer(model, alone, replace(config, compiled=False), depths)
        synchronize(config.device)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[1:] or times)

"""Predictions of a trained model, by default after all supervision steps, as in the published evaluations."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..api.augment import Augmentation, Ints
from ..api.errors import PluginError, TrainingDiverged
from ..api.predictions import Predictions
from ..api.puzzles import PuzzleSet, Tokens
from ..api.reasoner import Reasoner, halt_decision, supervise
from ..api.rollouts import Rollouts, Select
from ..api.text import plural
from ..api.voting import BallotBox
from ..nn.noise import KeyedNormal
from ..nn.precision import refresh, set_precision
from ..training.device import autocast, synchronize
from ..training.group import ALONE, Group
from .rollouts import Residual, choose, digests, item_numbers, keys_of

ONCE = Rollouts()
LATENCY_REPEATS, LATENCY_PUZZLES = 5, 20
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
        group: the processes among which the batches are dealt, each of which gets all predictions.
        vocabulary: tokens of the task, which the model's classes must be; None where it is not known.
    """

    device: torch.device
    precision: str = "float32"
    batch_size: int = 256
    compiled: bool = False
    group: Group = ALONE
    vocabulary: int | None = None


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
        seconds: wall time from the start to this depth, all batches together; those that several processes
            compute at the same time count once.
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
    rollouts: Rollouts = ONCE,
) -> list[Read]:
    """Run every puzzle through the model, and read predictions at each depth; leaves the model in its mode.

    ``puzzles.identifiers`` are rows of the puzzle embedding, unless ``views`` are given: then every puzzle is
    predicted under each of its views, the result has ballots, and its predictions are of augmentation 0.
    ``progress`` is called after each batch with the share that is done. With ``rollouts``, each puzzle (or
    view) is predicted several times, and one of these answers counts; those of a puzzle are in one batch.
    """
    items, ks = _once(puzzles) if views is None else views.pairs()
    columns = [_Column(steps, depths.halting, views) for steps in depths.steps]
    numbers = item_numbers(puzzles.ids) if rollouts.count > 1 or rollouts.noise or model.stochastic else None
    most = max(1, config.batch_size // rollouts.count)  # puzzles or views in a batch
    size = min(most, len(items))
    compiled = config.compiled and not depths.halting  # where puzzles leave, every batch has another size

    def one_batch(here: slice, depths: Depths = depths) -> list[_Batch]:
        """The batch at every depth, its views undone."""
        inputs, rows, undo = _inputs(puzzles, views, items[here], ks[here])
        count = len(inputs)
        again = np.arange(size if compiled else count) % count  # the last batch is filled up
        each = np.repeat(again, rollouts.count)
        keys = None if numbers is None else keys_of(rollouts, numbers[items[here]][again], ks[here][again])
        normal = None if keys is None else KeyedNormal(keys.to(config.device))
        with _drawing(model, normal):
            batches = _run(model, inputs[each], rows[each], config, depths, rollouts, normal)
        return [batch.chosen(rollouts, count, undo) for batch in batches]

    group = config.group
    slices = [slice(start, start + most) for start in range(0, len(items), most)]
    with _evaluating(model, config.precision, compiled):
        if compiled:
            one_batch(slices[0], Depths((1,)))  # compiling is no part of what a batch takes
        for first in range(0, len(slices), group.size):
            dealt = slices[first : first + group.size]
            own = [one_batch(here) for here in dealt[group.rank : group.rank + 1]]
            by_depth = zip(*chain.from_iterable(group.exchange(own)), strict=True)
            for column, batches in zip(columns, by_depth, strict=True):
                column.add([(items[here], ks[here]) for here in dealt], batches)
            if progress is not None:
                progress(min(1.0, dealt[-1].stop / len(items)))
    return [column.read() for column in columns]


def _once(puzzles: PuzzleSet) -> tuple[Ints, Ints]:
    """(N,) every puzzle, and (N,) its augmentation 0."""
    return np.arange(len(puzzles)), np.zeros(len(puzzles), np.int64)


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
    """A batch at one depth: tokens (n, L), first halt (n,), halt probability (n,), wall time until then.

    ``q`` (n,) are halt logits and ``residual`` (n,) changes of the logits. ``votes`` (n, L) are the tokens
    and ``every`` (n, K, L) the answers of all rollouts, with their views undone; ``taken`` (n, K) are the
    halts of all rollouts.
    """

    tokens: Tokens
    halts: Ints
    probability: NDArray[np.float64]
    seconds: float
    q: NDArray[np.float64]
    residual: NDArray[np.float64]
    votes: Tokens
    every: Tokens
    taken: Ints

    def chosen(self, rollouts: Rollouts, count: int, undo: Callable[[Tokens], Tokens]) -> _Batch:
        """One row for each puzzle, of the rollout that counts; without the puzzles that filled the batch up.

        The rule sees answers with their view undone: what a task takes for one answer counts as one.
        """
        K, each = rollouts.count, np.arange(count)
        answers = self.tokens.reshape(-1, K, self.tokens.shape[1])[:count]
        every = np.stack([undo(answers[:, k]) for k in range(K)], axis=1)
        q, residual = (of.reshape(-1, K)[:count] for of in (self.q, self.residual))
        taken = self.halts.reshape(-1, K)[:count]
        best = choose(rollouts.select, every, q, residual)
        kept = {name: getattr(self, name)[each * K + best] for name in ("tokens", "halts", "probability")}
        return replace(self, **kept, taken=taken, votes=every[each, best], every=every)


class _Column:
    """Collects batches at one depth."""

    def __init__(self, depth: int, halting: bool, views: Views | None):
        self.depth, self.halting = depth, halting
        self.box = None if views is None else BallotBox(views.votes)
        self.parts: list[tuple[Tokens, Ints, NDArray[np.float64]]] = []
        self.every: list[Tokens] = []
        self.digests: list[NDArray[np.uint64]] = []
        self.seconds = 0.0
        self.steps: list[Ints] = []

    def add(self, pairs: Sequence[tuple[Ints, Ints]], batches: Sequence[_Batch]) -> None:
        """Add batches that were computed at the same time, with the items and augmentations of each."""
        for (items, ks), batch in zip(pairs, batches, strict=True):
            if self.box is not None:
                self.box.add(items, ks, batch.votes, batch.probability)
            itself = ks == 0
            self.parts.append((batch.tokens[itself], batch.halts[itself], batch.probability[itself]))
            several = batch.every.shape[1] > 1
            if several and self.box is None:
                self.every.append(batch.every)
            elif several:
                self.digests.append(digests(batch.every))
            taken = np.minimum(batch.taken.ravel(), self.depth)
            self.steps.append(taken if self.halting else np.full(len(taken), self.depth))
        self.seconds += max(batch.seconds for batch in batches)

    def read(self) -> Read:
        tokens, halts, probability = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        ballots = None if self.box is None else self.box.ballots()
        halt_steps = np.minimum(halts, self.depth)
        predictions = Predictions(
            *(tokens, self.depth, halt_steps, probability, ballots, self.halting),
            rollouts=np.concatenate(self.every) if self.every else None,
            rollout_digests=np.concatenate(self.digests) if self.digests else None,
        )
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


@contextmanager
def _drawing(model: Reasoner, normal: KeyedNormal | None) -> Iterator[None]:
    model.normal = normal
    try:
        yield
    finally:
        model.normal = None


def _run(
    model: Reasoner,
    tokens: Tokens,
    rows: NDArray[np.integer],
    config: InferenceConfig,
    depths: Depths,
    rollouts: Rollouts,
    normal: KeyedNormal | None,
) -> list[_Batch]:
    """One batch through all supervision steps, read at each depth; ``normal`` is that of the model."""
    started = time.perf_counter()
    inputs = torch.from_numpy(tokens.astype(np.int64)).to(config.device)
    ids = torch.from_numpy(rows.astype(np.int64)).to(config.device)
    count, last = len(tokens), depths.steps[-1]
    predicted = torch.zeros_like(inputs, dtype=torch.uint8)
    q_halt = torch.full((count,), float("nan"), device=config.device)
    halts = torch.full((count,), last + 1, device=config.device)  # after the last step: never yet
    running = torch.arange(count, device=config.device)  # the rows of the batch that are still in it
    residual = Residual() if rollouts.select is Select.RESIDUAL else None
    state, reads = model.initial_state(count), []
    with autocast(config.device, config.precision):
        for step in range(1, last + 1):
            if normal is not None:
                normal.begin(step)
            if len(running):
                if rollouts.noise:
                    state = model.perturb(state, rollouts.noise, rollouts.on)
                state, output = supervise(model, state, inputs, ids)
                if residual is not None:
                    residual.add(output.logits)
                stop = halt_decision(model.halting, output)
                halts[running] = torch.where(stop, halts[running].clamp(max=step), halts[running])
            leaving = depths.halting and len(running) and bool(stop.any())
            if len(running) and (leaving or step in depths.steps):
                predicted[running] = _tokens(output.logits, step, config.vocabulary)
                if output.q_halt is not None:
                    q_halt[running] = output.q_halt.float()
            if leaving:
                running, inputs, ids = running[~stop], inputs[~stop], ids[~stop]
                state = tuple(part[~stop] for part in state)
                if normal is not None:
                    normal.keep(~stop)
            if step in depths.steps:
                change = torch.full((count,), math.nan) if residual is None else residual.value(count)
                reads.append(_read(predicted, halts, q_halt, change, config, started))
    return reads


def _tokens(logits: Tensor, step: int, vocabulary: int | None) -> Tensor:
    """(B, L, V) logits to (B, L) tokens, uint8.

    Raises:
        PluginError: V is not the size of the task's vocabulary.
        TrainingDiverged: some are not numbers, of which the largest would be an arbitrary answer.
    """
    classes = logits.shape[-1]
    if vocabulary not in (None, classes):
        raise PluginError(f"Output.logits has {classes} classes, and the task {vocabulary} tokens")
    wrong = logits.isnan().flatten(1).any(1)
    if bool(wrong.any()):
        raise TrainingDiverged(
            f"the logits of {int(wrong.sum())} of {plural(len(logits), 'puzzle')} are not numbers (NaN) at "
            f"evaluation, after supervision step {step}"
        )
    return logits.argmax(-1).to(torch.uint8)


def _read(
    predicted: Tensor,
    halts: Tensor,
    q_halt: Tensor,
    residual: Tensor,
    config: InferenceConfig,
    started: float,
) -> _Batch:
    synchronize(config.device)
    seconds = time.perf_counter() - started
    tokens = predicted.cpu().numpy().copy()  # because the next depth writes into the same memory
    q = q_halt.cpu().double()  # MPS has no float64
    halted = halts.cpu().numpy().copy()
    return _Batch(
        tokens,
        halted,
        q.sigmoid().numpy(),
        seconds,
        q.numpy().copy(),
        residual.cpu().double().numpy().copy(),
        votes=tokens,
        every=tokens[:, None],
        taken=halted[:, None],
    )


def milliseconds_per_puzzle(
    model: Reasoner, puzzles: PuzzleSet, config: InferenceConfig, depths: Depths, rollouts: Rollouts = ONCE
) -> float:
    """Wall time of one puzzle alone, with all of its rollouts; the first try is a warm-up.

    The median of some tries of the first puzzle, or with halting, where puzzles differ, the mean of the first
    `LATENCY_PUZZLES`.
    """
    tries = LATENCY_PUZZLES if depths.halting else LATENCY_REPEATS
    times: list[float] = []
    while len(times) <= tries and sum(times) < LATENCY_SECONDS:
        place = max(0, len(times) - 1) % len(puzzles) if depths.halting else 0
        alone, started = puzzles.take(slice(place, place + 1)), time.perf_counter()
        infer(model, alone, replace(config, compiled=False, group=ALONE), depths, rollouts=rollouts)
        synchronize(config.device)
        times.append(time.perf_counter() - started)
    average = statistics.mean if depths.halting else statistics.median
    return 1000 * average(times[1:] or times)

"""The memory that a training needs, known before anything is allocated.

One step of the real `Trainer` is run on fake tensors, which have shapes and no numbers, and the storages that
are alive at a time are added up. So whatever a step does is counted: cycles with and without a gradient, the
loss in float64, the second pass of Q-learning, blocks that are computed again, temporaries of the optimisers.

Not counted, and left to `SAFETY`: workspaces of kernels, fragmentation, temporaries of compiled code (which
keeps less of a step than the plain code that is counted). Not counted at all: the device's own context, what
a plugin allocates outside torch, the puzzles in the host's memory, evaluation; with several processes the sum
of their gradients, and the draws that each keeps ready for all of them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..api.budget import Budget, Match
from ..api.errors import told
from ..api.reasoner import Reasoner
from ..data.examples import ExampleStream
from ..nn.blocks import Stack
from ..nn.embedding import PuzzleEmbedding
from .config import ExecutionConfig, TrainingConfig
from .costs import Flops, without_numbers
from .trainer import Trainer

SAFETY = {"cuda": 0.1, "mps": 0.1, "cpu": 0.5}
"""Share of what is counted that is kept free for what is not, by kind of device. On a CPU the heap of the C
library fragments: processes were measured to take up to 1.4 times what is counted."""
FEW = 2
"""Puzzles of the smaller of two counts; a batch of one may lie in memory otherwise than all others."""


class NotForecast(Exception):
    """A model's step cannot be run on fake tensors; says why. It may train all the same."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a training at the peak of a step.

    Attributes:
        weights: parameters, their copies in bf16, and buffers.
        optimiser: gradients, moments, and the average of the weights.
        puzzle_embedding: its table.
        slots: puzzles, the states that they carry, and the ring of draws.
        activations: what one portion of the batch keeps for its backward pass, and temporaries.
        reserve: what has to be free in addition, see `SAFETY`.
    """

    weights: int
    optimiser: int
    puzzle_embedding: int
    slots: int
    activations: int
    reserve: int = 0

    @property
    def total(self) -> int:
        """All of it, the reserve included."""
        return sum(int(part) for part in astuple(self))

    def reserved_for(self, device: str) -> Memory:
        """The same with the reserve for a kind of device."""
        counted = self.total - self.reserve
        return replace(self, reserve=round(SAFETY[device] * counted))


@dataclass(frozen=True)
class Training:
    """A training whose memory is wanted.

    Attributes:
        model: built, or without its numbers (`costs.build_shapes`).
        cells: L.
        batch: supervision slots.
        config: with the precision decided.
        device: kind of the device that is meant; it need not be there.
        recompute, compiled: see `ExecutionConfig`; of compiled code the arrangement in memory is counted.
    """

    model: Reasoner
    cells: int
    batch: int
    config: TrainingConfig
    device: str
    recompute: bool = False
    compiled: bool = False


def forecast(training: Training, microbatch: int | None = None) -> Memory:
    """Count the memory of a training with ``microbatch`` puzzles at a time, by default the whole batch.

    Takes about a second, allocates nothing and draws no random number.

    Raises:
        NotForecast: the model reads numbers in its forward pass, or fails.
    """
    try:
        with torch.random.fork_rng(devices=()), FakeTensorMode(allow_non_fake_inputs=True), _Alive() as alive:
            trainer = _fake_trainer(training)
            trainer.portions = [slice(0, min(microbatch or training.batch, training.batch))]
            return _measured(trainer, alive).reserved_for(training.device)
    except DataDependentOutputException as error:
        raise NotForecast("its forward pass reads numbers, which a forecast does not have") from error
    except Exception as error:  # a plugin's code may raise anything; the run itself will name it
        raise NotForecast(told(error)) from error


def _fake_trainer(training: Training) -> Trainer:
    """The trainer of a copy of the model without numbers; call it under the mode of fake tensors."""
    model = without_numbers(training.model).train()
    trainer = Trainer(
        model,
        cast(ExampleStream, SimpleNamespace(cells=training.cells, steps=model.supervision_steps)),
        training.config,
        Budget(match=Match.STEPS, amount=1, batch_size=training.batch, augmentations=1),
        Flops(0, 0),
        cells=training.cells,
        device=torch.device("cpu"),  # the backward pass on a fake of another device needs that device
        execution=ExecutionConfig(compile=False, recompute=training.recompute),
    )
    for stack in (module for module in model.modules() if isinstance(module, Stack)):
        stack.compiled = training.compiled
        stack.arrange(on_cpu=training.device == "cpu")
    return trainer


def _measured(trainer: Trainer, alive: _Alive) -> Memory:
    """Memory of a later step and portion: moments and gradients are there."""
    model, optimiser = trainer.model, trainer.optimiser
    _fill_gradients(model)
    optimiser.update()  # makes the moments
    tables = _bytes(module.table for module in model.modules() if isinstance(module, PuzzleEmbedding))
    weights = _bytes([*model.parameters(), *model.buffers()]) - tables
    average = trainer.ema.shadow if trainer.ema else []
    gradients = [parameter.grad for parameter in model.parameters()]
    state = _bytes([*average, *gradients, *tree_leaves(optimiser.state_dict())])
    before = alive.bytes
    alive.peak = before
    trainer._on_device()  # a step without the host's part in it
    return Memory(weights, state, tables, before - weights - tables - state, alive.peak - before)


def _fill_gradients(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None


def _bytes(tensors: Iterable[Any]) -> int:
    """Of the storages of some tensors, each counted once; whatever is no tensor counts nothing."""
    storages = [tensor.untyped_storage() for tensor in tensors if isinstance(tensor, Tensor)]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages of all tensors that were made under it and are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self.peak = 0
        self._storages: dict[int, object] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._storages:
            return

        def gone(_: object) -> None:
            del self._storages[key]
            self.bytes -= size

        self._storages[key] = weakref.ref(storage, gone)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)


class ByPortion:
    """The memory of a training for any number of puzzles at a time, from two counts.

    What is alive at one moment is affine in that number. So the peak, the largest of them all, is convex, and
    the line between two counts is never below it.
    """

    def __init__(self, training: Training):
        self.training = training
        self.counted = cache(lambda microbatch: forecast(training, microbatch))

    def at(self, microbatch: int) -> Memory:
        """With ``microbatch`` puzzles at a time; one is taken to need as much as two.

        Raises:
            NotForecast: see `forecast`.
        """
        batch = self.training.batch
        whole = self.counted(batch)
        if microbatch >= batch or batch <= FEW:
            return whole
        few = self.counted(FEW)
        share = max(0, microbatch - FEW) / (batch - FEW)
        activations = few.activations + share * (whole.activations - few.activations)
        return replace(whole, activations=round(activations)).reserved_for(self.training.device)

    def most(self, free: int) -> int | None:
        """The largest divisor of the batch whose memory fits into ``free`` bytes; None where none does."""
        batch = self.training.batch
        divisors = (number for number in range(batch, 0, -1) if batch % number == 0)
        return next((number for number in divisors if self.at(number).total <= free), None)

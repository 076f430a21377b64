"""The training loop: slots, loss, optimiser, schedule, average, until the budget is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..api.budget import Budget, Match
from ..api.errors import TrainingDiverged, UsageError
from ..api.reasoner import Reasoner, supervise
from ..data.examples import ExampleStream, Feed
from ..nn.blocks import Stack, may_draw
from ..nn.embedding import PuzzleEmbedding
from ..nn.loss import StepLoss, added, step_loss
from ..nn.optim import EMA, Optimiser, SignSGD
from ..nn.precision import refresh, require_float32, set_precision
from .checkpoint import Stopped, random_state, set_random_state
from .config import ExecutionConfig, TrainingConfig
from .costs import Flops
from .cuda_graph import check_optimizer, repeated
from .device import autocast, synchronize
from .group import ALONE, Group
from .supervision import Slots, continue_target

Metrics = Mapping[str, float]
LOG_POINTS = 100
"""Lines of training metrics that a run writes, whatever its length."""
VALIDATION_SPACING = 10
"""Fewest optimiser steps between two validations: a run of three steps is not worth one."""


@dataclass(frozen=True)
class Watcher:
    """Callbacks of a training loop.

    Attributes:
        metrics: called about `LOG_POINTS` times with averages since the last call.
        validate: called `ExecutionConfig.validations` times with the averaged weights in place.
        save: called with the optimiser step when `due` is true, and when the loop is stopped.
        due: whether to save after the given number of optimiser steps.
        stop: whether to stop between two steps.
    """

    metrics: Callable[[Metrics], None]
    validate: Callable[[Reasoner], Metrics]
    save: Callable[[int], None] = lambda step: None
    due: Callable[[int], bool] = lambda step: False
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Spent:
    """The ledger of a training run; ``seconds`` are without validating and saving, which is ``aside``.

    ``devices`` are the seconds of all processes together, validating and saving included.
    """

    steps: int
    draws: int
    supervision_steps: int
    flops: float
    seconds: float
    aside: float = 0.0
    devices: float = 0.0


def _refuse_drawing(stack: Stack) -> None:
    """The state of random numbers, without which such a block cannot be computed again, is in no graph."""
    if names := {type(block).__name__ for block in stack.blocks if may_draw(block)}:
        raise UsageError(
            f"settings graph=true and recompute=true: {', '.join(sorted(names))} may draw random numbers; "
            "leave one of them out, or set draws_nothing = True in the class"
        )


class Trainer:
    """One model in training. `step` is the whole of deep supervision in one screen.

    Of a run over several processes (``group``) each has one, and all call the same methods in one order.
    """

    def __init__(
        self,
        model: Reasoner,
        examples: ExampleStream,
        config: TrainingConfig,
        budget: Budget,
        flops: Flops,
        *,
        cells: int,
        device: torch.device,
        execution: ExecutionConfig | None = None,
        group: Group = ALONE,
    ):
        self.model, self.config, self.budget, self.flops = model, config, budget, flops
        self.device, self.execution, self.group = device, execution or ExecutionConfig(), group
        require_float32(model)
        set_precision(model, config.precision)
        for stack in (module for module in model.modules() if isinstance(module, Stack)):
            stack.recompute = self.execution.recompute
            if self.execution.recompute and self.execution.graph:
                _refuse_drawing(stack)
        own = budget.batch_size // group.size
        self.portions = portions(own, self.execution.microbatch)
        self.feed = Feed(examples, budget.batch_size, device)  # one process may take all draws of a step
        self.slots = Slots(model, own, cells, device, group)
        self.optimiser = Optimiser(
            model.parameters(),
            config.lr,
            config.weight_decay,
            (config.beta1, config.beta2),
            muon=config.optimizer == "muon",
            clip=config.clip,
        )
        embeddings = [module for module in model.modules() if isinstance(module, PuzzleEmbedding)]
        self.embedding_optimiser = SignSGD(
            embeddings, config.embedding_lr, config.embedding_weight_decay, group.gather
        )
        self.ema = EMA(model, config.ema) if config.ema else None
        self.steps = 0
        self.reported = _Reported()
        self.average = Average(device, budget.batch_size, group)
        if self.execution.graph:
            check_optimizer(config.optimizer)
        self._work = repeated(self._on_device, device) if self.execution.graph else self._on_device
        self._started, self._aside = time.perf_counter(), 0.0

    def spent(self) -> float:
        """The share of the budget used up so far."""
        flops = self.steps * self.budget.batch_size * self.flops.training_step
        # Draws are counted on the device: to ask for them is to wait for it.
        draws = self.drawn() if self.budget.match is Match.EXAMPLES else 0
        return self.budget.spent(self.steps, draws, flops)

    def drawn(self) -> int:
        """Draws taken so far; waits for the device."""
        return int(self.slots.drawn)

    def lr_scale(self) -> float:
        """Linear warm-up, then a cosine from 1 to ``min_lr_ratio`` over the budget."""
        warmup = min(1.0, (self.steps + 1) / self.config.warmup) if self.config.warmup else 1.0
        floor = self.config.min_lr_ratio
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.spent())))
        return warmup * (floor + (1 - floor) * cosine)

    def step(self) -> StepLoss:
        """One optimiser step: one supervision step for every slot.

        Never waits for the device: the host prepares the next steps meanwhile.
        """
        self.feed.refresh()
        scale = self.lr_scale()
        self.optimiser.prepare(self.config.lr * scale)
        self.embedding_optimiser.prepare(self.config.embedding_lr * scale)
        loss = self._work()
        self.feed.note(self.slots.drawn)
        self.steps += 1
        return loss

    def _on_device(self) -> StepLoss:
        """The whole of deep supervision: the same work in the same memory at every step."""
        self.slots.refill(self.feed)
        refresh(self.model)
        losses = [self._learn(rows) for rows in self.portions]
        self.group.add([p.grad for p in self.optimiser.params if p.grad is not None])
        self.optimiser.update()
        self.embedding_optimiser.update()
        self.optimiser.zero_grad()
        if self.ema:
            self.ema.update()
        loss = losses[0] if len(losses) == 1 else added(losses)
        self.average.add(loss, self.slots.steps)
        return loss

    def _learn(self, rows: slice) -> StepLoss:
        """One supervision step of some slots: their gradients are added, and they keep their new state."""
        slots = self.slots.part(rows)
        with autocast(self.device, self.config.precision):
            state, output = supervise(self.model, slots.state, slots.inputs, slots.puzzle_ids)
            target = continue_target(slots, state)
        loss = step_loss(output, slots.targets, target)
        (loss.total / self.budget.batch_size).backward()  # type: ignore[no-untyped-call]
        self.embedding_optimiser.collect()
        self.slots.advance(state, output, rows)
        return loss.detach()

    def run(self, watcher: Watcher) -> Spent:
        """Train until the budget is spent, from where `restore` left off.

        Raises:
            TrainingDiverged: the loss is no longer finite. On a CPU at the very step, elsewhere at
                the next line of metrics, so that no step waits for the host.
            Stopped: the watcher requested it; the run has been saved.
        """
        self._started, self._aside = time.perf_counter(), 0.0
        done = self.reported
        (stop,) = self.group.either(watcher.stop())
        while (before := self.spent()) < 1:
            if stop:
                self._pause(lambda: watcher.save(self.steps))
                raise Stopped
            loss = self.step()
            if self.device.type == "cpu":  # reading it there costs nothing
                self._require_finite(self.group.total(float(loss.total.detach())))
            after = self.spent()
            if int(after * LOG_POINTS) > done.logged or before == 0:
                done.logged = int(after * LOG_POINTS)
                watcher.metrics(self._line(after))
                self.average.reset()
            due = int(after * self.execution.validations) > done.validated
            if due and self.steps - done.last_validation >= VALIDATION_SPACING:
                done.validated, done.last_validation = int(after * self.execution.validations), self.steps
                self._pause(lambda: self._validate(watcher))
            stop, due = self.group.either(watcher.stop(), watcher.due(self.steps))
            if due:
                self._pause(lambda: watcher.save(self.steps))
        synchronize(self.device)
        supervision = self.steps * self.budget.batch_size
        flops = supervision * self.flops.training_step
        times = self.seconds(), self._aside_seconds(), self._device_seconds()
        return Spent(self.steps, self.drawn(), supervision, flops, *times)

    def seconds(self) -> float:
        """Wall time of training, that before an interruption included; without validating and saving."""
        return self.reported.seconds + time.perf_counter() - self._started - self._aside

    def _aside_seconds(self) -> float:
        return self.reported.aside + self._aside

    def _device_seconds(self) -> float:
        return self.reported.devices + (time.perf_counter() - self._started) * self.group.size

    def _pause(self, work: Callable[[], None]) -> None:
        """Do work whose time does not count as training."""
        synchronize(self.device)
        paused = time.perf_counter()
        work()
        self._aside += time.perf_counter() - paused

    def _validate(self, watcher: Watcher) -> None:
        watcher.metrics({"step": self.steps, "spent": self.spent(), **self.with_average(watcher.validate)})

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, for a checkpoint; it knows no number of processes.

        Raises:
            TrainingDiverged: a loss since the last line of metrics, or a weight, is not finite. So the last
                good checkpoint stays.
        """
        self.require_finite()
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ema": self.ema.shadow if self.ema else [],
            "slots": self.slots.kept(),
            "steps": self.steps,
            "reported": {
                **asdict(self.reported),
                "seconds": self.seconds(),
                "aside": self._aside_seconds(),
                "devices": self._device_seconds(),
            },
            "average": self.average.totals(),
            "random": random_state(self.device),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`; a resumed run gives bit for bit what it would have given."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.ema:
            for average, kept in zip(self.ema.shadow, state["ema"], strict=True):
                average.copy_(kept)
        self.slots.put_back(state["slots"])
        self.feed.go_to(self.drawn())
        self.steps = state["steps"]
        self.reported = _Reported(**state["reported"])
        self.average.put_back(state["average"])
        set_random_state(state["random"], self.device)

    def with_average(self, use: Callable[[Reasoner], Metrics]) -> Metrics:
        """Call ``use`` with the averaged weights in the model, and put the others back."""
        if not self.ema:
            return use(self.model)
        self.ema.swap()
        try:
            return use(self.model)
        finally:
            self.ema.swap()

    def settle(self) -> None:
        """Leave the averaged weights in the model: they are the ones that are evaluated."""
        if self.ema:
            self.ema.swap()

    def _line(self, spent: float) -> Metrics:
        values = self.average.values()
        self._require_finite(values["loss"])
        self.group.require_equal(self.model, self.steps)
        return {"step": self.steps, "spent": spent, "draws": self.drawn(), **values}

    def require_finite(self) -> None:
        """Check the losses since the last line of metrics, and the weights; waits for the device.

        Raises:
            TrainingDiverged: one is not finite; names it.
        """
        self._require_finite(float(self.average.totals()[1]))
        bad = [name for name, weight in self.model.named_parameters() if not torch.isfinite(weight).all()]
        if bad:
            raise TrainingDiverged(f"weight {bad[0]} is not finite after optimiser step {self.steps}")

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"the loss is {loss} at optimiser step {self.steps}; "
                f"try a smaller learning rate than lr={self.config.lr:g}"
            )


def portions(batch: int, microbatch: int | str) -> list[slice]:
    """The slots that are in memory together, portion by portion; ``auto`` is all of them at once."""
    size = batch if isinstance(microbatch, str) else min(microbatch, batch)
    return [slice(start, min(start + size, batch)) for start in range(0, batch, size)]


@dataclass
class _Reported:
    """How far a run has been reported on; ``seconds``, ``aside`` and ``devices`` are before this process."""

    logged: int = 0
    validated: int = 0
    last_validation: int = 0
    seconds: float = 0.0
    aside: float = 0.0
    devices: float = 0.0


class Average:
    """Means since the last line of metrics, kept on the device so that a step need not wait for the host."""

    NAMES = ("loss", "answer_loss", "halt_loss", "continue_loss", "train_exact", "train_steps")

    def __init__(self, device: torch.device, batch: int, group: Group = ALONE):
        self.batch, self.group = batch, group
        wide = torch.float32 if device.type == "mps" else torch.float64
        self.sums = torch.zeros(1 + len(self.NAMES), dtype=wide, device=device)

    def add(self, loss: StepLoss, steps: Tensor) -> None:
        """Add one step's losses and the slots' ``steps`` (B,)."""
        parts = (loss.total, loss.answer, loss.halt, loss.halt_continue, loss.right.sum(), steps.sum())
        values = torch.stack([part.detach().to(self.sums.dtype) for part in parts]) / self.batch
        self.sums[0] += 1
        self.sums[1:] += values

    def totals(self) -> Tensor:
        """Steps, and the sums of all processes."""
        totals = self.sums.clone()
        self.group.add([totals[1:]])
        return totals

    def put_back(self, totals: Tensor) -> None:
        """Continue from `totals`, which the first process now holds for all."""
        self.sums.copy_(totals)
        self.sums[1:] *= float(self.group.leads)

    def values(self) -> dict[str, float]:
        """The means by name; waits for the device."""
        count, *sums = self.totals().tolist()
        return {name: value / count for name, value in zip(self.NAMES, sums, strict=True)}

    def reset(self) -> None:
        """Start from zero."""
        self.sums.zero_()

"""How fast models train and answer on this machine, each in a process of its own, one after another.

Nothing is learnt here: the weights are fresh, so that no puzzle halts before its last supervision step.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from ..api.errors import TrmBenchError, UsageError, nearest
from ..api.puzzles import PuzzleSet
from ..host.host import host
from ..inference.inference import Pass, answer, milliseconds_per_puzzle
from ..planning.grid import Study
from ..planning.job import CellJob, CellPlan
from ..store.folders import Cell
from ..training.config import TrainingConfig
from ..training.device import default_precision, peak_memory, synchronize
from ..training.trainer import Trainer
from .machine import Machine, measure_machine
from .progress import spoken
from .run import CellRun

T = TypeVar("T")
AT_MOST = 64
"""Puzzles of a split that are enough here: only their shape matters."""
WAYS: dict[str, dict[str, bool]] = {
    "plain": {"compile": False, "graph": False},
    "compiled": {"compile": True, "graph": False},
    "graph": {"compile": False, "graph": True},
    "compiled+graph": {"compile": True, "graph": True},
}
USUAL_WAYS = {"cuda": ("plain", "graph", "compiled+graph")}
STEPS = 100
"""No more portions of steps are timed."""
LEAST = 3
START_SECONDS = 15.0
"""Of a measurement's share of the time, what a process and its imports may take on a slow machine."""


@dataclass(frozen=True)
class TrainingSpeed:
    """Of one model launched in one way.

    Attributes:
        first_step_seconds: from an imported torch to the end of the first optimiser step: building the
            model, making the first examples, compiling.
        step_seconds: median; ``steps`` are those it is the median of, one after another or ten at a time.
        examples_per_second: puzzles given a supervision step, per second.
        flops: per second, by the rule of `harness.training.costs`.
        memory: peak in bytes, as in a cell's ledger.
    """

    first_step_seconds: float
    step_seconds: float
    steps: int
    examples_per_second: float
    flops: float
    memory: int


@dataclass(frozen=True)
class AnsweringSpeed:
    """Of one model with all of its supervision steps.

    Attributes:
        steps: N_sup.
        batch: puzzles at a time.
        puzzles_per_second: of such batches.
        milliseconds_alone: of one puzzle by itself, median.
        flops: per second, of the batches.
    """

    steps: int
    batch: int
    puzzles_per_second: float
    milliseconds_alone: float
    flops: float


@dataclass(frozen=True)
class Measured:
    """One model in one way; what is None was not measured, and ``why`` says why not."""

    model: str
    way: str
    training: TrainingSpeed | None = None
    answering: AnsweringSpeed | None = None
    why: str | None = None


@dataclass(frozen=True)
class Speed:
    """Everything that was measured, and under what.

    Attributes:
        precision: of the matrix products.
        batch: supervision slots in training.
    """

    task: str
    scale: str
    device: str
    precision: str
    batch: int
    machine: Machine
    measured: tuple[Measured, ...]


@dataclass(frozen=True)
class SpeedJob:
    """What a process is to measure; can be pickled.

    Attributes:
        cell: the model on its puzzles.
        way: a key of `WAYS`.
        answering: whether to measure answering too, which is the same in every way.
        machine: the ceiling, by which the time of a step is foreseen.
        seconds: for all of it.
    """

    cell: CellJob
    way: str
    answering: bool
    machine: Machine
    seconds: float


def parse_ways(text: str | None, device: str) -> tuple[str, ...]:
    """The value of ``--ways``; by default every way that is worth its time on a device.

    Raises:
        UsageError: an unknown way, or one that the device does not have.
    """
    if text is None:
        return USUAL_WAYS.get(device, ("plain",))
    ways = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in ways:
        if name not in WAYS:
            raise UsageError(f"--ways {name}: unknown; {nearest(name, WAYS)}")
        if WAYS[name]["graph"] and device != "cuda":
            raise UsageError(f"--ways {name}: graphs need --device cuda, and this is {device}")
    if not ways:
        raise UsageError(f"--ways {text!r} names none; choose from {', '.join(WAYS)}")
    return ways


def measure_speed(study: Study, ways: Sequence[str], seconds: float, tell: Callable[[str], None]) -> Speed:
    """Measure every model of a study in every way, within about ``seconds`` in all.

    ``tell`` is called with a line before each measurement.
    """
    plans = [(plan, way) for plan in study.cells for way in ways]
    first = study.cells[0].identity
    training = TrainingConfig(**first.training)
    device = torch.device(first.device)
    precision = default_precision(device) if training.precision == "auto" else training.precision
    tell("measuring the machine itself: a matrix product and a copy")
    started = time.monotonic()
    machine = apart(_measure_machine, (first.device, first.threads, precision), limit=120)
    measured = []
    for number, (plan, way) in enumerate(plans):
        left = seconds - (time.monotonic() - started)
        share = left / (len(plans) - number)
        tell(
            f"measuring {plan.identity.model}, {way} ({number + 1} of {len(plans)}, "
            f"at most about {spoken(max(left, 0))} left)"
        )
        measured.append(_measured(study, plan, way, machine, share, answering=way == ways[0]))
    return Speed(
        study.task.spec.name,
        study.request.scale,
        first.device,
        precision,
        study.budget.batch_size,
        machine,
        tuple(measured),
    )


def _measured(
    study: Study, plan: CellPlan, way: str, machine: Machine, share: float, answering: bool
) -> Measured:
    identity, budget = plan.identity, plan.identity.budget
    assert budget is not None  # of a cell that is to be trained
    identity = identity.model_copy(update={"training": {**identity.training, **WAYS[way]}})
    plan = CellPlan(plan.name, plan.asked, identity, plan.notes)
    prepared = study.prepared_for(budget.augmentations)
    cell = CellJob(plan, Path(tempfile.gettempdir()), prepared, (), ())
    job = SpeedJob(cell, way, answering, machine, max(share - START_SECONDS, share / 2))
    try:
        return apart(measure, (job,), limit=2 * share + START_SECONDS)
    except TrmBenchError as error:
        return Measured(identity.model, way, why=str(error))


def _measure_machine(device: str, threads: int, precision: str) -> Machine:
    torch.set_num_threads(threads)
    return measure_machine(torch.device(device), precision)


def measure(job: SpeedJob) -> Measured:
    """Measure one model in one way, in this process."""
    started = time.perf_counter()
    run = CellRun(host(), job.cell, Cell(job.cell.output / job.cell.plan.name), lambda line: None)
    identity = job.cell.plan.identity
    assert identity.budget is not None
    share = job.seconds * (0.6 if job.answering else 1.0)
    training, why = None, None
    if run.spec.trained:
        foreseen = run.flops.training_step * identity.budget.batch_size / job.machine.flops
        if foreseen * (LEAST + 1) > share:
            fits = int(identity.budget.batch_size * share / foreseen / (LEAST + 1) / 2)
            advice = f"try --set batch_size={fits}" if fits else "give it more --minutes"
            why = (
                f"a step of batch {identity.budget.batch_size} would take {spoken(foreseen)} or more here; "
                f"{advice}"
            )
        else:
            training = _training(run, started, share)
    else:
        why = "nothing is trained"
    answering = _answering(run, job) if job.answering else None
    return Measured(identity.model, job.way, training, answering, why)


def _training(run: CellRun, started: float, seconds: float) -> TrainingSpeed:
    trainer = run.trainer()
    trainer.step()
    synchronize(run.device)
    first = time.perf_counter() - started
    portion = 10 if run.device.type == "cuda" else 1
    if portion > 1:  # capture comes after a few plain steps
        _timed(trainer, portion)
    times: list[float] = []
    while len(times) < LEAST or (len(times) < STEPS and time.perf_counter() - started < seconds):
        times.append(_timed(trainer, portion))
    step, batch = statistics.median(times), trainer.budget.batch_size
    return TrainingSpeed(
        first_step_seconds=first,
        step_seconds=step,
        steps=len(times) * portion,
        examples_per_second=batch / step,
        flops=batch * run.flops.training_step / step,
        memory=peak_memory(run.device),
    )


def _timed(trainer: Trainer, steps: int) -> float:
    """Seconds of a step, the mean of several that are not waited for one by one."""
    started = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    synchronize(trainer.device)
    return (time.perf_counter() - started) / steps


def _answering(run: CellRun, job: SpeedJob) -> AnsweringSpeed:
    """As at the end of a cell, on as many puzzles as a batch has or the time allows."""
    seconds, steps = job.seconds * 0.2, run.model.supervision_steps
    test = run.as_asked(job.cell.prepared.read("test"))
    fits = int(seconds * job.machine.flops / max(run.flops.inference, 1.0) / 2)
    batch = max(1, min(run.answering.batch_size, fits))
    puzzles = _as_many(test, batch)
    reading = Pass((steps,))
    times: list[float] = []
    began = time.perf_counter()
    while not times or (len(times) < STEPS and time.perf_counter() - began < seconds):
        (answered,) = answer(run.model, puzzles, run.answering, reading)
        times.append(answered.seconds)
    took = statistics.median(times[1:] or times)  # the first is a warm-up
    return AnsweringSpeed(
        steps=steps,
        batch=batch,
        puzzles_per_second=batch / took,
        milliseconds_alone=milliseconds_per_puzzle(run.model, test, run.answering, reading),
        flops=batch * run.flops.inference / took,
    )


def _as_many(puzzles: PuzzleSet, count: int) -> PuzzleSet:
    """So many puzzles, the same ones over and over where there are fewer."""
    rows = np.arange(count) % len(puzzles)
    names = np.array([str(number) for number in range(count)])
    return PuzzleSet(puzzles.inputs[rows], puzzles.targets[rows], names, names, puzzles.identifiers[rows])


def apart(work: Callable[..., T], arguments: tuple[Any, ...], limit: float) -> T:
    """Call a function in a process of its own, so that memory and threads are its alone.

    Raises:
        TrmBenchError: it raised one, died, or took longer than ``limit`` seconds.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, work, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(limit):
            raise TrmBenchError(f"not done within {spoken(limit)}; give it more --minutes")
        ended: tuple[bool, Any] = receiver.recv()
    except EOFError:
        process.join()
        raise TrmBenchError(f"the process ended with exit code {process.exitcode} (out of memory?)") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    good, result = ended
    if not good:
        raise TrmBenchError(str(result))
    return result  # type: ignore[no-any-return]


def _send_result(pipe: Connection, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send((True, work(*arguments)))
    except TrmBenchError as error:  # its words are for the user
        pipe.send((False, str(error)))
    except Exception as error:  # whatever it is, it belongs in the row of this measurement
        pipe.send((False, f"{type(error).__name__}: {error}".splitlines()[0]))

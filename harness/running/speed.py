"""How fast models train and predict on this machine, each in a process of its own, one after another.

Nothing is learnt here: the weights are fresh, so that no puzzle halts before its last supervision step.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from ..api.errors import TrmBenchError, UsageError, nearest, told
from ..api.puzzles import PuzzleSet
from ..host.calls import stdout_to_stderr
from ..host.host import host
from ..inference.inference import Depths, infer, milliseconds_per_puzzle
from ..planning.grid import Grid
from ..planning.job import Job
from ..store.folders import RunFolder
from ..training.device import peak_memory, synchronize
from ..training.trainer import Trainer
from .lifetime import keep_memory
from .machine import Machine, measure_machine
from .progress import duration
from .worker import Worker

T = TypeVar("T")
AT_MOST = 64
"""Puzzles of a split that are enough here: only their shape matters."""
WAYS: dict[str, dict[str, bool]] = {
    "plain": {"compile": False, "graph": False},
    "compiled": {"compile": True, "graph": False},
    "graph": {"compile": False, "graph": True},
    "compiled+graph": {"compile": True, "graph": True},
}
USUAL_WAYS = {"cuda": ("plain", "compiled", "graph", "compiled+graph")}
STEPS = 100
"""No more portions of steps are timed."""
LEAST = 3
START_SECONDS = 15.0
"""What a process and its imports may take of a measurement's share of the time on a slow machine."""
COMPILE_SECONDS = 60.0
"""What compiling may take in addition."""


@dataclass(frozen=True)
class TrainingSpeed:
    """One model trained in one way.

    Attributes:
        first_step_seconds: from an imported torch to the end of the first optimiser step: building the
            model, making the first examples, compiling.
        step_seconds: median; ``steps`` are those it is the median of, one after another or ten at a time.
        examples_per_second: puzzles given a supervision step, per second.
        flops: per second, by the rule of `training.costs`.
        memory: peak in bytes, as in a run's ledger.
    """

    first_step_seconds: float
    step_seconds: float
    steps: int
    examples_per_second: float
    flops: float
    memory: int


@dataclass(frozen=True)
class InferenceSpeed:
    """One model with all of its supervision steps.

    Attributes:
        steps: N_sup.
        batch: puzzles at a time.
        puzzles_per_second: in such batches.
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
    """One model in one way; None was not measured, and ``why`` says why."""

    model: str
    way: str
    training: TrainingSpeed | None = None
    inference: InferenceSpeed | None = None
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


class SpeedInterrupted(KeyboardInterrupt):
    """Ctrl-C while measuring; ``speed`` is what had been measured, where the rest says why it was not."""

    def __init__(self, speed: Speed) -> None:
        super().__init__()
        self.speed = speed


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


def measure_grid(grid: Grid, ways: Sequence[str], seconds: float, tell: Callable[[str], None]) -> Speed:
    """Measure every model of a grid in every way, within about ``seconds`` in all.

    ``tell`` is called with a line before and after each measurement.

    Raises:
        UsageError: the models compute in several precisions.
        SpeedInterrupted: with what was measured until then.
    """
    identity = grid.runs[0].identity
    precision, *others = dict.fromkeys(run.identity.training["precision"] for run in grid.runs)
    if others:
        names = ", ".join([precision, *others])
        raise UsageError(
            f"models of several precisions ({names}), each with a peak of its own: measure them apart"
        )
    tell("measuring the machine itself: a matrix product and a copy")
    started = time.monotonic()
    machine = apart(_measure_machine, (identity.device, identity.threads, precision), limit=120)
    todo = [(job, way) for job in grid.jobs for way in ways]
    measured: list[Measured] = []
    try:
        for number, (job, way) in enumerate(todo):
            left, model = seconds - (time.monotonic() - started), job.run.description.model
            tell(
                f"measuring {model}, {way} ({number + 1} of {len(todo)}, at most about {duration(left)} left)"
            )
            if (broken := grid.broken.get(model)) is not None:
                measured.append(Measured(model, way, why=str(broken)))
            else:
                infers = way == ways[0] or not WAYS[way]["graph"]
                measured.append(_measured(job, way, machine, left, len(todo) - number, infers))
            tell(_line(measured[-1], machine))
    except KeyboardInterrupt:
        rest = [(job.run.description.model, way) for job, way in todo[len(measured) :]]
        measured += [Measured(model, way, why="interrupted") for model, way in rest]
        raise SpeedInterrupted(_speed(grid, machine, measured)) from None
    measured += [Measured(name, ways[0], why=str(error)) for name, error in grid.without_runs.items()]
    return _speed(grid, machine, measured)


def _speed(grid: Grid, machine: Machine, measured: Sequence[Measured]) -> Speed:
    identity = grid.runs[0].identity
    assert grid.budget is not None  # of training
    return Speed(
        grid.task.name,
        grid.context.scale,
        identity.device,
        identity.training["precision"],
        grid.budget.batch_size,
        machine,
        tuple(measured),
    )


def _line(measured: Measured, machine: Machine) -> str:
    """One measurement as soon as it is there."""
    speed = measured.training
    if speed is None:
        return f"{measured.model}, {measured.way}: not measured: {measured.why}"
    share = speed.flops / machine.flops
    step = f"{1000 * speed.step_seconds:.3g} ms a step"
    return f"{measured.model}, {measured.way}: {step}, {share:.0%} of the peak"


def _measured(job: Job, way: str, machine: Machine, left: float, remaining: int, inference: bool) -> Measured:
    """Measure in a process of its own, with a share of the time that is left."""
    model = job.run.description.model
    starting = START_SECONDS + (COMPILE_SECONDS if WAYS[way]["compile"] else 0.0)
    share = left / remaining
    if left <= START_SECONDS / 3:
        return Measured(model, way, why="the time was over; give it more --minutes")
    execution = job.execution.model_copy(update=WAYS[way])
    seconds = max(share - START_SECONDS, share / 2)
    arguments = (replace(job, execution=execution), way, inference, machine, seconds)
    try:
        return apart(measure, arguments, limit=min(2 * share + starting, left + starting))
    except TrmBenchError as error:
        return Measured(model, way, why=str(error))


def _measure_machine(device: str, threads: int, precision: str) -> Machine:
    torch.set_num_threads(threads)
    return measure_machine(torch.device(device), precision)


def measure(job: Job, way: str, inference: bool, machine: Machine, seconds: float) -> Measured:
    """Measure one model in one way, in this process; inference too, which no graph changes."""
    started = time.perf_counter()
    nowhere = RunFolder(Path(os.devnull) / job.run.name)  # a checkpoint of such a run is none of ours
    worker = Worker(host(), job, nowhere, lambda line: None, lambda line: None)
    worker.choose()
    identity = job.run.identity
    assert identity.budget is not None
    share = seconds * (0.6 if inference else 1.0)
    training, why = None, None
    if worker.spec.trained:
        batch = identity.budget.batch_size
        foreseen = worker.flops.training_step * batch / machine.flops
        if foreseen * (LEAST + 1) > share:
            fits = int(batch * share / foreseen / (LEAST + 1) / 2)
            advice = f"try --set batch_size={fits}" if fits else "give it more --minutes"
            why = f"a step of batch {batch} would take {duration(foreseen)} or more here; {advice}"
        else:
            training = _training(worker, started, share)
    else:
        why = "nothing is trained"
    predicted = _inference(worker, job, machine, seconds) if inference else None
    return Measured(job.run.description.model, way, training, predicted, why)


def _training(worker: Worker, started: float, seconds: float) -> TrainingSpeed:
    trainer = worker.trainer()
    trainer.step()
    synchronize(worker.device)
    first = time.perf_counter() - started
    portion = 10 if worker.device.type == "cuda" else 1
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
        flops=batch * worker.flops.training_step / step,
        memory=peak_memory(worker.device),
    )


def _timed(trainer: Trainer, steps: int) -> float:
    """Seconds of a step, the mean of several that are not waited for one by one."""
    started = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    synchronize(trainer.device)
    return (time.perf_counter() - started) / steps


def _inference(worker: Worker, job: Job, machine: Machine, seconds: float) -> InferenceSpeed:
    """As at the end of a run, on as many puzzles as a batch has or the time allows."""
    seconds, steps = seconds * 0.2, worker.model.supervision_steps
    test = worker.with_rows(job.prepared.read("test"))
    fits = int(seconds * machine.flops / max(worker.flops.inference, 1.0) / 2)
    batch = max(1, min(worker.inference.batch_size, fits))
    puzzles = _repeated(test, batch)
    depths = Depths((steps,))
    times: list[float] = []
    began = time.perf_counter()
    fewest = 2 if worker.inference.compiled else 1  # the first call compiles
    while len(times) < fewest or (len(times) < STEPS and time.perf_counter() - began < seconds):
        (read,) = infer(worker.model, puzzles, worker.inference, depths)
        times.append(read.seconds)
    took = statistics.median(times[1:] or times)  # the first is a warm-up
    return InferenceSpeed(
        steps=steps,
        batch=batch,
        puzzles_per_second=batch / took,
        milliseconds_alone=milliseconds_per_puzzle(worker.model, test, worker.inference, depths),
        flops=batch * worker.flops.inference / took,
    )


def _repeated(puzzles: PuzzleSet, count: int) -> PuzzleSet:
    """``count`` puzzles, the same ones over and over where there are fewer."""
    rows = np.arange(count) % len(puzzles)
    names = np.array([str(number) for number in range(count)])
    return PuzzleSet(puzzles.inputs[rows], puzzles.targets[rows], names, names, puzzles.identifiers[rows])


def apart(work: Callable[..., T], arguments: tuple[Any, ...], limit: float) -> T:
    """Call a function in a process of its own, so that it shares memory and threads with nothing else.

    Raises:
        TrmBenchError: it raised one, died, or took longer than ``limit`` seconds.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, work, arguments), daemon=True)
    try:
        with _without_interrupts():
            process.start()
        sender.close()
        if not receiver.poll(limit):
            raise TrmBenchError(f"not done within {duration(limit)}; give it more --minutes")
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


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start a process that gets no Ctrl-C, because its parent ends it; one that comes meanwhile waits."""
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()  # no other thread is interrupted
    usual = signal.signal(signal.SIGINT, lambda number, frame: came.append(number)) if main else None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which the new process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if main:
            signal.signal(signal.SIGINT, usual)
    if came:
        raise KeyboardInterrupt


def _send_result(pipe: Connection, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    stdout_to_stderr()
    keep_memory()
    try:
        pipe.send((True, work(*arguments)))
    except TrmBenchError as error:  # its message is for the user
        pipe.send((False, str(error)))
    except (Exception, SystemExit) as error:  # whatever it is, it belongs in the row of this measurement
        pipe.send((False, told(error)))

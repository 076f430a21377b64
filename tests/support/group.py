"""Two processes that train together, the first of which is the test's own; and the work that both do."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from trm_bench.harness.api.augment import CellTokenTransforms, Ints, Transforms
from trm_bench.harness.api.errors import TrmBenchError
from trm_bench.harness.inference.inference import Depths, InferenceConfig, Read, Views, infer
from trm_bench.harness.training.checkpoint import Stopped
from trm_bench.harness.training.group import ALONE, Group, joined
from trm_bench.harness.training.trainer import Metrics, Trainer, Watcher

from .training import CPU, INFO, numbered, puzzles, steps, trainer

T = TypeVar("T")
BATCH = 8


class Pair:
    """Two processes in a group."""

    def __init__(self, group: Group, pipe: Connection):
        self.group, self.pipe = group, pipe

    def both(self, work: Callable[..., T], *arguments: object, **more: object) -> tuple[T, T]:
        """Do ``work(group, …)`` in both; gives what it returned, or raised, by rank."""
        self.pipe.send_bytes(pickle.dumps((work, arguments, more)))
        own = _result(work, self.group, arguments, more)
        results = own, pickle.loads(self.pipe.recv_bytes())
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results


@contextmanager
def pair_of_processes(folder: Path) -> Iterator[Pair]:
    context = multiprocessing.get_context("spawn")
    own, its = context.Pipe()
    process = context.Process(target=_serve, args=(its, folder / "rendezvous"), daemon=True)
    process.start()
    try:
        with joined(0, 2, folder / "rendezvous", "cpu") as group:
            yield Pair(group, own)
            own.send_bytes(pickle.dumps(None))
    finally:
        process.join(10)
        process.kill()


def _serve(pipe: Connection, file: Path) -> None:
    torch.set_num_threads(1)
    with joined(1, 2, file, "cpu") as group:
        while (task := pickle.loads(pipe.recv_bytes())) is not None:
            work, arguments, more = task
            pipe.send_bytes(pickle.dumps(_result(work, group, arguments, more)))


def _result(work: Callable[..., Any], group: Group, arguments: Any, more: Any) -> Any:
    try:
        return work(group, *arguments, **more)
    except Exception as error:
        return error


@dataclass
class Trained:
    """Where a training has come to: losses of the whole batch, and the trainer's state."""

    losses: list[float]
    state: dict[str, Any]

    @property
    def slots(self) -> dict[str, Any]:
        return self.state["slots"]  # type: ignore[no-any-return]

    @property
    def model(self) -> dict[str, Tensor]:
        return self.state["model"]  # type: ignore[no-any-return]


def made(group: Group, name: str, count: int, rows: int | None = None, **settings: object) -> Trainer:
    one = trainer(name, steps(count, batch=BATCH), group=group, exploration=0.5, **settings)
    return one if rows is None else numbered(one, rows)


def train(
    group: Group,
    name: str,
    count: int,
    saved: dict[str, Any] | None = None,
    rows: int | None = None,
    **settings: object,
) -> Trained:
    """Train ``count`` steps, from a state where one is given."""
    one = made(group, name, 1000, rows, **settings)
    if saved is not None:
        one.restore(copy.deepcopy(saved))  # torch continues in the memory that it is given
    losses = [group.total(float(one.step().total.detach())) for _ in range(count)]
    return Trained(losses, one.state())


@dataclass
class Told:
    """What a watcher of `run_to_the_end` was told, and how the run ended."""

    lines: list[dict[str, float]] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    ended: str = "done"


def run_to_the_end(
    group: Group,
    name: str,
    stop: tuple[int, int] | None = None,
    due: int | None = None,
    spoil: str | None = None,
) -> Told:
    """A whole run of 40 steps.

    ``stop`` is a rank and the step at which it alone is told to stop, ``due`` the step at which the first
    process alone wants to save. ``spoil`` makes the second process's loss or weights wrong after ten steps.
    """
    one, told = made(group, name, 40), Told()

    def line(values: Metrics) -> None:
        told.lines.append(dict(values))

    if spoil is not None and group.rank == 1:
        step = one.step

        def spoiled() -> Any:
            loss = step()
            if one.steps == 10 and spoil == "loss":
                loss.total.mul_(float("nan"))
            if one.steps == 10 and spoil == "weights":
                with torch.no_grad():
                    next(one.model.parameters()).view(-1)[0] += 1e-7
            return loss

        one.step = spoiled  # type: ignore[method-assign]
    watcher = Watcher(
        line,
        lambda model: {"v": 1.0},
        lambda step: told.saved.append(one.state()["steps"]),
        lambda step: group.rank == 0 and step == due,
        lambda: (group.rank, one.steps) == stop,
    )
    try:
        one.run(watcher)
    except Stopped:
        told.ended = "stopped"
    except TrmBenchError as error:
        told.ended = str(error)
    return told


class Shifted:
    """Augmentation k moves every token k cells on."""

    max_augmentations: int | None = INFO.cells

    def transforms(self, seed: int, items: Ints, ks: Ints) -> Transforms:
        cells = (np.arange(INFO.cells) + ks[:, None]) % INFO.cells
        return CellTokenTransforms(cells, np.tile(np.arange(INFO.vocab_size, dtype=np.uint8), (len(ks), 1)))


def predictions(group: Group, name: str, votes: bool, halting: bool, batch: int = 7) -> list[Read]:
    """Of a model that has learnt a little, at two depths."""
    one = made(ALONE, name, 1000)
    for _ in range(3):
        one.step()
    test = puzzles()
    views = Views(Shifted(), 0, 1 + np.arange(len(test)) % 3, lambda items, ks: 0 * items) if votes else None
    config = InferenceConfig(CPU, batch_size=batch, group=group)
    return infer(one.model, test, config, Depths((1, 2), halting), views)

"""Training examples: draws of the stream, augmented, and kept ready on a device for the slots."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..api.augment import Augmentation, Ints
from ..api.embedding_rows import EmbeddingRows
from ..api.puzzles import Identities, PuzzleSet
from ..api.randomness import hashed, named_seed
from .draws import DrawStream


@dataclass(frozen=True)
class Batch:
    """n examples.

    Attributes:
        inputs, targets: (n, L) int64.
        puzzle_ids: (n,) int64, rows of the puzzle embedding.
        may_halt: (n, N_sup) bool, whether the example may halt after supervision step 1, 2, …
    """

    inputs: Tensor
    targets: Tensor
    puzzle_ids: Tensor
    may_halt: Tensor

    def parts(self) -> tuple[Tensor, ...]:
        """The four tensors."""
        return self.inputs, self.targets, self.puzzle_ids, self.may_halt


@dataclass(frozen=True)
class Exploration:
    """At each step, with ``probability``, an example may halt only if step U{2..``most``} is reached.

    Source: HRM, section 2; tossed at every step as in both reference repositories.
    """

    probability: float
    most: int

    def may_halt(self, seed: int, start: int, count: int) -> NDArray[np.bool_]:
        """(count, most) for draws start .. start + count − 1; belongs to the draw, not to the slot."""
        steps = np.arange(1, self.most + 1)
        if self.most < 2 or self.probability == 0:
            return np.ones((count, self.most), bool)
        t = np.arange(start, start + count)[:, None]
        chance = hashed(named_seed("explore", seed), t, steps) / 2.0**64
        least = 2 + hashed(named_seed("explore steps", seed), t, steps) % np.uint64(self.most - 1)
        return (chance >= self.probability) | (steps >= least)


class ExampleStream:
    """The draws of a run as examples, any of them at any time: a pure function of their numbers.

    Args:
        task_seed: of the augmentations; ``seed``: of the draws.
        identities: of the puzzles, and ``rows`` of the puzzle embedding, where there are any.
    """

    def __init__(
        self,
        puzzles: PuzzleSet,
        augmentation: Augmentation,
        augmentations: int,
        *,
        task_seed: int,
        seed: int,
        exploration: Exploration,
        identities: Identities | None = None,
        rows: EmbeddingRows | None = None,
    ):
        known = None
        if identities is not None:
            known = (puzzles.identifiers.astype(np.int64), identities.augmentations)
        self.stream = DrawStream(seed, len(puzzles), augmentations, known)
        self.cells, self.steps = puzzles.inputs.shape[1], exploration.most
        self._rows = rows
        self._puzzles, self._augmentation, self._exploration = puzzles, augmentation, exploration
        self._task_seed, self._seed = task_seed, seed

    def draws(self, start: int, count: int) -> Batch:
        """Draws start .. start + count − 1 on the host; the tokens are still uint8."""
        items, ks = self.stream.at(start, count)
        transforms = self._augmentation.transforms(self._task_seed, items, ks)
        may_halt = self._exploration.may_halt(self._seed, start, count)
        return Batch(
            torch.from_numpy(transforms.apply(self._puzzles.inputs[items]).astype(np.uint8)),
            torch.from_numpy(transforms.apply(self._puzzles.targets[items]).astype(np.uint8)),
            torch.from_numpy(self._puzzle_ids(items, ks)),
            torch.from_numpy(may_halt),
        )

    def _puzzle_ids(self, items: Ints, ks: Ints) -> Ints:
        identifiers = self._puzzles.identifiers[items]
        return identifiers.astype(np.int64) if self._rows is None else self._rows.of(identifiers, ks)


class Feed:
    """The next draws on a device, where the slots help themselves without the host's word.

    How many draws a step takes is known on the device alone, because the model decides who halts. The
    host keeps a ring ahead of what the slots can have reached: it asks for their count after each step,
    and waits for that of `BEHIND` steps before, by when the device has long written it. On a CPU there
    is nothing to wait for.

    Args:
        slots: the most draws that a step can take.
        block: draws augmented at a time: a vectorised transform of three puzzles costs as much as one
            of a thousand.
        behind: how many steps late the host learns of the count; by default `BEHIND` on CUDA, else 1.
    """

    BEHIND = 2

    def __init__(
        self,
        stream: ExampleStream,
        slots: int,
        device: torch.device,
        block: int = 1024,
        behind: int | None = None,
    ):
        self.stream, self._slots, self._block = stream, slots, block
        self._behind = behind or (self.BEHIND if device.type == "cuda" else 1)
        self._size = self._behind * slots + block
        tokens = torch.zeros(self._size, stream.cells, dtype=torch.uint8, device=device)
        numbers = torch.zeros(self._size, dtype=torch.int64, device=device)
        may_halt = torch.zeros(self._size, stream.steps, dtype=torch.bool, device=device)
        self._ring = Batch(tokens, tokens.clone(), numbers, may_halt)
        self._counts: deque[_Count] = deque()
        self._taken = self._end = 0

    def go_to(self, taken: int) -> None:
        """As if the first ``taken`` draws had been taken."""
        self._counts.clear()
        self._taken = self._end = taken

    def refresh(self) -> None:
        """Before a step: have on the device whatever draw the step may take."""
        if len(self._counts) >= self._behind:
            self._taken = self._counts.popleft().value()
        while self._end < self._taken + (len(self._counts) + 1) * self._slots:
            self._load(self.stream.draws(self._end, self._block))

    def note(self, drawn: Tensor) -> None:
        """After a step: ``drawn`` () int64 is the number of draws taken until now."""
        self._counts.append(_Count(drawn))

    def _load(self, fresh: Batch) -> None:
        at, place = 0, self._end % self._size
        while at < self._block:  # in two parts where the ring's end lies between them
            count = min(self._block - at, self._size - place)
            for ring, part in zip(self._ring.parts(), fresh.parts(), strict=True):
                _upload(ring[place : place + count], part[at : at + count])
            at, place = at + count, 0
        self._end += self._block

    def at(self, draws: Tensor) -> Batch:
        """Draws by number (n,), on the device alone; one that is not in the ring gives another example."""
        rows = draws % self._size
        ring = self._ring
        return Batch(
            ring.inputs[rows].long(), ring.targets[rows].long(), ring.puzzle_ids[rows], ring.may_halt[rows]
        )


def _upload(there: Tensor, here: Tensor) -> None:
    """Copy without waiting where the memory is pinned: from there the device fetches it by itself."""
    there.copy_(here.pin_memory() if there.is_cuda else here, non_blocking=there.is_cuda)


class _Count:
    """A number on its way from the device to the host."""

    def __init__(self, there: Tensor):
        self._event = None
        if there.is_cuda:
            self._here = torch.empty((), dtype=torch.int64, pin_memory=True)
            self._here.copy_(there, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._here = there.clone()  # the slots continue counting in the same memory

    def value(self) -> int:
        if self._event is not None:
            self._event.synchronize()
        return int(self._here)

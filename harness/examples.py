"""Training examples on a device: draws of the stream, augmented, in the order of the stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .augment import Augmentation, Ints
from .draws import DrawStream
from .embedding_rows import EmbeddingRows
from .puzzles import Identities, PuzzleSet
from .randomness import hashed, named_seed


@dataclass(frozen=True)
class Batch:
    """n examples: inputs and targets (n, L) int64, puzzle_ids (n,), least (n,) steps to be taken."""

    inputs: Tensor
    targets: Tensor
    puzzle_ids: Tensor
    least: Tensor

    def __getitem__(self, rows: slice) -> Batch:
        return Batch(self.inputs[rows], self.targets[rows], self.puzzle_ids[rows], self.least[rows])


@dataclass(frozen=True)
class Exploration:
    """With ``probability``, an example must take at least U{2..``most``} steps (HRM, section 2)."""

    probability: float
    most: int

    def least_steps(self, seed: int, start: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """(count,) for draws start .. start + count − 1; belongs to the draw, not to the slot."""
        least = np.ones(count, dtype=np.int64)
        if self.most < 2 or self.probability == 0:
            return least
        t = np.arange(start, start + count)
        chance = hashed(named_seed("explore", seed), t) / 2.0**64
        steps = 2 + (hashed(named_seed("explore steps", seed), t) % np.uint64(self.most - 1)).astype(np.int64)
        return np.where(chance < self.probability, steps, least)


class ExampleStream:
    """Hands out the draws of a run one after another, as tensors.

    Draws are augmented in blocks, because a vectorised transform of three puzzles costs as much
    as one of a thousand.
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
        device: torch.device,
        identities: Identities | None = None,
        rows: EmbeddingRows | None = None,
        block: int = 1024,
    ):
        known = None
        if identities is not None:
            known = (puzzles.identifiers.astype(np.int64), identities.variants)
        self.stream = DrawStream(seed, len(puzzles), augmentations, known)
        self._rows = rows
        self.taken = 0
        self._puzzles, self._augmentation, self._exploration = puzzles, augmentation, exploration
        self._task_seed, self._seed, self._device = task_seed, seed, device
        self._block = block
        self._start, self._ready = 0, self._load(0)

    def _load(self, start: int) -> Batch:
        items, ks = self.stream.at(start, self._block)
        variants = self._augmentation.variants(self._task_seed, items, ks)
        least = self._exploration.least_steps(self._seed, start, self._block)
        arrays = (
            variants.apply(self._puzzles.inputs[items]),
            variants.apply(self._puzzles.targets[items]),
            self._puzzle_ids(items, ks),
            least,
        )
        return Batch(*(torch.from_numpy(array.astype(np.int64)).to(self._device) for array in arrays))

    def _puzzle_ids(self, items: Ints, ks: Ints) -> Ints:
        identifiers = self._puzzles.identifiers[items]
        return identifiers.astype(np.int64) if self._rows is None else self._rows.of(identifiers, ks)

    def go_to(self, taken: int) -> None:
        """As if the first ``taken`` draws had been taken."""
        self.taken = self._start = taken
        self._ready = self._load(taken)

    def take(self, count: int) -> Batch:
        """The next ``count`` draws."""
        parts: list[Batch] = []
        while count or not parts:
            offset = self.taken - self._start
            if offset == self._block:
                self._start, offset = self.taken, 0
                self._ready = self._load(self._start)
            portion = min(count, self._block - offset)
            parts.append(self._ready[offset : offset + portion])
            self.taken += portion
            count -= portion
        return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[Batch]) -> Batch:
    return Batch(
        torch.cat([part.inputs for part in parts]),
        torch.cat([part.targets for part in parts]),
        torch.cat([part.puzzle_ids for part in parts]),
        torch.cat([part.least for part in parts]),
    )

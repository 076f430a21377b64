"""ARC's augmentation: distinct turns and colour names of a task, and in training a place on the canvas.

Source: the HRM and TRM repositories' ARC builder, whose augmentations are drawn at random and kept if new;
here augmentation k of a task is the k-th number of a keyed bijection, so that none has to be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...harness.api.augment import Ints
from ...harness.api.puzzles import PuzzleSet, Tokens
from ...harness.api.randomness import UInt64, hashed, named_seed
from ...harness.api.specs import AugmentationRequest
from .grids import COLOURS, FIRST_COLOUR, VOCAB_SIZE, crop_sizes, inverse_turns, moved, redrawn
from .symmetry import Orbit, distinct_numbers, identity_number, namings

ROUNDS = 6
"""Of the Feistel network; four make a pseudo-random permutation of random functions."""


def keyed_bijection(keys: UInt64, sizes: Ints, places: Ints) -> Ints:
    """(N,): where a keyed shuffle of 0..sizes[n] − 1 puts places[n].

    A balanced Feistel network over the next even power of two; a result outside of the range is put in again
    (cycle walking; Black and Rogaway 2002).
    """
    half = np.maximum(1, (np.ceil(np.log2(np.maximum(sizes, 2))).astype(np.int64) + 1) // 2)
    result = places.copy()
    active = np.ones(len(places), bool)
    while active.any():
        at = np.flatnonzero(active)
        result[at] = _feistel(keys[at], half[at], result[at])
        active[at] = result[at] >= sizes[at]
    return result


def _feistel(keys: UInt64, half: Ints, values: Ints) -> Ints:
    mask = (1 << half) - 1
    left, right = values >> half, values & mask
    for turn in range(ROUNDS):
        bits = (hashed(turn, keys, right) >> np.uint64(1)).astype(np.int64) & mask
        left, right = right, left ^ bits
    return (left << half) | right


@dataclass(frozen=True)
class ArcTransforms:
    """N transformations of canvases, see `harness.api.augment.Transforms`.

    Attributes:
        turns: (N,) of `grids.TURNS`.
        names: (N, 12) what each token becomes.
        corners: (N, 2) where the turned grid begins.
        side: cells along a side of the canvas.
    """

    turns: Ints
    names: Tokens
    corners: Ints
    side: int

    def apply(self, tokens: Tokens) -> Tokens:
        """Turn, recolour and move the grid of each (N, L) canvas; it must lie in the top left corner."""
        canvases = tokens.reshape(-1, self.side, self.side)
        return redrawn(canvases, crop_sizes(canvases), self.turns, self.names, self.corners)

    def invert(self, tokens: Tokens) -> Tokens:
        """Crop the prediction on each (N, L) canvas and undo `apply`; all padding where there is no grid.

        Whatever is outside of the crop is gone, so that equal grids are equal canvases.
        """
        canvases = moved(tokens.reshape(-1, self.side, self.side), self.corners)
        names = np.argsort(self.names, axis=1).astype(np.uint8)
        back = inverse_turns()[self.turns]
        return redrawn(canvases, crop_sizes(canvases), back, names, np.zeros_like(self.corners))


class ArcSymmetries:
    """Augmentation k of a task, for its demonstrations, its test inputs and their answers alike.

    Augmentation 0 is the task itself, in its place. In training, every other augmentation of a pair is moved
    to a random place on the canvas, except for one pair of each augmentation of a task.
    """

    max_augmentations: int | None = None

    def __init__(self, request: AugmentationRequest):
        if request.identities is None:
            raise ValueError("ARC tasks need their identities")
        self.side = request.info.height
        self.puzzles, self.translate = request.puzzles, request.training
        self.names = request.identities.names
        self.orbits = [Orbit.from_text(text) for text in request.identities.symmetry]
        self.counts = request.identities.augmentations
        self.arrangements = np.array([orbit.arrangements for orbit in self.orbits])
        itself = np.array([identity_number(orbit) for orbit in self.orbits])
        turns = np.array([len(orbit.turns) for orbit in self.orbits])
        self.own_number = itself * turns
        self.turns = np.array([(*orbit.turns, *[0] * (8 - len(orbit.turns))) for orbit in self.orbits])
        self.turn_counts = turns
        self.position, self.pairs = _positions(request.puzzles, len(self.names))
        self._keys_by_seed: dict[int, UInt64] = {}

    def transforms(self, seed: int, items: Ints, ks: Ints) -> ArcTransforms:
        """See `harness.api.augment.Augmentation.transforms`; ks[n] is below the task's count.

        Raises:
            ValueError: a task has no augmentation of that number.
        """
        tasks = self.puzzles.identifiers[items].astype(np.int64)
        if ((ks < 0) | (ks >= self.counts[tasks])).any():
            wrong = int(np.argmax((ks < 0) | (ks >= self.counts[tasks])))
            task = tasks[wrong]
            raise ValueError(
                f"task {self.names[task]} has {self.counts[task]} augmentations, no number {ks[wrong]}"
            )
        numbers = self._numbers(seed, tasks, ks)
        turns = self.turns[tasks, numbers % self.turn_counts[tasks]]
        colours = self._colours(tasks, numbers // self.turn_counts[tasks])
        itself = ks == 0
        turns[itself], colours[itself] = 0, np.arange(COLOURS)
        names = np.tile(np.arange(VOCAB_SIZE, dtype=np.uint8), (len(items), 1))
        names[:, FIRST_COLOUR:] = colours + FIRST_COLOUR
        return ArcTransforms(turns, names, self._corners(seed, items, tasks, ks, turns), self.side)

    def _keys(self, seed: int, tasks: Ints) -> UInt64:
        """(N,) a key for each task, from the task seed and its id alone."""
        if seed not in self._keys_by_seed:
            keys = [named_seed("ARC variants", seed, name) for name in self.names.tolist()]
            self._keys_by_seed[seed] = np.array(keys, np.uint64)
        return self._keys_by_seed[seed][tasks]

    def _numbers(self, seed: int, tasks: Ints, ks: Ints) -> Ints:
        """The shuffled number of each augmentation, with that of the task itself exchanged into place 0."""
        keys, counts = self._keys(seed, tasks), self.counts[tasks]
        numbers = keyed_bijection(keys, counts, ks)
        first = keyed_bijection(keys, counts, np.zeros_like(ks))
        own = self.own_number[tasks]
        return np.where(ks == 0, own, np.where(numbers == own, first, numbers))

    def _colours(self, tasks: Ints, numbers: Ints) -> Ints:
        """(N, 10) new colours."""
        colours = np.empty((len(tasks), COLOURS), np.int64)
        groups: dict[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]], list[int]] = {}
        for row, task in enumerate(tasks.tolist()):
            orbit = self.orbits[task]
            groups.setdefault((orbit.colours, orbit.kernel), []).append(row)
        for (used, kernel), rows in groups.items():
            chosen = numbers[rows]
            if len(kernel) > 1:
                chosen = distinct_numbers(used, kernel)[chosen]
            colours[rows] = namings(used, chosen)
        return colours

    def _corners(self, seed: int, items: Ints, tasks: Ints, ks: Ints, turns: Ints) -> Ints:
        """(N, 2) where the grids of a pair begin, the question and the answer at the same place."""
        if not self.translate:
            return np.zeros((len(items), 2), np.int64)
        keys = self._keys(seed, tasks)
        still = (hashed(1, keys, ks) % self.pairs[tasks].astype(np.uint64)).astype(np.int64)
        stays = (ks == 0) | (still == self.position[items])
        sizes = np.maximum(
            *(
                crop_sizes(tokens[items].reshape(-1, self.side, self.side))
                for tokens in (self.puzzles.inputs, self.puzzles.targets)
            )
        )
        sizes = np.where((turns & 4 > 0)[:, None], sizes[:, ::-1], sizes)
        room = (self.side - sizes + 1).astype(np.uint64)
        bits = hashed(2, keys[:, None], ks[:, None], self.position[items][:, None], np.arange(2))
        return np.where(stays[:, None], 0, (bits % room).astype(np.int64))


def _positions(puzzles: PuzzleSet, count: int) -> tuple[Ints, Ints]:
    """(N,) the place of each pair among those of its task, and (G,) how many pairs a task has."""
    tasks = puzzles.identifiers
    pairs = np.bincount(tasks, minlength=count)
    seen: dict[int, int] = {}
    position = np.zeros(len(tasks), np.int64)
    for row, task in enumerate(tasks.tolist()):
        position[row] = seen.get(task, 0)
        seen[task] = position[row] + 1
    return position, pairs

"""Addressable augmentation: augmentation k of puzzle i is a pure function of (task seed, i, k).

Owns what an augmentation is and how it is undone. Which augmentation is drawn when belongs to `draws`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .puzzles import Tokens

Ints = NDArray[np.int64]


class Transforms(Protocol):
    """N transformations, one for each row of the tokens they are applied to."""

    def apply(self, tokens: Tokens) -> Tokens:
        """Transform (N, L) token codes, inputs and targets alike."""
        ...

    def invert(self, tokens: Tokens) -> Tokens:
        """Undo `apply`: ``invert(apply(t)) == t`` for every (N, L) array of token codes."""
        ...


class Augmentation(Protocol):
    """The symmetries of a task."""

    @property
    def max_augmentations(self) -> int | None:
        """How many augmentations a puzzle has, itself included; None where there is no practical end."""
        ...

    def transforms(self, seed: int, items: Ints, ks: Ints) -> Transforms:
        """Augmentation ``ks[n]`` of puzzle ``items[n]``, both (N,); k = 0 is the puzzle itself."""
        ...


@dataclass(frozen=True)
class CellTokenTransforms:
    """Transformations that move cells and rename tokens.

    Attributes:
        cells: (N, L); cell l of the result comes from cell ``cells[n, l]``.
        tokens: (N, V); token v becomes ``tokens[n, v]``.
    """

    cells: Ints
    tokens: Tokens

    def apply(self, tokens: Tokens) -> Tokens:
        """See `Transforms.apply`."""
        moved = np.take_along_axis(tokens, self.cells, axis=1)
        return np.take_along_axis(self.tokens, moved.astype(np.int64), axis=1)

    def invert(self, tokens: Tokens) -> Tokens:
        """See `Transforms.invert`."""
        names = np.argsort(self.tokens, axis=1).astype(np.uint8)
        renamed = np.take_along_axis(names, tokens.astype(np.int64), axis=1)
        return np.take_along_axis(renamed, np.argsort(self.cells, axis=1), axis=1)


class NoAugmentation:
    """A task without symmetries: every puzzle has one augmentation, itself."""

    max_augmentations: int | None = 1

    def transforms(self, seed: int, items: Ints, ks: Ints) -> Transforms:
        """See `Augmentation.transforms`."""
        return _Identity()


class _Identity:
    def apply(self, tokens: Tokens) -> Tokens:
        return tokens

    def invert(self, tokens: Tokens) -> Tokens:
        return tokens

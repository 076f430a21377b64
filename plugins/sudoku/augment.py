"""The symmetries of a Sudoku, each augmentation addressed by (seed, item, k).

Owns which symmetry an augmentation is: digits, bands, rows in a band, stacks, columns in a stack and,
where boxes are square, the transpose. Applying and undoing it is `CellTokenTransforms`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...harness.api.augment import CellTokenTransforms, Ints
from ...harness.api.randomness import UInt64, hashed, permutations
from .board import FIRST_DIGIT, Shape

_DIGITS, _BANDS, _ROWS, _STACKS, _COLUMNS, _TRANSPOSE = range(6)


@dataclass(frozen=True)
class SudokuSymmetries:
    """All symmetries of Sudoku boards of one shape: 1.2e12 at 9×9, of which 9! = 362,880 are digit names."""

    shape: Shape
    max_augmentations: int | None = None

    def transforms(self, seed: int, items: Ints, ks: Ints) -> CellTokenTransforms:
        """See `Augmentation.transforms`; each augmentation is drawn uniformly from the group."""
        shape, count = self.shape, len(items)

        def bits(axis: int, size: int) -> UInt64:
            return hashed(seed, items[:, None], ks[:, None], np.array(axis), np.arange(size))

        rows = _lines(bits(_BANDS, shape.bands), bits(_ROWS, shape.side).reshape(count, -1, shape.box_height))
        columns = _lines(
            bits(_STACKS, shape.stacks), bits(_COLUMNS, shape.side).reshape(count, -1, shape.box_width)
        )
        cells = rows[:, :, None] * shape.side + columns[:, None, :]
        if shape.square:
            turned = (bits(_TRANSPOSE, 1) & np.uint64(1)).astype(np.bool_)
            cells = np.where(turned[:, :, None], cells.transpose(0, 2, 1), cells)
        tokens = np.tile(np.arange(shape.vocab_size), (count, 1))
        tokens[:, FIRST_DIGIT:] = FIRST_DIGIT + permutations(bits(_DIGITS, shape.side))
        cells = cells.reshape(count, shape.cells)
        itself = (ks == 0)[:, None]
        return CellTokenTransforms(
            np.where(itself, np.arange(shape.cells), cells),
            np.where(itself, np.arange(shape.vocab_size), tokens).astype(np.uint8),
        )


def _lines(group_bits: UInt64, line_bits: UInt64) -> Ints:
    """Permutations (N, n) of lines that keep groups of lines together.

    ``group_bits`` (N, G) orders the groups and ``line_bits`` (N, G, n / G) the lines of each.
    """
    groups, lines = permutations(group_bits), permutations(line_bits)
    size = lines.shape[2]
    return np.asarray(groups[:, :, None] * size + lines).reshape(len(groups), -1)

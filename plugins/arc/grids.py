"""ARC grids as tokens on a square canvas: placing, cropping, turning and recolouring.

Codes of the published systems: PAD 0, EOS 1 as a border below and to the right of the grid, colour c
as c + 2. Shapes: N canvases, s cells along a side, L = s·s, V tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...harness.api.augment import Ints
from ...harness.api.puzzles import PAD, Tokens

EOS = 1
FIRST_COLOUR = 2
COLOURS = 10
VOCAB_SIZE = FIRST_COLOUR + COLOURS
MAX_SIDE = 30
TURNS = 8
"""The symmetries of the square. Turn d flips the rows if d & 2, the columns if d & 1, and then
transposes if d & 4; 0 leaves a grid as it is."""

Grid = NDArray[np.uint8]
"""(height, width) colours 0 to 9, each side 1 to 30."""


def turned(grid: Grid, turn: int) -> Grid:
    """A grid after one of the `TURNS`."""
    grid = grid[::-1] if turn & 2 else grid
    grid = grid[:, ::-1] if turn & 1 else grid
    return grid.T if turn & 4 else grid


def inverse_turns() -> Ints:
    """(8,): the turn that undoes each turn."""
    return np.asarray(np.argmax(products() == 0, axis=0))


def products() -> Ints:
    """(8, 8): ``products()[a, b]`` is the turn that does b first and then a."""
    probe = np.arange(6, dtype=np.uint8).reshape(2, 3)
    looks = [turned(probe, turn).tolist() for turn in range(TURNS)]
    return np.array([[looks.index(turned(turned(probe, b), a).tolist()) for b in range(8)] for a in range(8)])


def to_canvases(grids: Sequence[Grid], side: int) -> Tokens:
    """(N, L): each grid in the top left corner of a canvas, with its border."""
    canvases = np.full((len(grids), side, side), PAD, np.uint8)
    for canvas, grid in zip(canvases, grids, strict=True):
        height, width = grid.shape
        canvas[:height, :width] = grid + FIRST_COLOUR
        canvas[height : height + 1, :width] = EOS
        canvas[:height, width : width + 1] = EOS
    return canvases.reshape(len(grids), side * side)


def crop_sizes(canvases: Tokens) -> Ints:
    """(N, 2) height and width of the largest rectangle of colours in the top left corner of (N, s, s).

    Of rectangles of the same area the one with the fewest rows is taken; both sizes are 0 where the first
    cell holds no colour. Source: the cropping of the HRM and TRM repositories' ARC evaluator.
    """
    side = canvases.shape[1]
    coloured = canvases >= FIRST_COLOUR
    leading = np.minimum.accumulate(coloured, axis=2).sum(axis=2)
    widths = np.minimum.accumulate(leading, axis=1)
    best = np.argmax(widths * np.arange(1, side + 1), axis=1)
    width = widths[np.arange(len(canvases)), best]
    return np.stack([np.where(width > 0, best + 1, 0), width], axis=1)


def cropped(tokens: Tokens, side: int) -> list[Grid]:
    """The grid that each of (N, L) predictions holds, see `crop_sizes`; 0 × 0 where there is none."""
    canvases = tokens.reshape(-1, side, side)
    return [
        canvas[:height, :width] - np.uint8(FIRST_COLOUR)
        for canvas, (height, width) in zip(canvases, crop_sizes(canvases).tolist(), strict=True)
    ]


def moved(canvases: Tokens, corners: Ints) -> Tokens:
    """(N, s, s): the canvases without their first ``corners[n]`` rows and columns, padded at the end."""
    side = canvases.shape[1]
    rows = corners[:, :1] + np.arange(side)
    columns = corners[:, 1:] + np.arange(side)
    inside = (rows < side)[:, :, None] & (columns < side)[:, None, :]
    each = np.arange(len(canvases))[:, None, None]
    taken = canvases[each, np.minimum(rows, side - 1)[:, :, None], np.minimum(columns, side - 1)[:, None, :]]
    return np.where(inside, taken, np.uint8(PAD))


def redrawn(canvases: Tokens, sizes: Ints, turns: Ints, names: Tokens, corners: Ints) -> Tokens:
    """Turn, recolour and place the grids in the top left corners of (N, s, s); gives (N, L).

    Args:
        canvases: (N, s, s).
        sizes: (N, 2) height and width of each grid; what lies outside of it is dropped.
        turns: (N,) see `TURNS`.
        names: (N, V) what each token becomes.
        corners: (N, 2) row and column where the turned grid begins.
    """
    count, side, _ = canvases.shape
    across = (turns & 4 > 0)[:, None, None]
    tall, wide = (sizes[:, axis, None, None] for axis in (0, 1))
    height, width = np.where(across, wide, tall), np.where(across, tall, wide)
    line = np.arange(side)
    i = line[None, :, None] - corners[:, 0, None, None]
    j = line[None, None, :] - corners[:, 1, None, None]
    in_rows, in_columns = (i >= 0) & (i < height), (j >= 0) & (j < width)
    row, column = np.where(across, j, i), np.where(across, i, j)
    row = np.where((turns & 2 > 0)[:, None, None], tall - 1 - row, row)
    column = np.where((turns & 1 > 0)[:, None, None], wide - 1 - column, column)
    inside = in_rows & in_columns
    source = np.where(inside, row * side + column, 0).reshape(count, -1)
    tokens = np.take_along_axis(canvases.reshape(count, -1), source, axis=1)
    tokens = np.take_along_axis(names, tokens.astype(np.intp), axis=1).reshape(count, side, side)
    border = ((i == height) & in_columns) | ((j == width) & in_rows)
    drawn = np.where(inside, tokens, np.where(border, np.uint8(EOS), np.uint8(PAD)))
    return drawn.reshape(count, -1)

"""An invariant of a Sudoku question under every symmetry of the board.

Colour refinement (Weisfeiler and Leman 1968) over cells, rows, columns, boxes, bands, stacks and
digits. Symmetric questions always get equal values, so different values prove that two questions
are not symmetric. Equal values do not prove that they are; see the tests for how rare that is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import Tokens
from ...harness.api.randomness import UInt64, mix
from .board import FIRST_DIGIT, Shape

ROUNDS = 8
CHUNK = 8192
_CELL, _ROW, _COLUMN, _BOX, _BAND, _STACK, _DIGIT, _BLANK = (
    np.uint64(value) for value in mix(np.arange(8).astype(np.uint64))
)


def invariants(shape: Shape, questions: Tokens) -> UInt64:
    """(N,) one 64-bit value for each of the (N, L) questions."""
    with np.errstate(over="ignore"):
        parts = [_refine(shape, questions[at : at + CHUNK]) for at in range(0, len(questions), CHUNK)]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def solution_invariants(shape: Shape, answers: Tokens) -> UInt64:
    """(N,) as `invariants`, of full grids, in which every cell has the same neighbours as every other.

    Colours begin with cycles: two rows (or columns) are a permutation of the digits, and a cell's digit lies
    in a cycle of it.
    """
    parts = []
    with np.errstate(over="ignore"):
        for at in range(0, len(answers), CHUNK):
            grids = answers[at : at + CHUNK].reshape(-1, shape.side, shape.side).astype(np.intp) - FIRST_DIGIT
            salt = np.uint64(0) if shape.square else _COLUMN
            rows = _cycles(grids, shape.box_height, np.uint64(0))
            columns = _cycles(grids.transpose(0, 2, 1), shape.box_width, salt).transpose(0, 2, 1)
            parts.append(_refine(shape, answers[at : at + CHUNK], mix(rows + columns)))
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _cycles(grids: NDArray[np.intp], together: int, salt: np.uint64) -> UInt64:
    """(N, n, n): of each cell the lengths of its digit's cycles from its row to every other, as a hash.

    Rows in groups of ``together`` are in one band, which a symmetry keeps.
    """
    n = grids.shape[1]
    where = np.argsort(grids, axis=2)  # of each row, the column of each digit
    hashes = np.zeros(grids.shape, np.uint64)
    for row in range(n):
        for other in range(n):
            if other == row:
                continue
            step = np.take_along_axis(grids[:, other], where[:, row], axis=1)
            lengths, at = np.zeros(step.shape, np.uint64), step
            for length in range(1, n + 1):
                lengths[(lengths == 0) & (at == np.arange(n))] = length
                at = np.take_along_axis(step, at, axis=1)
            near = np.uint64(n + 1) * np.uint64(row // together == other // together)
            hashes[:, row] += mix(np.take_along_axis(lengths, grids[:, row], axis=1) + near + salt)
    return hashes


def _refine(shape: Shape, questions: Tokens, colours: UInt64 | None = None) -> UInt64:
    count, n, h, w = len(questions), shape.side, shape.box_height, shape.box_width
    names = np.arange(FIRST_DIGIT, shape.vocab_size)
    holds = (questions.reshape(count, n, n, 1) == names).astype(np.uint64)
    given = holds.any(axis=-1)
    cells = np.where(given, _CELL, _BLANK) if colours is None else colours
    # A transpose swaps rows with columns, so where it is a symmetry both must be mixed alike.
    salt_column, salt_stack = (_ROW, _BAND) if shape.square else (_COLUMN, _STACK)
    for _ in range(ROUNDS):
        spread = mix(cells)
        rows, columns = mix(spread.sum(axis=2) + _ROW), mix(spread.sum(axis=1) + salt_column)
        in_boxes = spread.reshape(count, shape.bands, h, shape.stacks, w)
        boxes = mix(in_boxes.sum(axis=(2, 4)) + _BOX)
        bands = _groups(boxes.sum(axis=2), rows.reshape(count, shape.bands, h), _BAND)
        stacks = _groups(boxes.sum(axis=1), columns.reshape(count, shape.stacks, w), salt_stack)
        digits = mix((holds * spread[..., None]).sum(axis=(1, 2)) + _DIGIT)
        row = mix(rows + np.repeat(bands, h, axis=1))[:, :, None]
        column = mix(columns + np.repeat(stacks, w, axis=1))[:, None, :]
        box = np.repeat(np.repeat(boxes, h, axis=1), w, axis=2)
        digit = (holds * digits[:, None, None, :]).sum(axis=-1)
        cells = mix(mix(cells + row + column) + mix(box) + mix(digit + _CELL))
    return np.asarray(mix(mix(cells).sum(axis=(1, 2))))


def _groups(boxes: UInt64, lines: UInt64, salt: np.uint64) -> NDArray[np.uint64]:
    return mix(mix(boxes) + mix(lines).sum(axis=2) + salt)

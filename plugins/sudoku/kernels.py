"""Compiled loops of the solver and the generator; `solver` and `generate` give them their shapes.

All compiled code is in this one file because numba's cache looks only at the file of the
function that is called: a kernel that called into another file would go stale when that changed.

A set of candidates is a bit mask, bit d - 1 for digit d. `units` is (3n, n) and `peers` (L, P), as
in `board.Shape`; a function that takes `work` uses it as scratch space, see `scratch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from .board import Ints32

F = TypeVar("F", bound=Callable[..., object])
State = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_BY_30, _BY_27, _BY_31, _BY_33 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(33)

ADDED, SLACK, PATIENCE, ORDERS = 8, 1.25, 300, 4
"""Tuned by hand for the time per puzzle of 100 guesses or more."""


def _compiled(function: F) -> F:
    return cast(F, numba.njit(nogil=True, cache=True)(function))


@_compiled
def scratch(cells: int) -> Ints32:
    """Room for one search: the masks at each depth, then three rows of bookkeeping."""
    return np.empty((cells + 4, cells), dtype=np.int32)


@_compiled
def below(state: State, end: int) -> int:
    """The next random number from 0 to end - 1 of the SplitMix64 stream in ``state[0]``."""
    state[0] += _GOLDEN
    z = state[0]
    z = (z ^ (z >> _BY_30)) * _MIX_1
    z = (z ^ (z >> _BY_27)) * _MIX_2
    return int(np.int64((z ^ (z >> _BY_31)) >> _BY_33) % end)


@_compiled
def shuffle(state: State, values: Ints32) -> None:
    """Fisher and Yates, in place."""
    for last in range(len(values) - 1, 0, -1):
        other = below(state, last + 1)
        values[last], values[other] = values[other], values[last]


@_compiled
def digit_of(mask: int) -> int:
    """The digit of a decided mask, 0 for an empty one."""
    digit = 0
    while mask:
        mask >>= 1
        digit += 1
    return digit


@_compiled
def spread(masks: Ints32, todo: Ints32, count: int, peers: Ints32) -> bool:
    """Take the digits of the ``count`` decided cells in ``todo`` from their peers (naked singles)."""
    while count:
        count -= 1
        bit = masks[todo[count]]
        for peer in peers[todo[count]]:
            if masks[peer] & bit:
                rest = masks[peer] ^ bit
                if rest == 0:
                    return False
                masks[peer] = rest
                if rest & (rest - 1) == 0:
                    todo[count] = peer
                    count += 1
    return True


@_compiled
def place_hidden(masks: Ints32, todo: Ints32, units: Ints32) -> int:
    """Decide the cells that alone in a unit can hold a digit; how many, or -1 if a digit has no cell."""
    count = 0
    for unit in units:
        seen = repeated = 0
        for cell in unit:
            repeated |= seen & masks[cell]
            seen |= masks[cell]
        if seen != (1 << len(unit)) - 1:
            return -1
        lone = seen & ~repeated
        for cell in unit:
            mask = masks[cell]
            bit = mask & lone
            if bit and mask & (mask - 1):
                if bit & (bit - 1):
                    return -1
                masks[cell] = bit
                todo[count] = cell
                count += 1
    return count


@_compiled
def settle(masks: Ints32, todo: Ints32, count: int, units: Ints32, peers: Ints32) -> bool:
    """Apply naked and hidden singles until neither gives anything; False on a contradiction."""
    while True:
        if not spread(masks, todo, count, peers):
            return False
        count = place_hidden(masks, todo, units)
        if count <= 0:
            return count == 0


@_compiled
def fewest(masks: Ints32, order: Ints32) -> int:
    """The first undecided cell in ``order`` with the fewest candidates, -1 where all are decided."""
    best, best_count = -1, 99
    for cell in order:
        mask, count = masks[cell], 0
        while mask:
            mask &= mask - 1
            count += 1
        if 1 < count < best_count:
            best, best_count = cell, count
            if count == 2:
                break
    return best


@_compiled
def search(
    work: Ints32, limit: int, units: Ints32, peers: Ints32, order: Ints32, found: Ints32
) -> tuple[int, int]:
    """Solutions of the settled masks ``work[0]``, up to ``limit``, and guesses.

    A guess is an undecided cell whose candidates are tried one after the other, lowest first. The
    masks of the first solution go to ``found``.
    """
    picked, left, todo = work[-1], work[-2], work[-3]
    solutions = guesses = depth = 0
    fresh = True
    while depth >= 0:
        if fresh:
            fresh = False
            picked[depth] = fewest(work[depth], order)
            if picked[depth] < 0:
                solutions += 1
                if solutions == 1:
                    found[:] = work[depth]
                if solutions == limit:
                    break
                depth -= 1
                continue
            guesses += 1
            left[depth] = work[depth, picked[depth]]
        bit = left[depth] & -left[depth]
        if bit == 0:
            depth -= 1
            continue
        left[depth] ^= bit
        work[depth + 1] = work[depth]
        work[depth + 1, picked[depth]] = bit
        todo[0] = picked[depth]
        if settle(work[depth + 1], todo, 1, units, peers):
            depth += 1
            fresh = True
    return solutions, guesses


@_compiled
def load(work: Ints32, digits: Ints32, units: Ints32, peers: Ints32, cell: int | np.int32, mask: int) -> bool:
    """Settle the puzzle ``digits`` (0 is blank) in ``work[0]``, with ``mask`` for one ``cell`` (or -1)."""
    masks, todo, count = work[0], work[-3], 0
    for at in range(len(digits)):
        if at == cell:
            masks[at] = mask
        elif digits[at]:
            masks[at] = 1 << (digits[at] - 1)
        else:
            masks[at] = (1 << units.shape[1]) - 1
        if masks[at] & (masks[at] - 1) == 0:
            todo[count] = at
            count += 1
    return settle(masks, todo, count, units, peers)


@_compiled
def solve(
    work: Ints32, digits: Ints32, limit: int, units: Ints32, peers: Ints32, order: Ints32, found: Ints32
) -> tuple[int, int]:
    """Solutions up to ``limit`` and guesses of a puzzle; the first solution's masks go to ``found``."""
    if not load(work, digits, units, peers, -1, 0):
        return 0, 0
    return search(work, limit, units, peers, order, found)


@_compiled
def solve_all(
    puzzles: Ints32, limit: int, units: Ints32, peers: Ints32, answers: Ints32, counts: Ints32
) -> None:
    """`solve` for (N, L) puzzles: digits go to ``answers`` (N, L), solutions and guesses to (N, 2)."""
    work = scratch(puzzles.shape[1])
    order = np.arange(puzzles.shape[1]).astype(np.int32)
    for n in range(len(puzzles)):
        counts[n, 0], counts[n, 1] = solve(work, puzzles[n], limit, units, peers, order, answers[n])
        for cell in range(puzzles.shape[1]):
            answers[n, cell] = digit_of(answers[n, cell])


@_compiled
def random_grid(state: State, work: Ints32, units: Ints32, peers: Ints32, grid: Ints32) -> None:
    """Fill ``grid``: a random digit in a random undecided cell, again and again; start over if stuck."""
    masks, todo = work[0], work[-3]
    order = np.arange(len(grid)).astype(np.int32)
    stuck = True
    while stuck:
        masks[:] = (1 << units.shape[1]) - 1
        shuffle(state, order)
        stuck = False
        for cell in order:
            while masks[cell] & (masks[cell] - 1) and not stuck:
                drawn = 1 << below(state, units.shape[1])
                if masks[cell] & drawn:
                    masks[cell] = drawn
                    todo[0] = cell
                    stuck = not settle(masks, todo, 1, units, peers)
            if stuck:
                break
    for at in range(len(grid)):
        grid[at] = digit_of(masks[at])


@_compiled
def strip(
    state: State, work: Ints32, puzzle: Ints32, units: Ints32, peers: Ints32, found: Ints32, least: int
) -> int:
    """Blank givens in random order while the solution stays unique and more than ``least`` are left.

    Returns the number of givens left. A given that cannot go now cannot go later either, so one
    pass with ``least`` 0 leaves a minimal puzzle.
    """
    cells = np.arange(len(puzzle)).astype(np.int32)
    order = np.nonzero(puzzle)[0].astype(np.int32)
    shuffle(state, order)
    left = len(order)
    for cell in order:
        if left == least:
            break
        others = ((1 << units.shape[1]) - 1) ^ (1 << (puzzle[cell] - 1))
        needed = load(work, puzzle, units, peers, cell, others)
        if needed:
            needed = search(work, 1, units, peers, cells, found)[0] > 0
        if not needed:
            puzzle[cell] = 0
            left -= 1
    return left


@_compiled
def with_givens(
    state: State, units: Ints32, peers: Ints32, givens: int, puzzle: Ints32, grid: Ints32
) -> None:
    """A random grid, and a random puzzle of exactly ``givens`` givens that has it as its solution."""
    work, found = scratch(len(grid)), np.empty(len(grid), dtype=np.int32)
    left = -1
    while left != givens:
        random_grid(state, work, units, peers, grid)
        puzzle[:] = grid
        left = strip(state, work, puzzle, units, peers, found, givens)


@_compiled
def mean_guesses(
    state: State, work: Ints32, puzzle: Ints32, units: Ints32, peers: Ints32, found: Ints32, floor: float
) -> float:
    """The guesses needed, averaged over random orders in which cells of equal merit are taken.

    Guesses in one order would not do: a walk towards many of them finds puzzles that lie
    awkwardly, and once such a puzzle is turned it is easy. Below ``floor`` one order is enough.
    """
    order = np.arange(len(puzzle)).astype(np.int32)
    total = 0
    for done in range(1, ORDERS + 1):
        shuffle(state, order)
        total += solve(work, puzzle, 2, units, peers, order, found)[1]
        if total < done * floor or total == 0:
            return total / done
    return total / ORDERS


@_compiled
def gap(guesses: float, low: int, high: int) -> float:
    """By what factor ``guesses`` misses the range low to high - 1; 1 inside."""
    return max((low + 1) / (guesses + 1), (guesses + 1) / high, 1.0)


@_compiled
def minimal_of_difficulty(
    state: State, units: Ints32, peers: Ints32, low: int, high: int, puzzle: Ints32, grid: Ints32
) -> float:
    """A random grid, and a minimal puzzle of it that takes ``low`` to ``high`` - 1 guesses.

    A walk over the minimal puzzles of the grid: give `ADDED` random cells again, strip, and go
    there unless it is farther from the range by more than `SLACK`. After `PATIENCE` steps without a
    new best it starts over from another grid. Returns the guesses.
    """
    cells = len(grid)
    work, found, other = scratch(cells), np.empty_like(grid), np.empty_like(grid)
    while True:
        random_grid(state, work, units, peers, grid)
        puzzle[:] = grid
        strip(state, work, puzzle, units, peers, found, 0)
        guesses = mean_guesses(state, work, puzzle, units, peers, found, 0.0)
        now = best = gap(guesses, low, high)
        since = 0
        while since < PATIENCE:
            if now == 1.0:
                return guesses
            since += 1
            other[:] = puzzle
            for _ in range(ADDED):
                cell = below(state, cells)
                other[cell] = grid[cell]
            strip(state, work, other, units, peers, found, 0)
            floor = (low + 1) / (now * SLACK) / 3
            guesses = mean_guesses(state, work, other, units, peers, found, floor)
            there = gap(guesses, low, high)
            if there <= now * SLACK:
                puzzle[:] = other
                now = there
            if now < best:
                best, since = now, 0

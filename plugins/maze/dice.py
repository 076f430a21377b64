"""Random numbers inside compiled code: SplitMix64, one stream for each seed.

numba's own generator would do, but its numbers are promised for no two versions of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .grid import kernel

Dice = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def new_dice(seed: int) -> Dice:
    """A stream of its own for ``seed``, as the one word of state that the kernels advance."""
    return np.array([seed], np.uint64)


@kernel
def uniform(dice: Dice) -> float:
    """A number in [0, 1) with 53 random bits."""
    dice[0] += _GOLDEN
    z = dice[0]
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@kernel
def below(dice: Dice, count: int) -> int:
    """A whole number from 0 to ``count - 1``."""
    return int(uniform(dice) * count)

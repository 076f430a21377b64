"""Seeds and random numbers that are pure functions of named axes.

Nothing here keeps a state: the same names and counters give the same numbers in every process,
in any order and on any number of devices.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

UInt64 = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def named_seed(*axes: object) -> int:
    """A 63-bit seed for a list of named axes, e.g. ``named_seed("maze-hard", "test", 0)``."""
    text = "\x1f".join(repr(axis) for axis in axes)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def mix(values: UInt64) -> UInt64:
    """SplitMix64's output function (Steele, Lea and Flood 2014): a bijection of 64-bit words."""
    z = values + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def hashed(seed: int, *counters: NDArray[np.integer]) -> UInt64:
    """64 random bits for each broadcast tuple of counters.

    The counters are integer arrays that broadcast against one another; the result has their
    broadcast shape.
    """
    with np.errstate(over="ignore"):
        state = mix(np.asarray(seed, dtype=np.uint64))
        for counter in counters:
            state = mix(state ^ mix(np.asarray(counter).astype(np.uint64)))
    return np.asarray(state)


def permutations(bits: UInt64) -> NDArray[np.int64]:
    """Turn random keys (..., n) into one permutation of 0..n-1 for each leading index."""
    return np.argsort(bits, axis=-1, kind="stable")

"""Random numbers at evaluation: pure functions of named keys, whatever the batch, its order and its size."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..api.errors import PluginError
from ..api.randomness import hashed, named_seed

_GOLDEN, _MIX_1, _MIX_2 = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""The constants of `api.randomness.mix` as signed 64-bit words, which is what torch has."""
_UNIT = 2.0**-24
"""Uniform numbers have 24 bits, which float32 holds exactly; the largest normal number is 5.9."""


def row_keys(seed: int, items: np.ndarray, views: np.ndarray, rollouts: np.ndarray) -> np.ndarray:
    """(B,) int64 keys of the rows of a batch.

    Args:
        seed: of the evaluation.
        items: (B,) numbers of the puzzles, which belong to them in any test set.
        views: (B,) augmentations.
        rollouts: (B,) numbers of the rollouts.
    """
    return hashed(named_seed("rollouts", seed), items, views, rollouts).astype(np.int64)


class KeyedNormal:
    """Standard normal numbers for the rows of a batch.

    Each is a function of its row's key, the supervision step, how often numbers were drawn in that step
    before, and its place in the row.
    """

    def __init__(self, keys: Tensor):
        self.keys = keys
        self._step = self._draws = 0

    def begin(self, step: int) -> None:
        """Start supervision step ``step``; step 0 is the initial state."""
        self._step, self._draws = step, 0

    def keep(self, rows: Tensor) -> None:
        """Continue with some rows of the batch, (B,) bool."""
        self.keys = self.keys[rows]

    def like(self, x: Tensor) -> Tensor:
        """Numbers in the shape of x (B, ...), in float32.

        Raises:
            PluginError: x has another number of rows than the batch.
        """
        if not x.ndim or len(x) != len(self.keys):
            raise PluginError(
                f"draw(like): like has shape {tuple(x.shape)}, not (B, ...) with B = {len(self.keys)} as "
                "in the batch; every row has random numbers of its own"
            )
        stream = named_seed("step", self._step, self._draws)
        self._draws += 1
        count = math.prod(x.shape[1:])
        keys = _mix(self.keys ^ stream)[:, None]
        half = (count + 1) // 2
        bits = _mix(keys + _GOLDEN * torch.arange(half, device=x.device))
        radius = torch.sqrt(-2 * torch.log((_shifted(bits, 40).float() + 0.5) * _UNIT))
        angle = (_shifted(bits, 16) & 0xFFFFFF).float() * (2 * math.pi * _UNIT)
        pairs = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
        return pairs[:, :count].reshape(x.shape)


def _mix(z: Tensor) -> Tensor:
    """`api.randomness.mix` of signed words."""
    z = z + _GOLDEN
    z = (z ^ _shifted(z, 30)) * _MIX_1
    z = (z ^ _shifted(z, 27)) * _MIX_2
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Shifted to the right, with zeros coming in: torch would repeat the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)

"""Several answers per puzzle: which rows a batch has, and which answer counts.

Shapes: n puzzles or views, K rollouts of each, L cells.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..api.augment import Ints
from ..api.puzzles import Tokens
from ..api.rollouts import RESIDUAL_STEPS, Rollouts, Select
from ..nn.noise import row_keys


def item_numbers(ids: Iterable[object]) -> Ints:
    """(N,) a number for each puzzle's name: its noise is the same in any selection of puzzles."""
    digests = [hashlib.sha256(str(name).encode()).digest()[:8] for name in ids]
    return np.array([int.from_bytes(digest, "big") >> 1 for digest in digests], np.int64)


def digests(answers: Tokens) -> NDArray[np.uint64]:
    """(...) a number for each of the (..., L) answers: of two different ones it is the same once in 2**60.

    In place of the answers under votes, of which K times a thousand for each puzzle would fill the memory.
    """
    weights = np.random.default_rng(0).integers(2**64, size=answers.shape[-1], dtype=np.uint64) | np.uint64(1)
    return np.asarray(answers.astype(np.uint64) @ weights)


def keys_of(rollouts: Rollouts, numbers: Ints, views: Ints) -> Tensor:
    """(n · K,) keys of the rows of a batch, the rollouts of a puzzle one after another."""
    each = np.repeat(numbers, rollouts.count), np.repeat(views, rollouts.count)
    counted = np.tile(np.arange(rollouts.count), len(numbers))
    return torch.from_numpy(row_keys(rollouts.seed, *each, counted))


def choose(select: Select, answers: Tokens, q: NDArray[np.float64], residual: NDArray[np.float64]) -> Ints:
    """(n,) the rollout that counts; of equally good ones the first.

    Args:
        select: the rule.
        answers: (n, K, L).
        q: (n, K) halt logits; NaN for a model without one.
        residual: (n, K) changes of the logits; see `Residual`.
    """
    if select is Select.FIRST:
        return np.zeros(len(answers), np.int64)
    if select is Select.Q:
        return np.asarray(np.nan_to_num(q, nan=-np.inf).argmax(axis=1))
    if select is Select.RESIDUAL:
        return np.asarray(np.nan_to_num(residual, nan=np.inf).argmin(axis=1))
    probability = np.nan_to_num(1 / (1 + np.exp(-q)))
    return np.array([_mode(*one) for one in zip(answers, probability, strict=True)], np.int64)


def _mode(answers: Tokens, probability: NDArray[np.float64]) -> int:
    """The first rollout with the most frequent answer; ties as in `voting.Ballots.ranked`."""
    _, first, where, counts = np.unique(
        answers, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    means = np.bincount(where.ravel(), weights=probability, minlength=len(first)) / counts
    return int(first[np.lexsort((first, -means, -counts))[0]])


class Residual:
    """How much the logits still change: the mean over the last steps and the cells of ‖Δ logits‖₂."""

    def __init__(self) -> None:
        self._before: Tensor | None = None
        self._changes: deque[Tensor] = deque(maxlen=RESIDUAL_STEPS)

    def add(self, logits: Tensor) -> None:
        """After a supervision step: (B, L, V)."""
        logits = logits.float()
        if self._before is not None:
            self._changes.append((logits - self._before).norm(dim=-1).mean(dim=-1))
        self._before = logits

    def value(self, rows: int) -> Tensor:
        """(B,) after the steps until now; NaN before the second."""
        if not self._changes:
            return torch.full((rows,), float("nan"))
        return torch.stack(tuple(self._changes)).mean(dim=0)

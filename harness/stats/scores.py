"""Scores of runs on test items: alignment by item, and means over clusters.

Scores run from 0 to 1. Shapes: S seeds (training runs), I items, C clusters; where every item is a cluster
of its own, C = I.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..api.errors import TrmBenchError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ItemScores:
    """Scores of one model on one test set.

    Attributes:
        name: of the model or run, for messages.
        items: (I,) unique item names.
        clusters: (I,) cluster names.
        scores: (S, I), each 0 to 1.
        codes: (I,) the cluster names as numbers, where they are known: sorting names takes long.
        distinct: whether the item names are known to be unique.
    """

    name: str
    items: NDArray[np.str_]
    clusters: NDArray[np.str_]
    scores: Floats
    codes: NDArray[np.int64] | None = None
    distinct: bool = False

    def means(self) -> Floats:
        """(S, C), see `cluster_means`."""
        return cluster_means(self.scores, self.clusters if self.codes is None else self.codes)

    def __post_init__(self) -> None:
        count = len(self.items)
        if self.clusters.shape != (count,) or self.scores.ndim != 2 or self.scores.shape[1] != count:
            raise ValueError(
                f"{self.name}: items {self.items.shape}, clusters {self.clusters.shape} and scores "
                f"{self.scores.shape} must be (I,), (I,) and (S, I)"
            )


def align(a: ItemScores, b: ItemScores) -> tuple[ItemScores, ItemScores]:
    """The same two, with the items of ``b`` in the order of ``a``.

    Raises:
        TrmBenchError: an item is there twice, is missing on one side, or changes its cluster.
    """
    if a.items is b.items and a.clusters is b.clusters and a.distinct:
        return a, b
    index_a, index_b = _index(a), _index(b)
    if index_a.keys() != index_b.keys():
        raise TrmBenchError(_mismatch(a, b, index_a, index_b))
    rows = np.fromiter((index_b[item] for item in index_a), np.int64, len(index_a))
    ordered = replace(
        b, items=b.items[rows], clusters=b.clusters[rows], scores=b.scores[:, rows], codes=None, distinct=True
    )
    moved = np.flatnonzero(a.clusters != ordered.clusters)
    if len(moved):
        at = moved[0]
        raise TrmBenchError(
            f"item {str(a.items[at])!r} is in cluster {str(a.clusters[at])!r} for {a.name} but in "
            f"{str(ordered.clusters[at])!r} for {b.name}; {len(moved)} of {len(a.items)} items differ so"
        )
    return a, ordered


def stack(name: str, runs: Sequence[ItemScores]) -> ItemScores:
    """The seeds of one model in one: scores (S, I), in the item order of the first run.

    Raises:
        TrmBenchError: see `align`.
    """
    if not runs:
        raise ValueError(f"{name}: no runs to stack")
    aligned = [align(runs[0], run)[1] for run in runs]
    return replace(aligned[0], name=name, scores=np.concatenate([run.scores for run in aligned]))


def _index(scores: ItemScores) -> dict[str, int]:
    index = {item: row for row, item in enumerate(scores.items.tolist())}
    if len(index) < len(scores.items):
        twice = next(item for row, item in enumerate(scores.items.tolist()) if index[item] != row)
        raise TrmBenchError(
            f"{scores.name}: {len(scores.items)} scores for {len(index)} items; {twice!r} is there twice"
        )
    return index


def _mismatch(a: ItemScores, b: ItemScores, index_a: dict[str, int], index_b: dict[str, int]) -> str:
    parts = [f"{a.name} has {len(index_a)} items, {b.name} has {len(index_b)}"]
    for has, lacks, name in ((index_a, index_b, b.name), (index_b, index_a, a.name)):
        missing = [item for item in has if item not in lacks]
        if missing:
            parts.append(f"{len(missing)} missing from {name}, the first {missing[0]!r}")
    return "; ".join(parts) + ": compare runs on the same test set"


def cluster_means(scores: ArrayLike, clusters: NDArray[np.str_] | NDArray[np.int64]) -> Floats:
    """Average scores (S, I) within each cluster: (S, C), in the sorted order of clusters.

    Every cluster weighs the same afterwards, whatever its size.

    Raises:
        ValueError: shapes do not fit, or a score is not within 0 to 1.
    """
    values = matrix_of(scores)
    if clusters.shape != (values.shape[1],):
        raise ValueError(f"clusters {clusters.shape} must name the {values.shape[1]} items of the scores")
    names, inverse = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(inverse)
    sums = [np.bincount(inverse, weights=row, minlength=len(names)) for row in values]
    # n times 0.1 can sum to more than n · 0.1; a mean above the largest score would be refused later.
    return np.clip(np.stack(sums) / sizes, 0.0, 1.0)


def matrix_of(scores: ArrayLike) -> Floats:
    """Scores as a matrix (S, I).

    Raises:
        ValueError: it is empty or no matrix, or a score is not within 0 to 1.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"scores must be (seeds, items) and not empty, not {values.shape}")
    if not (values.min() >= 0.0 and values.max() <= 1.0):  # a NaN fails both
        raise ValueError(f"scores must be within 0 to 1, not {values.min()} to {values.max()}")
    return values

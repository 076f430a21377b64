"""The samples of a run as columns, every value checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..stats.scores import Floats
from ..store.checked import DamagedResult
from ..store.folders import RunFolder
from ..store.records import Manifest


@dataclass(frozen=True)
class Names:
    """Test items and their clusters; the runs of a grid share one, so that they are sorted once.

    Attributes:
        items: (I,).
        clusters: (I,).
    """

    items: NDArray[np.str_]
    clusters: NDArray[np.str_]

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """(I,) the clusters numbered in the order of their names."""
        return np.unique(self.clusters, return_inverse=True)[1]

    @cached_property
    def distinct(self) -> bool:
        """Whether no item occurs twice."""
        return len(np.unique(self.items)) == len(self.items)


@dataclass(frozen=True)
class Samples:
    """The records of one run, column by column.

    Attributes:
        names: of items and clusters.
        scores: (I,) by evaluator.
        extras: (I,) by key; NaN where an item has none of that key.
    """

    names: Names
    scores: Mapping[str, Floats]
    extras: Mapping[str, Floats]


class _Line(msgspec.Struct):
    """One line of `samples.jsonl.gz`, see `records.Record`."""

    item: str
    cluster: str
    scores: dict[str, float]
    extras: dict[str, float] = {}


_DECODER = msgspec.json.Decoder(_Line)


def read_samples(folder: RunFolder, manifest: Manifest, like: Samples | None = None) -> Samples:
    """Samples of a run as arrays; names are shared with ``like`` where they are the same.

    Raises:
        DamagedResult: see `RunFolder.samples`; or a value is not what it should be.
    """
    where = f"{folder.folder}: samples"
    try:
        lines = _DECODER.decode_lines(folder.samples())
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DamagedResult(f"{where} cannot be read ({error}); repeat the run") from error
    if not lines:
        raise DamagedResult(f"{where}: there are none; repeat the run")
    nan = float("nan")
    keys = dict.fromkeys(key for line in lines for key in line.extras)
    scores = {
        name: np.array([line.scores.get(name, nan) for line in lines], float) for name in manifest.evaluators
    }
    extras = {key: np.array([line.extras.get(key, nan) for line in lines], float) for key in keys}
    names = Names(np.array([line.item for line in lines]), np.array([line.cluster for line in lines]))
    if like is not None and _same_names(names, like.names):
        names = like.names
    _check(where, manifest, names, scores)
    return Samples(names, scores, extras)


def _check(where: str, manifest: Manifest, names: Names, scores: Mapping[str, Floats]) -> None:
    if manifest.description.primary not in scores:
        raise DamagedResult(f"{where}: not scored by {manifest.description.primary}; repeat the run")
    if not names.distinct:
        items, counts = np.unique(names.items, return_counts=True)
        raise DamagedResult(f"{where}: item {items[np.argmax(counts)]} occurs twice; repeat the run")
    for name, column in scores.items():
        wrong = np.flatnonzero(~((column >= 0) & (column <= 1)))  # NaN too
        if len(wrong):
            item, score = names.items[wrong[0]], column[wrong[0]]
            raise DamagedResult(
                f"{where}: item {item}, {name}: score {score} is not from 0 to 1; repeat the run"
            )


def _same_names(a: Names, b: Names) -> bool:
    return np.array_equal(a.items, b.items) and np.array_equal(a.clusters, b.clusters)


def largest_difference(a: Samples, b: Samples) -> float | None:
    """The largest difference of two runs' mean scores, 0 to 1; None where their samples are the same."""
    same_names = _same_names(a.names, b.names)
    shared = [name for name in a.scores if name in b.scores]
    if same_names and all(np.array_equal(a.scores[name], b.scores[name]) for name in shared):
        return None
    return max((abs(float(a.scores[name].mean() - b.scores[name].mean())) for name in shared), default=1.0)

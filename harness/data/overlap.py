"""Test puzzles that are trained on, and test puzzles that are copies of one another, up to symmetry.

Owns what counts as the same puzzle, and what is said about it. What a symmetry is, the task says with
`TaskSpec.canonical`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..api.errors import DataError
from ..api.puzzles import PuzzleSet, TaskData, TaskInfo
from ..api.specs import TaskSpec

UNKNOWN = "no training puzzles were given, so whether a test puzzle was trained on is not known"
"""The caveat on an evaluation with a test table alone."""


def canonical_keys(spec: TaskSpec, info: TaskInfo, puzzles: PuzzleSet) -> list[bytes]:
    """(N,) keys, equal for puzzles that are the same up to the task's symmetries.

    Without a canonical form, puzzles are the same whose questions are: a question with another of its right
    answers has been trained on all the same.

    Raises:
        DataError: the task does not give one for each puzzle.
    """
    if spec.canonical is None:
        return [row.tobytes() for row in puzzles.inputs]
    keys = list(spec.canonical(info, puzzles.inputs, puzzles.targets)) if len(puzzles) else []
    if len(keys) != len(puzzles) or not all(isinstance(key, bytes) for key in keys):
        raise DataError(f"task {spec.name!r}: `canonical` must give bytes for each of {len(puzzles)} puzzles")
    return keys


def with_overlaps(spec: TaskSpec, data: TaskData) -> TaskData:
    """The same data, with what test shares with the other splits and with itself in the source's caveats.

    Copies of one test puzzle become one cluster, so that statistics count it once.
    """
    labels, puzzles = Labels(spec, data), f"{len(data.test)} test puzzles"
    found = [
        "" if len(data.train) else UNKNOWN,
        _shared(labels.also_in(data.train).sum(), puzzles, "trained on", spec),
        _shared(labels.also_in(data.validation).sum(), puzzles, "in the validation split", spec),
    ]
    groups = labels.groups()
    if repeated := len(data.test) - len(set(groups)):
        found.append(
            f"{repeated} of {len(data.test)} test puzzles {_are(repeated)} "
            f"{'equal' if spec.canonical is None else 'symmetric'} to another test puzzle: "
            f"{len(set(groups))} independent ones"
        )
        clusters = merged(data.test.clusters, groups)
        data = replace(data, test=replace(data.test, clusters=clusters))
    notes = _about_validation(spec, data, labels.among(data.validation))
    if images := int(labels.images_in(data.train).sum()):
        note = f"{images} of {len(data.test)} test puzzles {_are(images)} symmetric to a training puzzle of "
        note += "the same identity, whose augmentations change both alike"
        notes.append(note)
    data = replace(data, source=replace(data.source, notes=(*data.source.notes, *notes)))
    said = tuple(filter(None, found))
    source = data.source
    if source.as_published:
        source = replace(source, notes=(*source.notes, *(f"{one} (as published)" for one in said)))
    else:
        source = replace(source, caveats=(*source.caveats, *said))
    return replace(data, source=source)


VALIDATION = "validation puzzles"
"""In what is said of them, which is no reason against a score on test: they choose settings."""


def _about_validation(spec: TaskSpec, data: TaskData, labels: Labels) -> list[str]:
    """What validation, whose labels these are, shares with training and with itself."""
    what = f"{len(data.validation)} {VALIDATION}"
    found = [
        _shared(labels.also_in(data.train).sum(), what, "trained on", spec),
        _shared(len(data.validation) - len(set(labels.groups())), what, "the same as another one", spec),
    ]
    return list(filter(None, found))


Label = tuple[bytes, bytes, int]
"""The canonical key, the exact key and the identity of a puzzle."""


class Labels:
    """The test puzzles of a task, or those of another split, by what they are.

    Puzzles of one identity are told apart as they are, those of different identities up to symmetry: the
    pairs of an ARC task may well be images of one another, and an augmentation changes all of them at once.
    """

    def __init__(
        self,
        spec: TaskSpec,
        data: TaskData,
        puzzles: PuzzleSet | None = None,
        known: dict[int, tuple[PuzzleSet, list[Label]]] | None = None,
    ):
        self.spec, self.data = spec, data
        # With the puzzles, so that none gets the place of another.
        self._known = {} if known is None else known
        self.own = self._of(data.test if puzzles is None else puzzles)

    def among(self, puzzles: PuzzleSet) -> Labels:
        """Those of another split; what is known of any is computed once."""
        return Labels(self.spec, self.data, puzzles, self._known)

    def _of(self, puzzles: PuzzleSet) -> list[Label]:
        if id(puzzles) not in self._known:
            self._known[id(puzzles)] = puzzles, _labels(self.spec, self.data, puzzles)
        return self._known[id(puzzles)][1]

    def also_in(self, split: PuzzleSet) -> NDArray[np.bool_]:
        """(N,) whether each test puzzle is in another split."""
        owners: dict[bytes, set[int]] = {}
        exact: set[Hashable] = set()
        for key, own, identity in self._of(split):
            owners.setdefault(key, set()).add(identity)
            exact.add((own, identity))
        alone = self.data.identities is None
        return np.array(
            [
                key in owners and (alone or bool(owners[key] - {identity}) or (own, identity) in exact)
                for key, own, identity in self.own
            ],
            np.bool_,
        )

    def images_in(self, split: PuzzleSet) -> NDArray[np.bool_]:
        """(N,) whether each test puzzle is an image of one in another split, of its own identity alone."""
        known = {(key, identity) for key, _, identity in self._of(split)}
        mine = np.array([(key, identity) in known for key, _, identity in self.own], np.bool_)
        return mine & ~self.also_in(split)

    def groups(self) -> list[Hashable]:
        """(N,) equal for test puzzles that are the same."""
        owners: dict[bytes, set[int]] = {}
        for key, _, identity in self.own:
            owners.setdefault(key, set()).add(identity)
        alone = self.data.identities is None
        return [key if alone or len(owners[key]) > 1 else (own, identity) for key, own, identity in self.own]


def merged(clusters: NDArray[np.str_], groups: Sequence[Hashable]) -> NDArray[np.str_]:
    """(N,) clusters, of which those that share a group have become one, named after the first of them."""
    names = clusters.tolist()
    parent = {name: name for name in names}
    place = {name: at for at, name in reversed(list(enumerate(names)))}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    first: dict[Hashable, str] = {}
    for name, group in zip(names, groups, strict=True):
        earlier, later = sorted((root(first.setdefault(group, name)), root(name)), key=place.__getitem__)
        parent[later] = earlier
    return np.array([root(name) for name in names], np.str_)


def _labels(spec: TaskSpec, data: TaskData, puzzles: PuzzleSet) -> list[Label]:
    """Of each puzzle."""
    keys, exact = canonical_keys(spec, data.info, puzzles), _exact(puzzles)
    return list(zip(keys, exact, puzzles.identifiers.tolist(), strict=True))


def _exact(puzzles: PuzzleSet) -> list[bytes]:
    both = np.concatenate([puzzles.inputs, puzzles.targets], axis=1)
    return [row.tobytes() for row in both]


def _shared(count: int, what: str, how: str, spec: TaskSpec) -> str:
    if not count:
        return ""
    extent = "as they are" if spec.canonical is None else f"up to the symmetries of {spec.name}"
    return f"{count} of {what} {_are(count)} {how}, {extent}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"

"""The distinct augmentations of an ARC task: how many there are, and which one has number e.

An augmentation is a turn of the square and a renaming of the colours 1 to 9, applied to every grid. Two of
them that give the same pairs, in whatever order, are one augmentation; a task that has few colours, or is
symmetric itself, has fewer than 8 · 9! of them. Augmentations are cosets of the task's own symmetries and
are numbered, not listed: number e is computed from e alone.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from ...harness.api.augment import Ints
from .grids import COLOURS, TURNS, Grid, products, turned
from .tasks import ArcTask

Figure = tuple[Grid, ...]
"""Grids that belong together: a demonstration's two, or a test input alone."""


@dataclass(frozen=True)
class Orbit:
    """The augmentations of one task.

    Attributes:
        colours: those above 0 that it uses, rising.
        turns: one for each distinct set of turned figures (a transversal of the square's symmetries
            by the task's own); 0 comes first.
        kernel: renamings of ``colours`` that leave the task as it is without a turn; the identity is
            always among them.
    """

    colours: tuple[int, ...]
    turns: tuple[int, ...]
    kernel: tuple[tuple[int, ...], ...]

    @property
    def arrangements(self) -> int:
        """Distinct ways to name the colours."""
        return math.perm(COLOURS - 1, len(self.colours)) // len(self.kernel)

    @property
    def count(self) -> int:
        """How many distinct augmentations there are, the task itself included."""
        return len(self.turns) * self.arrangements

    def to_text(self) -> str:
        """As JSON, to be kept with the puzzles."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Orbit:
        """Undo `to_text`."""
        content = json.loads(text)
        kernel = tuple(tuple(one) for one in content["kernel"])
        return cls(tuple(content["colours"]), tuple(content["turns"]), kernel)


def orbit_of(task: ArcTask) -> Orbit:
    """The augmentations of a task, as told apart by its demonstrations and test inputs.

    Test outputs are not looked at: what a run does before the end must not depend on them.
    """
    figures: list[Figure] = [(pair.input, pair.output) for pair in task.train]
    figures += [(pair.input,) for pair in task.test]
    used = np.unique(np.concatenate([grid.ravel() for figure in figures for grid in figure]))
    colours = tuple(used[used > 0].tolist())
    own = {turn: set(_renamings(figures, turn, colours)) for turn in range(TURNS)}
    return Orbit(colours, _transversal([turn for turn in own if own[turn]]), tuple(sorted(own[0])))


def _transversal(subgroup: Sequence[int]) -> tuple[int, ...]:
    """The least turn of each left coset of a subgroup."""
    return tuple(sorted({int(products()[turn, list(subgroup)].min()) for turn in range(TURNS)}))


def _renamings(figures: Sequence[Figure], turn: int, colours: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every renaming that, after ``turn``, gives the same figures in some order."""
    images = [tuple(turned(grid, turn) for grid in figure) for figure in figures]
    if sorted(map(_shapes, images)) != sorted(map(_shapes, figures)):
        return
    # Equal figures are one kind, or a task that repeats a pair would have to be tried in every order.
    kinds = {_content(figure): figure for figure in figures}
    free = Counter(map(_content, figures))
    for names in _matchings(sorted(images, key=_content), kinds, free, {0: 0}):
        yield tuple(names[colour] for colour in colours)


def _content(figure: Figure) -> tuple[object, ...]:
    return tuple((grid.shape, grid.tobytes()) for grid in figure)


def _shapes(figure: Figure) -> list[tuple[int, ...]]:
    return [grid.shape for grid in figure]


def _matchings(
    images: Sequence[Figure],
    kinds: Mapping[tuple[object, ...], Figure],
    free: Counter[tuple[object, ...]],
    names: Mapping[int, int],
) -> Iterator[dict[int, int]]:
    """Renamings under which the images are the free figures; extends ``names`` image by image."""
    if not images:
        yield dict(names)
        return
    for kind in free:
        if _shapes(images[0]) == _shapes(kinds[kind]):
            further = _extended(names, images[0], kinds[kind])
            if further is not None:
                yield from _matchings(images[1:], kinds, free - Counter([kind]), further)


def _extended(names: Mapping[int, int], image: Figure, figure: Figure) -> dict[int, int] | None:
    """``names`` with what turning ``image`` into ``figure`` asks for; None where that is impossible."""
    found, back = dict(names), {new: old for old, new in names.items()}
    for before, after in zip(image, figure, strict=True):
        for code in np.unique(before * COLOURS + after).tolist():
            old, new = divmod(code, COLOURS)
            if found.setdefault(old, new) != new or back.setdefault(new, old) != old:
                return None
    return found


def namings(colours: tuple[int, ...], numbers: Ints) -> Ints:
    """(N, 10): the renaming of all colours that has each of (N,) numbers below 9!/(9 − c)!.

    The number's mixed-radix digits pick the new names of the c colours one after another from those left;
    unused colours get the remaining names in rising order. 0 keeps its name.
    """
    count = len(numbers)
    left = np.tile(np.arange(1, COLOURS), (count, 1))
    names = np.zeros((count, COLOURS), np.int64)
    rest = numbers.copy()
    rows = np.arange(count)
    for colour in colours:
        rest, pick = np.divmod(rest, left.shape[1])
        names[:, colour] = left[rows, pick]
        keep = np.arange(left.shape[1]) != pick[:, None]
        left = left[keep].reshape(count, -1)
    unused = [colour for colour in range(1, COLOURS) if colour not in colours]
    names[:, unused] = left
    return names


def number_of(names: Sequence[int]) -> int:
    """The number under which `namings` gives the used colours these names."""
    left, number, place = list(range(1, COLOURS)), 0, 1
    for name in names:
        number += left.index(name) * place
        place *= len(left)
        left.remove(name)
    return number


@lru_cache(maxsize=64)
def distinct_numbers(colours: tuple[int, ...], kernel: tuple[tuple[int, ...], ...]) -> Ints:
    """The numbers, rising, of one renaming of each class that the kernel makes of them.

    Only the few tasks that are the same with their colours exchanged need this list.
    """
    named = namings(colours, np.arange(math.perm(COLOURS - 1, len(colours))))
    weights = COLOURS ** np.arange(len(colours))
    own = named[:, list(colours)] @ weights
    least = np.ones(len(own), bool)
    for renaming in kernel:
        least &= own <= named[:, list(renaming)] @ weights
    return np.flatnonzero(least)


def identity_number(orbit: Orbit) -> int:
    """The place, among the `Orbit.arrangements`, of the class that holds the identity."""
    if len(orbit.kernel) == 1:
        return number_of(orbit.colours)
    least = min(orbit.kernel, key=lambda names: names[::-1])  # as `distinct_numbers` weighs them
    return int(np.searchsorted(distinct_numbers(orbit.colours, orbit.kernel), number_of(least)))

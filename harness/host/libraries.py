"""Which distributions a plugin's numbers depend on besides its own, and what is installed of them.

A thin plugin may have its model in a library: a new version of that is another model. What trm-bench itself
requires is left out, for every model rests on it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import Distribution
from pathlib import Path

OURS = "trm-bench"
_NAME = re.compile(r"\s*([\w.-]+)")
Stamp = tuple[int, int]


def libraries(modules: Iterable[str], owner: str) -> list[str]:
    """Name, version and recorded files of each distribution that a plugin depends on, sorted.

    Args:
        modules: names that the plugin's files import.
        owner: name of the plugin's distribution; empty for a file.
    """
    places = _places()
    ours = _with_required([OURS], places, frozenset())
    wanted = {name.partition(".")[0] for name in modules}
    wanted -= {"trm_bench", *sys.stdlib_module_names}
    own = distribution_name(owner)
    found = set(_requires(places[own], _stamp(places[own]))) if own in places else set()
    if wanted:
        others = {name: place for name, place in places.items() if name not in ours}
        found |= {name for name, place in others.items() if wanted & _modules(place, _stamp(place))}
    return sorted(_installed(places[name]) for name in _with_required(found, places, ours | {own}))


def distribution_name(name: str) -> str:
    """A distribution's name in its one usual spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _places() -> dict[str, Path]:
    """The folder of metadata of every installed distribution: the first one on the path counts."""
    found: dict[str, Path] = {}
    for place in sys.path:
        for folder in sorted(Path(place).glob("*.dist-info")):
            found.setdefault(distribution_name(folder.name.partition("-")[0]), folder)
    return found


def _stamp(place: Path) -> Stamp:
    """Changes when a distribution is installed again."""
    state = place.stat()
    return state.st_mtime_ns, state.st_ctime_ns


def _with_required(
    names: Iterable[str], places: Mapping[str, Path], without: frozenset[str]
) -> frozenset[str]:
    """Installed distributions and, transitively, what they require."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in places and name not in found and name not in without:
            found.add(name)
            todo += _requires(places[name], _stamp(places[name]))
    return frozenset(found)


@lru_cache(maxsize=4096)
def _requires(place: Path, _stamp: Stamp) -> tuple[str, ...]:
    """What a distribution requires, but for its extras."""
    try:
        lines = Distribution.at(place).requires or []
    except (OSError, ValueError):
        return ()
    wanted = [line for line in lines if not re.search(r";.*\bextra\b", line)]
    return tuple(distribution_name(found[1]) for line in wanted if (found := _NAME.match(line)))


@lru_cache(maxsize=4096)
def _modules(place: Path, _stamp: Stamp) -> frozenset[str]:
    """The top-level names that a distribution has installed."""
    return frozenset(re.split(r"[/.,]", line, maxsplit=1)[0] for line in _recorded(place))


def _installed(place: Path) -> str:
    return "\n".join([place.name.removesuffix(".dist-info"), *_recorded(place)])


def _recorded(place: Path) -> list[str]:
    """The files of a distribution with their checksums; those that depend on who installs it are left out."""
    try:
        lines = (place / "RECORD").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    kept = (line for line in lines if not re.match(r"\.\.|/|[^/]*\.dist-info/|__editable__", line))
    return sorted(line for line in kept if ".pyc," not in line)

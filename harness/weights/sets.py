"""Which of the weights in a checkpoint are meant: it may hold raw and averaged ones, and others."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..api.errors import DataError, UsageError
from ..api.text import plural
from ..store.tensors import tensors_sha256

Tensors = Mapping[str, Tensor]
Placed = tuple[dict[str, Tensor], list[str], list[str]]
"""A set in a model: its tensors by our names, the names that it lacks, and what else speaks against it."""
Place = Callable[[Tensors], Placed]
SHOWN = 6
"""Names that an error lists."""
DEEPEST = 6
"""Levels of a checkpoint that are looked into."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_AVERAGED = {"ema", "avg", "averaged", "average", "swa", "shadow", "polyak"}
_KEPT_AVERAGES = {"ema", "swa", "shadow", "polyak"}
"""Those of them that are no moments of an optimiser."""
_RAW = {"online", "raw", "collected", "backup"}
_NOT = {"no", "non", "not", "without", "pre", "before", "un", "raw"}
_NOT_AVERAGED = re.compile(f"({'|'.join(_NOT)})({'|'.join(_AVERAGED)})")
_COUNTERS = {"decay", "num_updates"}
"""What CompVis' LitEma keeps next to an average, whose names it writes without their dots."""
_STATE = re.compile(r"optim(?!al)|sched|scaler|exp_avg|momentum|grad|rng", re.IGNORECASE)
"""Keys of what is no weights, though it has their names and shapes."""


def some(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def shown(key: str) -> str:
    """A key as errors and ``--weights-key`` write it; a dot for the top of the file."""
    return key or "."


def is_averaged(key: str) -> bool:
    """Whether a key says that its weights are a moving average; the innermost part that says it decides.

    A negation before that word, as in ``model_no_ema``, says that they are none.
    """
    for part in reversed(key.split(".")):
        words = [word.lower() for word in _WORDS.findall(part)]
        if _RAW & set(words) or any(map(_NOT_AVERAGED.fullmatch, words)):
            return False
        if found := [place for place, word in enumerate(words) if word in _AVERAGED]:
            return not _NOT & set(words[: found[0]])
    return False


def _only_numbers(tensors: Iterable[Tensor]) -> bool:
    """Whether they are counters and rates, as programs keep next to an average, and no weights."""
    return all(one.numel() == 1 for one in tensors)


def _in_state(key: str) -> bool:
    """Whether a set is kept by an optimiser: an average of the weights, or of their gradients."""
    return any(_STATE.search(part) for part in key.split("."))


def _walk(content: Any, key: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every mapping and list in a checkpoint, but those of an optimiser; what is there twice comes once."""
    if depth > DEEPEST or id(content) in seen:
        return
    seen.add(id(content))
    if isinstance(content, list | tuple):
        yield key, content
        for place, value in enumerate(content):
            if isinstance(value, Mapping):
                yield from _walk(value, f"{key}.{place}" if key else str(place), depth + 1, seen)
    elif isinstance(content, Mapping):
        yield key, content
        for name, value in content.items():
            below = f"{key}.{name}" if key else str(name)
            walk = _averages_in if _STATE.search(str(name)) else _walk
            yield from walk(value, below, depth + 1, seen)


def _averages_in(state: Any, key: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Averages that an optimiser keeps, of weights or of gradients: named, and never meant by default."""
    if depth > DEEPEST or id(state) in seen or not isinstance(state, Mapping | list | tuple):
        return
    words = {word.lower() for word in _WORDS.findall(key.rpartition(".")[2])}
    if words & _KEPT_AVERAGES:
        yield from _walk(state, key, depth, seen)
        return
    seen.add(id(state))
    for name, value in state.items() if isinstance(state, Mapping) else enumerate(state):
        if not _STATE.search(str(name)):
            yield from _averages_in(value, f"{key}.{name}", depth + 1, seen)


def find_sets(content: Any, path: Path) -> tuple[dict[str, Tensors], dict[str, list[Tensor]]]:
    """The sets of named tensors in a checkpoint by key, and its averages that are lists without names.

    Raises:
        DataError: there is no set of tensors with names.
    """
    named: dict[str, Tensors] = {}
    mixed: dict[str, Tensors] = {}
    lists: dict[str, list[Tensor]] = {}
    for key, value in _walk(content, "", 0, set()):
        if isinstance(value, Mapping):
            tensors = {str(name): one for name, one in value.items() if isinstance(one, Tensor)}
            if tensors and not (is_averaged(key) and _only_numbers(tensors.values())):
                (named if len(tensors) == len(value) else mixed)[key] = tensors
        elif is_averaged(key) and all(isinstance(one, Tensor) for one in value) and not _only_numbers(value):
            lists[key] = list(value)
    if not named:
        raise DataError(f"weights {path}: {_what(content)}")
    return _with_dots({**named, **mixed}), lists


def _with_dots(sets: Mapping[str, Tensors]) -> dict[str, Tensors]:
    """The sets, with the dots that CompVis' LitEma takes out of the names of an average put back.

    They are told from the other names in the file.
    """
    dotted: dict[str, set[str]] = {}
    for tensors in sets.values():
        for name in tensors:
            parts = name.split(".")
            for place in range(len(parts) - 1):
                dotted.setdefault("".join(parts[place:]), set()).add(".".join(parts[place:]))
    return {key: _renamed(key, tensors, dotted) for key, tensors in sets.items()}


def _renamed(key: str, tensors: Tensors, dotted: Mapping[str, set[str]]) -> Tensors:
    found: dict[str, Tensor] = {}
    renamed: set[str] = set()
    for name, value in tensors.items():
        above, dot, last = name.rpartition(".")
        meant = dotted.get(last, ()) if is_averaged(f"{key}.{above}") else ()
        found[f"{above}{dot}{next(iter(meant))}" if len(meant) == 1 else name] = value
        renamed |= {above} if len(meant) == 1 else set()
    counters = {f"{above}.{last}" if above else last for above in renamed for last in _COUNTERS}
    return {name: value for name, value in found.items() if name not in counters}


def _what(content: Any) -> str:
    """What a file without a set of named tensors holds."""
    inner = content
    for _ in range(DEEPEST):
        values = inner.items() if isinstance(inner, Mapping) else ()
        deeper = [one for name, one in values if isinstance(one, Mapping) and not _STATE.search(str(name))]
        inner = deeper[0] if deeper else inner
    if not isinstance(inner, Mapping):
        return f"holds a {type(inner).__name__}, not tensors by name"
    others = [str(name) for name, value in inner.items() if not isinstance(value, Tensor)]
    return f"{some(others)} is no tensor" if others else "no tensor in it"


def choose(
    content: Any,
    place: Place,
    trained: Collection[str],
    key: str | None,
    *,
    path: Path,
    model: str = "model",
    hint: str = "",
) -> tuple[dict[str, Tensor], str]:
    """The weights in a checkpoint that are meant, by our names, and what is to be said about the choice.

    Averaged weights are meant by default, for they are what is scored; ``key`` chooses others. What an
    average does not hold, because it is not trained, comes from the raw weights.

    Args:
        content: of the file.
        place: how a set of tensors fits the model.
        trained: names of the model's tensors that are trained.
        key: of ``--weights-key``, dotted; None for the default.
        path: of the file, for errors.
        model: its name, for errors.
        hint: what may help where nothing fits.

    Raises:
        DataError: no set fits, or several do and nothing says which is meant.
        UsageError: there is no such key.
    """
    named, lists = find_sets(content, path)
    sets = _divided(named, place)
    outside = {name: one for name, one in sets.items() if not _in_state(name)} or sets
    raw = {name: one for name, one in outside.items() if _fits(one) and not is_averaged(name)}
    for name, tensors in lists.items():
        sets[name] = _listed(tensors, raw, trained)
        outside |= {} if _in_state(name) else {name: sets[name]}
    name = _by_default(outside, raw, path) if key is None else _by_key(sets, key, path)
    weights, missing, problems = sets[name]
    averages = is_averaged(name) and bool(raw)
    untrained = [one for one in missing if one not in trained]
    if problems or (missing and not (averages and untrained == missing)):
        raise DataError(f"weights {path}{_misfit(name, sets, raw, model)}{hint if not raw else ''}")
    found = {**weights, **_borrowed(missing, raw, f"weights {path} ({shown(name)})")}
    others = [other for other, one in sets.items() if other != name and one[0] and not one[2]]
    return found, _said(name, key, others, missing, _unused(named, sets, name))


def _fits(placed: Placed) -> bool:
    return not placed[1] and not placed[2]


def _divided(named: Mapping[str, Tensors], place: Place) -> dict[str, Placed]:
    """Each set in the model; one that holds several, told apart by what is before their names, as these."""
    sets: dict[str, Placed] = {}
    for key, tensors in named.items():
        whole = place(tensors)
        parts = {} if _fits(whole) else _parts(key, tensors, place, DEEPEST)
        sets |= parts if any(map(_fits, parts.values())) else {key: whole}
    return sets


def _parts(key: str, tensors: Tensors, place: Place, depth: int) -> dict[str, Placed]:
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        first, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(first, {})[rest] = value
    found: dict[str, Placed] = {}
    used: set[str] = set()
    for first, inside in groups.items():
        below = f"{key}.{first}" if key else first
        placed = place(inside)
        fits = _fits(placed) or (is_averaged(first) and not placed[2])
        deeper = {} if fits or not depth else _parts(below, inside, place, depth - 1)
        passed_over = is_averaged(first) and not deeper and not _only_numbers(inside.values())
        if fits or deeper or passed_over:  # by default, an average that does not fit is refused
            found |= deeper or {below: placed}
            used.add(first)
    others = {name: value for name, value in tensors.items() if name.partition(".")[0] not in used}
    if found and others and _fits(placed := place(others)):
        found[key] = placed
    return found


def _listed(tensors: Sequence[Tensor], raw: Mapping[str, Placed], trained: Collection[str]) -> Placed:
    """An average without names, which programs keep in the order of the trained weights."""
    shapes = [one.shape for one in tensors]
    for weights, _, _ in raw.values():
        for names in ([name for name in weights if name in trained], list(weights)):
            if [weights[name].shape for name in names] == shapes:
                named = dict(zip(names, tensors, strict=True))
                return named, [name for name in weights if name not in named], []
    return {}, [], [f"{plural(len(tensors), 'tensor')} without names and in another order than the rest"]


def _by_default(sets: Mapping[str, Placed], raw: Mapping[str, Placed], path: Path) -> str:
    """The averaged set, even one that does not fit, else the only one that fits, else the nearest."""
    averaged = {name: one for name, one in sets.items() if is_averaged(name)}
    good = {name: one for name, one in averaged.items() if one[0] and not one[2] and (raw or not one[1])}
    if averaged and raw and not good:
        return next(iter(averaged))
    pool = good or raw
    if not pool:
        return min(sets, key=lambda name: (len(sets[name][1]) + len(sets[name][2]), len(name)))
    if len(pool) > 1 and len({tensors_sha256(one[0]) for one in pool.values()}) > 1:
        names = ", ".join(map(shown, pool))
        raise DataError(f"weights {path}: several sets of weights fit ({names}); choose with --weights-key")
    return next(iter(pool))


def _by_key(sets: Mapping[str, Placed], key: str, path: Path) -> str:
    wanted = "" if key == "." else key
    below = [name for name, one in sets.items() if name.startswith(f"{wanted}.") and not one[2]]
    if wanted in sets or len(below) == 1:
        return wanted if wanted in sets else below[0]
    there = ", ".join(map(shown, below or sets))
    raise UsageError(f"weights {path}: --weights-key {key}: no weights of that key; there are: {there}")


def _misfit(name: str, sets: Mapping[str, Placed], raw: Mapping[str, Placed], model: str) -> str:
    _, missing, problems = sets[name]
    words = ([f"missing {some(missing)}"] if missing else []) + problems
    where = f" ({shown(name)})" if len(sets) > 1 or name else ""
    others = [shown(other) for other in raw if other != name]
    more = f"; --weights-key {others[0]} takes the others of the file" if others else ""
    return f"{where}: not those of this {model}: {'; '.join(words[: SHOWN + 2])}{more}"


def _borrowed(missing: Sequence[str], raw: Mapping[str, Placed], where: str) -> dict[str, Tensor]:
    """What an average lacks, from the raw weights."""
    found = [{name: weights[name] for name in missing} for weights, _, _ in raw.values()]
    if missing and len({tensors_sha256(one) for one in found}) > 1:
        raise DataError(f"{where}: missing {some(missing)}, in which the other sets of the file differ")
    return found[0] if missing else {}


def _unused(named: Mapping[str, Tensors], sets: Mapping[str, Placed], name: str) -> list[str]:
    """Tensors next to a set that was told apart by what is before its names."""
    divided = [key for key in named if key not in sets and (not key or name.startswith(f"{key}."))]
    full = [f"{key}.{one}" if key else one for key in divided for one in named[key]]
    return [one for one in full if not any(one.startswith(f"{other}.") for other in sets)]


def _said(
    name: str, key: str | None, others: Sequence[str], missing: Sequence[str], unused: Sequence[str]
) -> str:
    """What a note says about the choice; empty where there was none."""
    averaged = is_averaged(name)
    if not (averaged or key is not None or others or unused):
        return ""
    parts = [f"{'averaged weights' if averaged else 'the weights'} ({shown(name)})"]
    parts[0] += ", chosen with --weights-key" if key is not None else ""
    parts += [f"not those of {some([shown(one) for one in others])}"] if others else []
    parts += [f"{some(missing)} as in the others, not averaged"] if missing else []
    parts += [f"{some(unused)} not used"] if unused else []
    return "; ".join(parts)

"""Whether a plugin's spec holds what its fields say, checked when it is registered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..api.errors import TrmBenchError
from ..api.text import one_line

LONGEST = 100
"""Characters of a name."""
_NAME = re.compile(r"[^\s\[\]=,:/\\@-][^\s\[\]=,:/\\]*")
"""A name that can be typed, with options in brackets after it."""


def check_spec(spec: Any) -> None:
    """Check a spec's name, and the type of each of its fields.

    Raises:
        TrmBenchError: names the spec and the field, and says what it must be.
    """
    kind = type(spec).__name__
    name = spec.name
    good = isinstance(name, str) and _NAME.fullmatch(name) and len(name) <= LONGEST
    if not good or one_line(name) != name:
        raise TrmBenchError(
            f"{kind}: name={shown(name)}: must be text of 1 to {LONGEST} characters without spaces or any of "
            r"[ ] = , : / \, and not begin with - or @"
        )
    for field in fields(spec):
        value = getattr(spec, field.name)
        if (wanted := _problem(str(field.type), value)) is not None:
            raise TrmBenchError(f"{kind} {name!r}: {field.name}={shown(value)}: must be {wanted}")


def shown(value: Any) -> str:
    """A value on one line, cut where it is long."""
    try:
        text = one_line(repr(value))
    except Exception:  # it is a plugin's
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}…"


def _problem(annotation: str, value: Any) -> str | None:
    """What a field must be, where it is not."""
    if annotation.endswith("| None"):
        if value is None:
            return None
        annotation = annotation.removesuffix("| None").strip()
    for start, (wanted, holds) in _KINDS.items():
        if annotation == start or annotation.startswith(f"{start}["):
            return None if holds(value, annotation) else wanted
    return None


def _texts(value: Any, annotation: str) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return "str" not in annotation or all(isinstance(one, str) for one in value)


def _mapping(value: Any, annotation: str) -> bool:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    if "Scale" in annotation:
        return bool(value) and all(map(_scale, value.values()))
    return "str, str" not in annotation or all(isinstance(one, str) for one in value.values())


def _scale(value: Any) -> bool:
    if not is_dataclass(value):
        return False
    length = "steps" if getattr(value, "epochs", None) is None else "epochs"
    return all(_whole(getattr(value, name, None)) for name in (length, "batch_size", "augmentations"))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_KINDS: Mapping[str, tuple[str, Callable[[Any, str], bool]]] = {
    "str": ("text", lambda value, _: isinstance(value, str)),
    "bool": ("True or False", lambda value, _: isinstance(value, bool)),
    "int": ("a whole number from 1", lambda value, _: _whole(value)),
    "Path": ("a pathlib.Path", lambda value, _: isinstance(value, Path)),
    "Callable": ("a function", lambda value, _: callable(value)),
    "tuple": ("a tuple, of text where it holds names", _texts),
    "Mapping": ("a mapping by name; of scales with whole numbers from 1", _mapping),
    "type": (
        "a class of pydantic's BaseModel",
        lambda value, _: isinstance(value, type) and issubclass(value, BaseModel),
    ),
}

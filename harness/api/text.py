"""Text that leaves the program: numbers with their words, and nothing that steers a terminal."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

T = TypeVar("T")
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's control characters, invisible marks (some turn the direction), surrogates, separators."""
_JOINERS = "\u200c\u200d"
"""Invisible, and part of how several scripts and emoji are written."""
_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")
_SUSPECT = re.compile(r"[^\x20-\x7e]")


def plural(number: int, word: str) -> str:
    """``1 seed``, ``1,200 seeds``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def size(count: float) -> str:
    """Bytes for people, to about three digits: ``183 GB``, ``1.57 MB``."""
    units = ("bytes", "KB", "MB", "GB", "TB")
    power = 0
    while count >= 999.5 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    digits = 0 if power == 0 or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {units[power]}"


def printable(text: str, kept: str = "\n\t") -> str:
    r"""Text whose control characters are spelled out, ``\x1b``, but for those in ``kept``."""

    def spelled(found: re.Match[str]) -> str:
        letter = found[0]
        if letter in kept or letter in _JOINERS or unicodedata.category(letter) not in _UNPRINTABLE:
            return letter
        return letter.encode("unicode_escape").decode("ascii")

    return _SUSPECT.sub(spelled, text)


def one_line(text: str) -> str:
    """`printable` text on one line: line breaks and tabs become spaces."""
    return printable(_BREAKS.sub(" ", text), kept="")


def path_problem(text: str) -> str | None:
    """Why no file can be called so; None where one can."""
    if not text:
        return "an empty path; name a file or folder"
    try:
        named = os.fsencode(text)
    except UnicodeEncodeError:
        return "holds characters that no path can have"
    return "holds a NUL character, which no path can have" if b"\0" in named else None


def file_name(text: str, most: int = 120) -> str:
    """Text as a part of a file's name: letters, digits and ``-_.=``, cut to ``most`` bytes.

    File systems take 255 bytes, some 143.
    """
    kept = "".join(letter if letter.isalnum() or letter in "-_.=" else "_" for letter in text).strip("_")
    return kept.encode()[:most].decode(errors="ignore")


def cleaned(value: T, clean: Callable[[str], str] = one_line) -> T:
    """A record with every text in it cleaned: those inside it, mappings and sequences too."""
    found: Any = value
    if isinstance(found, Enum):
        return value
    if isinstance(found, str):
        found = clean(found)
    elif isinstance(found, BaseModel):
        inner = {name: cleaned(getattr(found, name), clean) for name in type(found).model_fields}
        found = found.model_copy(update=inner)
    elif is_dataclass(found) and not isinstance(found, type):
        inner = {one.name: cleaned(getattr(found, one.name), clean) for one in fields(found) if one.init}
        found = replace(found, **inner)
    elif isinstance(found, Mapping):
        found = {cleaned(key, clean): cleaned(inner, clean) for key, inner in found.items()}
    elif isinstance(found, list | tuple) and any(not isinstance(inner, int | float) for inner in found):
        inner_values = [cleaned(inner, clean) for inner in found]
        found = type(found)(*inner_values) if hasattr(found, "_fields") else type(found)(inner_values)
    return found  # type: ignore[no-any-return]

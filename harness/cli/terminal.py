"""Printing to stdout: JSON that stays JSON, and ASCII signs where the stream cannot take others."""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

ASCII = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "×": "x",
        "·": "|",
        "±": "+/-",
        "≤": "<=",
        "≥": ">=",
        "Δ": "diff",
        "→": "->",
        "…": "...",
        "“": '"',
        "”": '"',
        "’": "'",
    }
)
"""Signs of our reports and messages in ASCII."""


def prepare() -> None:
    """Let stdout and stderr write any text: what their encoding lacks becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def takes_unicode(stream: Any) -> bool:
    """Whether a stream can write every character; one without an encoding, such as a buffer, can."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name.startswith("utf")


def echo(text: str, err: bool = False) -> None:
    """Print text, in ASCII signs where stdout (or stderr) is not UTF-8."""
    click.echo(text if takes_unicode(sys.stderr if err else sys.stdout) else in_ascii(text), err=err)


def in_ascii(text: str) -> str:
    """Text in ASCII signs. What a cell of a table needs more is taken from the gap before it."""

    def cell(found: re.Match[str]) -> str:
        gap, content = found[1], found[2].translate(ASCII)
        return gap[: max(2, len(gap) - len(content) + len(found[2]))] + content

    return re.sub(r"(?<=\S)( {2,})((?:\S| (?! ))+)", cell, text).translate(ASCII)


def echo_table(table: Table) -> None:
    """Print a table to stdout, whole even where a terminal is narrower."""
    from ..running.progress import console

    out = console(stderr=False)
    whole = out.measure(table, options=out.options.update(max_width=sys.maxsize)).maximum
    out.width = max(out.width, whole)
    out.print(table)


def echo_json(content: Any, indent: int | None = 1) -> None:
    """Print content as JSON: numbers that JSON cannot write become null.

    Raises:
        TypeError: it holds what JSON cannot.
    """
    ascii_only = not takes_unicode(sys.stdout)
    click.echo(json.dumps(_finite(content), indent=indent, ensure_ascii=ascii_only, allow_nan=False))


def echo_report(text: str, reporter: str) -> None:
    """Print what a reporter wrote: JSON as JSON, a web page in the encoding that it says it has."""
    if reporter == "json" and (re.search("NaN|Infinity", text) or not takes_unicode(sys.stdout)):
        echo_json(json.loads(text))
    elif reporter == "html" and not takes_unicode(sys.stdout):
        click.echo(text.encode())
    else:
        echo(text)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content

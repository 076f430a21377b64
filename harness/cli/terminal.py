"""Printing to stdout, which is for results alone.

JSON stays JSON, ASCII signs are written where the stream cannot take others, and control characters are
spelled out: names, errors and files may hold some that steer a terminal.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

import click

from ..api.text import printable

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
        "σ": "sigma",
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


STDOUT, STDERR = 1, 2
_stdout: list[TextIO] = []
"""The stream of results, while `only_results` keeps it for them."""


class _Closed(io.StringIO):
    """A stdout that is closed (``>&-``): results that do not arrive are no success."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@contextmanager
def only_results() -> Iterator[None]:
    """What anything but this module prints to stdout, such as a plugin, goes to stderr meanwhile."""
    with _alone(sys.stdout) as stream, redirect_stdout(sys.stderr):
        _stdout.append(stream or _Closed())
        try:
            yield
        finally:
            _stdout.pop()


@contextmanager
def _alone(stream: TextIO) -> Iterator[TextIO]:
    """The real stdout on another descriptor: what C code and programs write to its own goes to stderr."""
    try:
        real = stream.fileno() == STDOUT
        kept = os.dup(STDOUT) if real else -1
    except (OSError, ValueError, AttributeError):  # in a test or a notebook, or closed
        real = False
    if not real:
        yield stream
        return
    stream.flush()
    try:
        os.dup2(STDERR, STDOUT)
        own = open(kept, "w", encoding=stream.encoding, errors=stream.errors, closefd=False)  # noqa: SIM115
        try:
            yield own
        finally:
            own.close()
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)


def results() -> TextIO:
    """Where results are printed."""
    return _stdout[-1] if _stdout else sys.stdout


def takes_unicode(stream: Any) -> bool:
    """Whether a stream can write every character; one without an encoding, such as a buffer, can."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name.startswith("utf")


def echo(text: str, err: bool = False) -> None:
    """Print text, in ASCII signs where stdout (or stderr) is not UTF-8."""
    stream, shown = sys.stderr if err else results(), printable(text)
    click.echo(shown if takes_unicode(stream) else in_ascii(shown), file=stream)


def in_ascii(text: str) -> str:
    """Text in ASCII signs. What a cell of a table needs more is taken from the gap before it."""

    def cell(found: re.Match[str]) -> str:
        gap, content = found[1], found[2].translate(ASCII)
        return gap[: max(2, len(gap) - len(content) + len(found[2]))] + content

    return re.sub(r"(?<=\S)( {2,})((?:\S| (?! ))+)", cell, text).translate(ASCII)


def echo_table(table: Table) -> None:
    """Print a table to stdout, whole even where a terminal is narrower."""
    from ..running.progress import console

    out = console(results())
    whole = out.measure(table, options=out.options.update(max_width=sys.maxsize)).maximum
    out.width = max(out.width, whole)
    out.print(table)


def echo_json(content: Any, indent: int | None = 1) -> None:
    """Print content as JSON: numbers that JSON cannot write become null.

    Raises:
        TypeError: it holds what JSON cannot.
    """
    ascii_only = not takes_unicode(results())
    text = json.dumps(_finite(content), indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    click.echo(_safe_json(text), file=results())


def _safe_json(text: str) -> str:
    """JSON, in whose texts characters that steer a terminal are escaped as JSON has it."""
    if text.isascii():
        return text
    suspects = {letter for letter in set(text) if not letter.isascii() and printable(letter) != letter}
    return text.translate({ord(letter): json.dumps(letter)[1:-1] for letter in suspects})


def echo_report(text: str, reporter: str) -> None:
    """Print what a reporter wrote: JSON as JSON, a web page in the encoding that it says it has."""
    if reporter == "json" and (re.search("NaN|Infinity", text) or not takes_unicode(results())):
        echo_json(json.loads(text))
    elif reporter == "json":
        click.echo(_safe_json(text), file=results())
    elif reporter == "html" and not takes_unicode(results()):
        click.echo(text.encode(), file=results())
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

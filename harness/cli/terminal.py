"""What the streams at hand can take: any text in any encoding, JSON that stays JSON, help in few columns.

Files are UTF-8 whatever the locale says; only what goes to stdout and stderr is changed here.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import math
import re
import shutil
import sys
import unicodedata
from functools import cache
from typing import Any

import click

SPELLED = {
    "×": "x",
    "·": ",",
    "•": "*",
    "–": "-",
    "—": "--",
    "‑": "-",
    "−": "-",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "∞": "inf",
    "√": "sqrt",
    "Δ": "diff",
    "µ": "u",
    "→": "->",
    "←": "<-",
    "↔": "<->",
    "⇒": "=>",
    "↑": "^",
    "↓": "v",
    "▲": "^",
    "▼": "v",
    "✓": "ok",
    "✔": "ok",
    "✗": "x",
    "✘": "x",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "‘": "'",
    "’": "'",
    "⁄": "/",
    "ß": "ss",
    "æ": "ae",
    "ø": "o",
}
"""What stands for a letter where the encoding has none; see `_word` for all the others."""
PREFIX = "trm_bench_"
"""Of the names of our codecs: that of an encoding, with every letter that it lacks spelled."""
NARROW = 52
"""Columns below which help is written in one column; click itself never goes below 50."""


def prepare() -> None:
    """Let stdout and stderr write any text, each letter that their encoding lacks spelled.

    Click writes UTF-8 where it takes a stream for misconfigured, which an ASCII terminal shows as
    rubbish; so the stream gets a codec of another name.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or stream.encoding.startswith(PREFIX):
            continue
        if takes_unicode(stream.encoding):
            stream.reconfigure(errors="backslashreplace")  # of names of files that are no text
        else:
            stream.reconfigure(encoding=PREFIX + codecs.lookup(stream.encoding).name)


def encoding_of(stream: Any) -> str:
    """The encoding that a stream was opened with; UTF-8 for one that has none, such as a buffer of a test."""
    return (getattr(stream, "encoding", None) or "utf-8").removeprefix(PREFIX)


@cache
def takes_unicode(encoding: str) -> bool:
    """Whether an encoding has every letter."""
    return codecs.lookup(encoding).name.startswith("utf-")


# --- spelling ------------------------------------------------------------------------------------


def spelled(text: str, encoding: str) -> str:
    """The text with every letter that the encoding lacks spelled in ASCII.

    A word that is longer than its letter takes the place of spaces that pad its column, so that the
    columns of a table stay where they are.
    """
    if _has(text, encoding):
        return text
    with contextlib.suppress(UnicodeError):  # names of files that the locale cannot read are UTF-8 mostly
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    return "".join(_line(line, encoding) for line in text.splitlines(keepends=True))


_PADDED = re.compile(r"(?<=\S {2}) (?= *\S(?:\S| (?! ))*$)")
"""A space that is one too many between two columns, of which the second is the last so far."""


def _line(line: str, encoding: str) -> str:
    out, owed = "", 0
    for letter in line:
        if owed and letter == " " and out.endswith("  "):
            owed -= 1
            continue
        word = letter if _has(letter, encoding) else _word(letter)
        out += word
        owed += len(word) - 1
        while owed > 0 and (padded := _PADDED.search(out)):
            out = out[: padded.start()] + out[padded.end() :]
            owed -= 1
    return out


def _has(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


@cache
def _word(letter: str) -> str:
    """A letter in ASCII: its word, its base letter, what it looks like or is called, or its number."""
    if letter in SPELLED:
        return SPELLED[letter]
    if "\udc80" <= letter <= "\udcff":  # a byte of a file's name that is no text
        return f"\\x{ord(letter) - 0xDC00:02x}"
    parts = [one for one in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(one)]
    if parts and parts != [letter]:
        raised = "^" if unicodedata.decomposition(letter).startswith("<super>") else ""
        return raised + "".join(one if one.isascii() else _word(one) for one in parts)
    name = unicodedata.name(letter, "")
    called = f"({name.lower()})" if name and unicodedata.category(letter)[0] in "PS" else ""
    return _shape(name) or called or letter.encode("ascii", "backslashreplace").decode()


def _shape(name: str) -> str:
    """What the letter of that name looks like or is called; empty where that cannot be told."""
    if name.startswith("BOX DRAWINGS"):
        if "VERTICAL" in name:
            return "+" if "HORIZONTAL" in name or "AND" in name else "|"
        return "-" if "HORIZONTAL" in name and "AND" not in name else "+"
    if "BLOCK" in name or "SHADE" in name:
        return "#"
    if name.startswith("BRAILLE PATTERN"):
        return "."
    if name.startswith("GREEK") and "LETTER" in name:
        word = name.split()[-1].lower()
        return word.capitalize() if "CAPITAL" in name else word
    return ""


def _codec(name: str) -> codecs.CodecInfo | None:
    """The codec that spells what an encoding lacks."""
    if not name.startswith(PREFIX):
        return None
    base = codecs.lookup(name.removeprefix(PREFIX))

    class Encoder(codecs.IncrementalEncoder):
        """A codec of its own, since an error handler sees neither the columns nor what follows."""

        def __init__(self, errors: str = "strict"):
            super().__init__(errors)
            assert base.incrementalencoder is not None
            self.inner = base.incrementalencoder("backslashreplace")

        def encode(self, text: str, final: bool = False) -> bytes:
            return self.inner.encode(spelled(text, base.name), final)

        def reset(self) -> None:
            self.inner.reset()

        def getstate(self) -> int | str:
            return self.inner.getstate()

        def setstate(self, state: int | str) -> None:
            self.inner.setstate(state)

    def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
        return base.encode(spelled(text, base.name), "backslashreplace")[0], len(text)

    return codecs.CodecInfo(
        encode,
        base.decode,
        incrementalencoder=Encoder,
        incrementaldecoder=base.incrementaldecoder,
        name=name,
    )


codecs.register(_codec)


# --- JSON and documents --------------------------------------------------------------------------


def echo_json(content: Any, indent: int | None = 1) -> None:
    """Print content as JSON: numbers that JSON has no way to write become null.

    Raises:
        TypeError: it holds what JSON cannot.
    """
    click.echo(json_for(json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False)))


def echo_json_text(text: str) -> None:
    """Print text that is JSON already, but for the names that Python writes for numbers that are none."""
    if re.search("NaN|Infinity", text):
        echo_json(json.loads(text))
    else:
        click.echo(json_for(text))


def json_for(text: str) -> str:
    """JSON as stdout can take it: as it is, or with escapes where the encoding lacks letters."""
    if text.isascii() or takes_unicode(encoding_of(sys.stdout)):
        return text
    # Outside its strings JSON is ASCII.
    return re.sub(r"[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], text)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def echo_report(text: str, reporter: str) -> None:
    """Print what a reporter wrote: JSON as JSON, a web page in the encoding that it says it has."""
    if reporter == "json":
        echo_json_text(text)
    elif reporter == "html" and not takes_unicode(encoding_of(sys.stdout)):
        click.echo(text.encode())
    else:
        click.echo(text)


# --- help ----------------------------------------------------------------------------------------


WHOLE = "\N{NON-BREAKING HYPHEN}"
"""Stands for a hyphen while text is wrapped, so that no name of an option or a task is torn apart at one."""


class Formatter(click.HelpFormatter):
    """Click's, but names stay whole, examples stand on a line of their own, and it fits a narrow terminal."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None):
        columns = shutil.get_terminal_size().columns
        self.narrow = width is None and columns < NARROW
        super().__init__(indent_increment, max(columns - 2, 20) if self.narrow else width, max_width)

    def write_text(self, text: str) -> None:
        """Write paragraphs; what is indented in them is an example, to be copied as it is."""
        parts = re.split(r"\n+((?: {4}.*(?:\n|$))+)", text)
        apart = [
            f"\b\n{part.rstrip()}" if place % 2 else part.strip("\n") for place, part in enumerate(parts)
        ]
        super().write_text("\n\n".join(filter(None, apart)).replace("-", WHOLE))

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of options or commands, in a narrow terminal each text beneath its option."""
        whole = [(first, second.replace("-", WHOLE)) for first, second in rows]
        super().write_dl(whole, min(col_max, 10) if self.narrow else col_max, col_spacing)

    def getvalue(self) -> str:
        """What was written."""
        return super().getvalue().replace(WHOLE, "-")


class Context(click.Context):
    """A context whose help fits the terminal."""

    formatter_class = Formatter

"""The errors a user may see. Each carries the exit code of the command that ends with it."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable


class TrmBenchError(Exception):
    """Something the user can put right; the message says what, where and what to do."""

    exit_code = 1


class Detached(KeyboardInterrupt):
    """Ctrl-C while jobs are followed that continue elsewhere, which has been told."""


class UsageError(TrmBenchError):
    """A wrong name, option, key or value on the command line or in a configuration."""

    exit_code = 2


class NothingToReport(TrmBenchError):
    """No finished run was found to report on."""

    exit_code = 3


class UnavailableError(TrmBenchError):
    """A run needs something that is missing: a device, a data file, a writable folder."""

    exit_code = 4


class DataError(UnavailableError):
    """A data file or generated set is not what its task says; names file and line."""


class PluginError(TrmBenchError):
    """The code of a plugin raised something; names the part and the error."""


class TrainingDiverged(TrmBenchError):
    """A loss or a weight is no longer finite, or an answer no number; names the step."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one and the whole list."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names) if names else 'none'}"


LONGEST_ERROR, LONGEST_TRACE = 2_000, 20_000
"""Characters that are kept of what an error says, and of its trace."""


def told(error: BaseException) -> str:
    """An error in one line, cut where it is long: ours by its message, any other by its kind too."""
    try:
        text = cut(" ".join(str(error).split()), LONGEST_ERROR)
    except Exception:  # it is a plugin's
        text = ""
    if isinstance(error, TrmBenchError):
        return text
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def traced(error: BaseException) -> str:
    """The trace of an error; of a long one both ends."""
    return cut("".join(traceback.format_exception(error)), LONGEST_TRACE)


def cut(text: str, most: int) -> str:
    """Text of at most about ``most`` characters: the middle of a longer one is left out."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … [{len(text) - 2 * half:,} characters] … {text[-half:]}"

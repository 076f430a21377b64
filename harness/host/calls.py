"""Calling the code of plugins: what it prints goes to stderr, what it raises is an error of that plugin."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from ..api.errors import Detached, PluginError, TrmBenchError, told
from .interruption import asked_to_stop
from .surroundings import surroundings_kept

OURS = __name__.partition(".")[0]
"""The package whose errors are meant for users."""


def plugins_aside() -> contextlib.redirect_stdout[Any]:
    """While plugins are called: what they print goes to stderr, stdout is for results."""
    return contextlib.redirect_stdout(sys.stderr)


def stdout_to_stderr() -> None:
    """In a process that prints no results: nothing in it, not even C code, writes to stdout any more."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream may be closed
        os.dup2(sys.stderr.fileno(), 1)
    sys.stdout = sys.stderr


@contextlib.contextmanager
def calling(what: str, reads_files: bool = False) -> Iterator[None]:
    """Call a plugin's part, named ``what``, e.g. ``model trm``; what it changes of the process is put back.

    ``reads_files``: it reads files of users, so that its errors about them are meant for users.

    Raises:
        PluginError: it raised something, or tried to end the program.
        TrmBenchError: our own code, or one that reads files, raised one, which is for the user.
        OSError: one that reads files raised it about a file, which it names.
    """
    try:
        with plugins_aside(), surroundings_kept():
            yield
    except BaseException as error:
        if is_stop(error):
            raise
        if isinstance(error, TrmBenchError) and (reads_files or _is_ours(error)):
            raise
        if reads_files and isinstance(error, OSError) and error.filename is not None:
            raise
        raise PluginError(f"{what}: {told(error)}") from error


def is_stop(error: BaseException) -> bool:
    """Whether it is no fault of the code that was called: a signal, or jobs that continue elsewhere.

    Without a signal a `KeyboardInterrupt` is raised by code alone.
    """
    return isinstance(error, KeyboardInterrupt) and (isinstance(error, Detached) or asked_to_stop())


def _is_ours(error: BaseException) -> bool:
    """Whether our code has raised an error, and not that of a plugin."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] == OURS

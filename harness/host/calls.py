"""Calling the code of plugins: what it prints goes to stderr, what it raises is an error of that plugin."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from ..api.errors import PluginError, TrmBenchError, told


def plugins_aside() -> contextlib.redirect_stdout[Any]:
    """While plugins are called: what they print goes to stderr, stdout is for results."""
    return contextlib.redirect_stdout(sys.stderr)


def stdout_to_stderr() -> None:
    """In a process that prints no results: nothing in it, not even C code, writes to stdout any more."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream may be closed
        os.dup2(sys.stderr.fileno(), 1)
    sys.stdout = sys.stderr


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Call a plugin's part, named ``what``, e.g. ``model trm``.

    Raises:
        PluginError: it raised something, or tried to end the program.
        TrmBenchError: it raised one, which is for the user.
        OSError: about a file, which it names.
    """
    try:
        with plugins_aside():
            yield
    except TrmBenchError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise PluginError(f"{what}: {told(error)}") from error

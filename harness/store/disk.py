"""What is wrong with a disk, in one line: no space, a quota, a file system that has become read-only."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BROKEN = {errno.EROFS, errno.EIO, errno.ESTALE}


def os_error(error: BaseException) -> OSError | None:
    """The failure of the operating system that an error reports, also one that a library has wrapped."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        # torch.save: "unexpected pos 704 vs 598"
        return error.__context__
    number = re.search(r"\(os error (\d+)\)", str(error))  # safetensors
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else None


@contextmanager
def suppressed(*numbers: int) -> Iterator[None]:
    """Ignore an `OSError` of one of these numbers."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


def at(path: Path, error: OSError, scratch: Path | None = None) -> OSError:
    """The same error with the file in it: a failed write names none, or the scratch file."""
    if error.filename is not None and os.fspath(error.filename) != str(scratch):
        return error
    return OSError(error.errno, error.strerror or str(error), str(path))


def disk_problem(error: BaseException) -> str | None:
    """What a disk refuses, with the file and the free space where it is full; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _FULL | _BROKEN or not error.filename:
        return None
    line = f"{os.fsdecode(error.filename)}: {error.strerror}"
    if error.errno not in _FULL:
        return line
    return f"{line} ({_free(Path(os.fsdecode(error.filename)))})"


def _free(path: Path) -> str:
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        free: float = shutil.disk_usage(path).free
    except OSError:
        return "free space unknown"
    for unit in ("bytes", "KB", "MB", "GB"):
        if free < 1000 or unit == "GB":
            break
        free /= 1000
    return f"{free:,.0f} {unit} free on that disk"

"""Git LFS: what a clone has in the place of a large file."""

from __future__ import annotations

from pathlib import Path

POINTER = "a Git LFS pointer, not the file; run git lfs pull"
_START = b"version https://git-lfs"


def is_pointer(path: Path) -> bool:
    """Whether a plain file is only the pointer to one that Git LFS has not fetched.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return stream.read(len(_START)) == _START

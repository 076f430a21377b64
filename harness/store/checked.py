"""JSON files with a checksum of their own: what was changed after it was written is never believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..api.errors import TrmBenchError

CHECKSUM = "checksum"
"""Key of the SHA-256 over everything else in the file, see `stamped`."""
LARGEST = 256 << 20
"""Bytes beyond which a JSON file of a result folder is not read."""


class DamagedResult(TrmBenchError):
    """A file of a result folder cannot be read; the run counts as not done."""


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object without its `CHECKSUM`, whatever its layout and the order of its keys."""
    rest = {key: value for key, value in content.items() if key != CHECKSUM}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def stamped(content: Mapping[str, Any]) -> bytes:
    """A JSON object as a file that ends with its checksum."""
    return json.dumps({**content, CHECKSUM: digest(content)}, indent=1).encode() + b"\n"


def read_file(path: Path, largest: int) -> bytes:
    """The bytes of a file.

    Raises:
        DamagedResult: it cannot be read, is no plain file (a pipe would never end), or is too large.
    """
    try:
        if not path.is_file():
            raise DamagedResult(f"{path}: " + ("no file" if path.exists() else "no such file"))
        if (size := path.stat().st_size) > largest:
            raise DamagedResult(f"{path}: {size:,} bytes, more than such a file can have; not read")
        return path.read_bytes()
    except OSError as error:
        raise DamagedResult(f"{path}: cannot be read ({error.strerror})") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file, its checksum not yet looked at.

    Raises:
        DamagedResult: it cannot be read.
    """
    try:
        content = json.loads(read_file(path, LARGEST))
    except (ValueError, RecursionError) as error:
        raise DamagedResult(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise DamagedResult(f"{path}: cannot be read (no JSON object)")
    return content


def without_stamp(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file without its checksum.

    Raises:
        DamagedResult: it was changed since it was written.
    """
    if content.get(CHECKSUM) != digest(content):
        raise DamagedResult(f"{path}: changed since it was written")
    return {key: value for key, value in content.items() if key != CHECKSUM}


def read_stamped(path: Path) -> dict[str, Any]:
    """The content of a file that `stamped` made.

    Raises:
        DamagedResult: it cannot be read, or was changed since it was written.
    """
    return without_stamp(path, read_json(path))

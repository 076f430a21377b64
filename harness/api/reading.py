"""Reading users' files within bounds: no pipes, no endless or exploding content, any byte order mark.

Functions raise `OSError`, `ValueError` and `yaml.YAMLError`, as Python does; the caller names the file.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import Any

TEXT_BYTES = 32 << 20
"""Largest text or JSON file; Python's objects take up to twenty times its size."""
YAML_BYTES = 1 << 20
"""Largest YAML file."""
YAML_VALUES = 100_000
"""Most values in a YAML file, aliases written out."""
_MARKS = (  # UTF-32's little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(start: bytes) -> str:
    """The encoding that the first four bytes of a text tell; UTF-8 without a byte order mark."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8-sig")


def require_file(path: Path) -> int:
    """The size in bytes of a plain file; links are followed.

    Raises:
        OSError: there is none, or it is a folder, a pipe or a device, which might never end.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = "folder" if stat.S_ISDIR(found.st_mode) else "pipe or device"
        raise OSError(f"is a {kind}, not a file")
    return found.st_size


def read_bytes(path: Path, most: int = TEXT_BYTES) -> bytes:
    """The content of a plain file of at most ``most`` bytes.

    Raises:
        OSError: it is no plain file, is larger, or cannot be read.
    """
    if (size := require_file(path)) > most:
        raise OSError(f"has {size:,} bytes; at most {most:,} are read")
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:  # it has grown, or lies about its size as files below /proc do
        raise OSError(f"has more than {most:,} bytes")
    return content


def decoded(content: bytes) -> str:
    """Text in UTF-8, or in what its byte order mark says.

    Raises:
        UnicodeDecodeError: it is no such text.
    """
    return content.decode(encoding_of(content[:4]))


def read_text(path: Path, most: int = TEXT_BYTES) -> str:
    """The text of a plain file, see `read_bytes` and `decoded`."""
    return decoded(read_bytes(path, most))


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``json.loads(text, object_pairs_hook=unique)``: an object, none of whose keys is there twice.

    Raises:
        ValueError: one is.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in found if names.count(name) > 1)!r} is there twice")
    return found


def load_yaml(path: Path) -> Any:
    """The content of a YAML file within bounds: aliases can make a small file fill the memory.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read.
        yaml.YAMLError: it is not YAML, is nested too deeply, has a key twice, or its aliases expand to too
            much.
    """
    return parse_yaml(read_text(path, YAML_BYTES))


def parse_yaml(text: str) -> Any:
    """As `load_yaml`, from text."""
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if _expanded(node, {}) > YAML_VALUES:
            raise yaml.YAMLError(f"its aliases expand to more than {YAML_VALUES:,} values")
        _read_plainly(node, set())
        return None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply, or an alias that holds itself") from error
    except (ValueError, yaml.YAMLError) as error:  # also a number or a date that there is not
        raise yaml.YAMLError(" ".join(str(error).split())) from error


def _read_plainly(node: Any, seen: set[int]) -> None:
    """Leave nothing that PyYAML would read in silence otherwise than it is meant.

    Numbers that YAML 1.1 takes for another base (``010`` is 8, ``1:30`` is 90) become text.

    Raises:
        yaml.YAMLError: a key is there twice.
    """
    import yaml

    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node.value, str):
        number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if number and re.match(r"[-+]?(0[0-7_]+$|\d[\d_]*:)", node.value):
            node.tag = "tag:yaml.org,2002:str"
        return
    keys: set[str] = set()
    for part in node.value:
        for one in part if isinstance(part, tuple) else (part,):
            _read_plainly(one, seen)
        name = part[0].value if isinstance(part, tuple) else None
        if isinstance(name, str) and name in keys and name != "<<":
            raise yaml.YAMLError(f"{name!r} is there twice, again in line {part[0].start_mark.line + 1}")
        keys |= {name} if isinstance(name, str) else set()


def _expanded(node: Any, known: dict[int, int]) -> int:
    """How many values a YAML node comes to with every alias written out."""
    if id(node) not in known:
        children = getattr(node, "value", ())
        parts = () if isinstance(children, str) else children
        flat = (one for part in parts for one in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_expanded(one, known) for one in flat)
    return known[id(node)]


def printable(path: Path) -> str:
    """A file's name as text that can be written anywhere: bytes that are no UTF-8 are escaped."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")

"""Which files a plugin's numbers depend on, and a fingerprint of them.

A plugin's version says little while it is being written: an edited plugin has to be run again, whatever its
form (a package, one module, a part of a namespace package, a file, an editable install, an archive). Its
files are those of its package, data included, those that its distribution lists, and whatever it imports that
no distribution has installed. Of other distributions that it imports or requires, what is installed counts
(`libraries`).
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import re
import sys
import sysconfig
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, distribution
from itertools import islice
from pathlib import Path

from .libraries import distribution_name, libraries

SKIPPED = {
    *("__pycache__", ".git", ".hg", ".svn", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    *(".ipynb_checkpoints", ".DS_Store", "node_modules"),
}
"""Names of files and folders that change without the plugin."""
_INSTALLED = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")}
_SITES = {"site-packages", "dist-packages"}
LARGE = 1 << 20
MOST_FOLDERS, MOST_FILES = 100, 10_000
"""That are looked into, and taken by a pattern, for one source."""
_LISTING = {"iterdir", "listdir", "scandir", "walk", "rglob"}
_IMPORTING = {"import_module", "__import__", "files", "get_data", "find_spec", "run_module"}
"""Functions that take the name of a module."""
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
UNKNOWN = "unknown-"
"""The fingerprint of code without files begins with this; it is another one in every process."""
_UNKNOWN = UNKNOWN + uuid.uuid4().hex


def fingerprint(module: str, owner: str) -> str:
    """SHA-256 of all files that a loaded plugin depends on, in hexadecimal; see `UNKNOWN`.

    Args:
        module: name of the plugin's module.
        owner: name of the distribution that it came with.
    """
    try:
        roots = _roots(module, owner)
        return _digest([*roots, *_listed(owner)], (), owner) if roots else _UNKNOWN
    except OSError:
        return _UNKNOWN


def file_fingerprint(path: Path) -> str:
    """The same of a plugin that is one Python file, with the modules and data in its folder that it names.

    Raises:
        OSError: one of the files cannot be read.
    """
    path.stat()
    return _digest([path], (str(path.parent),), "")


def _digest(roots: Iterable[Path], search: tuple[str, ...], owner: str) -> str:
    """Of the files below some roots, of those that they lead to, and libraries; of a single file its own."""
    found: dict[str, tuple[str, str]] = {}
    modules: set[str] = set()
    todo = list(roots)
    seen: set[Path] = set()
    while todo:
        root = todo.pop(0)
        if root in seen:
            continue
        seen.add(root)
        others = _others(root.parent, root.name, owner) if root.is_dir() else frozenset()
        for path in _below(root):
            known = path.resolve()
            if str(known) in found or path.relative_to(root.parent).as_posix() in others:
                continue
            content = _content(known)
            found[str(known)] = (_relative(path, root), content)
            if path.suffix == ".py":
                imported, named, lists = _leads(known, content)
                modules.update(imported)
                todo += [target for name in imported if (target := _local(name, search, owner))]
                if root.is_file():  # the data of a package lie in it; those of one module next to it
                    todo += _beside(path, named, lists)
    used = libraries(modules, owner)
    if len(found) == 1 and not used:
        return next(content for _, content in found.values())
    whole = hashlib.sha256()
    for name, content in sorted(found.values()):
        whole.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))
    for one in used:
        whole.update(f"{one}\0\n".encode())
    return whole.hexdigest()


def _relative(path: Path, root: Path) -> str:
    """A name that does not depend on where the plugin lies."""
    return path.relative_to(root.parent).as_posix()


def _content(path: Path) -> str:
    """SHA-256 of a file; that of a large one is remembered until its size or times change."""
    state = path.stat()
    stamp = (state.st_mtime_ns, state.st_ctime_ns, state.st_size)
    return (_file_digest if state.st_size > LARGE else _file_digest.__wrapped__)(path, stamp)


@lru_cache(maxsize=4096)
def _file_digest(path: Path, _stamp: tuple[int, int, int]) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _below(root: Path) -> Iterator[Path]:
    """A file, or every file below a folder; links are followed, once each."""
    if not root.is_dir():
        if root.is_file():
            yield root
        return
    entered: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = sorted(name for name in folders if not _skipped(name))
        if real in entered:
            folders[:] = []
            continue
        entered.add(real)
        for name in sorted(files):
            path = Path(folder, name)
            if not _skipped(name) and path.is_file():
                yield path


def _skipped(name: str) -> bool:
    return name in SKIPPED or name.startswith("._") or name.endswith((".egg-info", ".swp", "~"))


# --- where a plugin lies -------------------------------------------------------------------------


def _roots(module: str, owner: str) -> list[Path]:
    """The outermost package of a module that is no namespace for others, or the module's file."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        loaded = sys.modules.get(".".join(parts[:count]))
        spec = getattr(loaded, "__spec__", None)
        if spec is None:
            return []
        if spec.origin is None or not spec.has_location:  # a namespace package
            continue
        origin = Path(spec.origin)
        if (archive := _archive(origin)) is not None:
            return [archive]
        if spec.submodule_search_locations is None:
            if not origin.is_file():
                return []
            if count == 1:
                return [origin]
            site, folder = origin.parents[count - 1], origin.parent  # alone in a namespace package
            others = _others(site, folder.relative_to(site).as_posix(), owner)
            own = [one for one in _below(folder) if one.relative_to(site).as_posix() not in others]
            return [origin, *own]
        if count < len(parts) and _is_namespace(origin):
            continue
        return [Path(place) for place in spec.submodule_search_locations]
    return []


def _archive(origin: Path) -> Path | None:
    """The archive that a module lies in."""
    return next((parent for parent in origin.parents if parent.is_file()), None)


def _is_namespace(init: Path) -> bool:
    """Whether a package only says that several distributions share it, as before Python 3.3."""
    content = init.read_bytes() if init.suffix == ".py" else b""
    return b"extend_path" in content or b"declare_namespace" in content


def _others(site: Path, below: str, owner: str) -> frozenset[str]:
    """What distributions other than ``owner`` have put below a folder of ``site``, relative to that."""
    own = distribution_name(owner)
    found: set[str] = set()
    for record in site.glob("*.dist-info/RECORD"):
        if distribution_name(record.parent.name.partition("-")[0]) != own:
            text = record.read_text(encoding="utf-8", errors="replace")
            found |= {line.partition(",")[0] for line in text.splitlines() if line.startswith(f"{below}/")}
    return frozenset(found)


def _listed(name: str) -> list[Path]:
    """The files that a distribution has installed, but for its metadata and scripts."""
    try:
        files = distribution(name).files or []
    except (PackageNotFoundError, OSError, ValueError):
        return []
    kept = [
        file
        for file in files
        if not file.parts[0].endswith((".dist-info", ".egg-info"))
        and ".." not in file.parts
        and not any(map(_skipped, file.parts))
        and not file.name.startswith("__editable__")
        and file.suffix != ".pth"
    ]
    return [Path(str(file.locate())) for file in kept]


# --- what a source leads to ----------------------------------------------------------------------


@lru_cache(maxsize=16_384)
def _leads(path: Path, _content: str) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """What a source imports, its texts that could be names of files, and whether it lists folders."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return (), (), False
    imported: set[str] = set()
    named: set[str] = set()
    lists = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 200:
            named.add(node.value)
        lists |= getattr(node, "attr", getattr(node, "id", "")) in _LISTING
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", "")) in _IMPORTING
        ):
            texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
            imported |= {text for text in texts if isinstance(text, str) and _MODULE.fullmatch(text)}
    return tuple(sorted(imported)), tuple(sorted(named)), lists


def _beside(source: Path, named: Iterable[str], lists: bool) -> list[Path]:
    """The files that are named in a source and lie in its folder, or in folders there that are named too.

    Also by a pattern (``*.json``), by the source's own name with another ending, and all files of a named
    folder where the source lists folders.
    """
    names = [name for name in named if not name.startswith(("/", "~")) and "\0" not in name]
    plain = [name for name in names if ".." not in Path(name).parts and Path(name).parts]
    folders = [source.parent]
    for folder in folders:  # it grows
        if len(folders) < MOST_FOLDERS:  # what is no possible name is no folder
            folders += [folder / name for name in plain if os.path.isdir(folder / name)]
    found = [place / name for place in folders for name in plain if os.path.isfile(place / name)]
    found += [up for name in names if ".." in name and os.path.isfile(up := source.parent / name)]
    endings = [name for name in plain if re.fullmatch(r"\.\w+", name)]
    found += [own for name in endings if os.path.isfile(own := source.with_suffix(name))]
    patterns = [name for name in plain if re.search(r"\w", name) and "*" in name and "**" not in name]
    for place in folders:
        for pattern in patterns:
            with suppress(OSError, ValueError, NotImplementedError):
                found += islice((one for one in sorted(place.glob(pattern)) if one.is_file()), MOST_FILES)
    return [*found, *(folders[1:] if lists else [])]


def _local(name: str, search: tuple[str, ...], owner: str) -> Path | None:
    """The package or module of that name, where no distribution has installed it."""
    parts = name.split(".")
    if parts[0] in sys.stdlib_module_names or parts[0] == "trm_bench":
        return None
    spec = _find(parts[0], search)
    for part in parts[1:]:
        if spec is None or spec.origin is not None:
            break
        spec = PathFinder.find_spec(part, list(spec.submodule_search_locations or ()))
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    place, archive = Path(spec.origin), _archive(Path(spec.origin))
    if any(parent in _INSTALLED or parent.name in _SITES for parent in place.resolve().parents):
        return None
    if archive is None and spec.submodule_search_locations is not None:
        place = place.parent
        return None if _others(place.parent, place.name, owner) else place
    place = archive or place
    return place if place.is_file() else None


def _find(name: str, search: tuple[str, ...]) -> ModuleSpec | None:
    """Where a module lies; nothing is imported."""
    if search and (spec := PathFinder.find_spec(name, list(search))) is not None:
        return spec
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None

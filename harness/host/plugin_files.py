"""Plugins that are a file, for trying things: ``--plugin path/to/file.py``.

They reach the processes of runs through the environment. What a file gives is marked: its version is that of
its content, and no number made with it may be cited.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..api.errors import UsageError
from .sources import file_fingerprint

VARIABLE = "TRM_BENCH_PLUGIN_FILES"
OPTION = "--plugin"


@dataclass(frozen=True)
class PluginFile:
    """A Python file used as a plugin.

    Attributes:
        path: absolute.
        name: of the module, as an entry point would call it.
        version: the first digits of the SHA-256 of its content, and of what it needs from its folder.
    """

    path: Path
    name: str
    version: str

    def load(self) -> ModuleType:
        """Run the file as a module, which may import others from its folder.

        What runs is the content that `version` names: Python's own cache goes by the second of an edit.

        Raises:
            ImportError: it is no Python file, or has been edited since it was found.
        """
        name = f"trm_bench_plugin_file_{self.name}"
        if self.path.suffix != ".py":
            raise ImportError(f"{self.path} is not a Python file")
        content = self.path.read_bytes()
        if version_of(self.path) != self.version:
            raise ImportError(f"{self.path}, or a file that it needs, has been edited meanwhile")
        folder = str(self.path.parent)
        if folder not in sys.path:
            sys.path.append(folder)  # last, so that nothing in it takes the place of a library
        sys.dont_write_bytecode = True
        module = ModuleType(name)
        module.__file__ = str(self.path)
        sys.modules[name] = module  # dataclasses and pydantic look their module up
        exec(compile(content, str(self.path), "exec"), module.__dict__)
        return module


def version_of(path: Path) -> str:
    """The version of a file, which has none of its own: the hash of it and of what it needs."""
    return file_fingerprint(path)[:12]


def take_plugin_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without ``--plugin FILE``, wherever it is, and the files.

    Raises:
        UsageError: nothing follows the option.
    """
    rest: list[str] = []
    files: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*rest, word, *words], files
        if word == OPTION:
            following = next(words, None)
            if following is None:
                raise UsageError(f"{OPTION} needs the path of a Python file")
            files.append(following)
        elif word.startswith(f"{OPTION}="):
            files.append(word.partition("=")[2])
        else:
            rest.append(word)
    return rest, files


def announce_plugin_files(files: Sequence[str]) -> None:
    """Put files into the environment, for this process and those that it starts.

    Raises:
        UsageError: one is not there.
    """
    known = [text for text in os.environ.get(VARIABLE, "").split(os.pathsep) if text]
    for text in files:
        path = Path(text)
        if not path.is_file():
            raise UsageError(f"{OPTION} {text}: no such file")
        known.append(str(path.resolve()))
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys(known))


def plugin_files() -> list[PluginFile]:
    """The files in the environment.

    Raises:
        UsageError: one cannot be read.
    """
    found: list[PluginFile] = []
    for text in os.environ.get(VARIABLE, "").split(os.pathsep):
        if not text:
            continue
        path = Path(text)
        try:
            version = version_of(path)
        except OSError as error:
            raise UsageError(f"{VARIABLE}: {path}: {error.strerror}") from error
        if twin := next((one for one in found if one.path.name == path.name), None):
            raise UsageError(f"{OPTION} {path}: {twin.path} has the same name; rename one")
        found.append(PluginFile(path, path.stem, version))
    return found

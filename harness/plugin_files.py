"""Plugins that are a file, for trying things: ``--plugin path/to/file.py``.

They reach the processes of cells through the environment. What a file gives is marked: its version is that of
its content, and no number made with it may be cited.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from .errors import UsageError

VARIABLE = "TRM_BENCH_PLUGIN_FILES"
OPTION = "--plugin"


@dataclass(frozen=True)
class PluginFile:
    """A Python file that stands for a plugin.

    Attributes:
        path: absolute.
        name: of the module, as an entry point would call it.
        version: the first digits of the SHA-256 of its content.
    """

    path: Path
    name: str
    version: str

    def load(self) -> ModuleType:
        """Run the file as a module."""
        name = f"trm_bench_plugin_file_{self.name}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{self.path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pydantic look their module up
        spec.loader.exec_module(module)
        return module


def take_plugin_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without ``--plugin FILE``, wherever it stands, and the files.

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
    found = []
    for text in os.environ.get(VARIABLE, "").split(os.pathsep):
        if not text:
            continue
        path = Path(text)
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise UsageError(f"{VARIABLE}: {path}: {error.strerror}") from error
        found.append(PluginFile(path, path.stem, digest[:12]))
    return found

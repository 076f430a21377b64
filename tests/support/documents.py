"""The documents of the repository, for tests that read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.paths import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *PAGES, *(ROOT / "results").glob("*.md")])


def named(path: Path) -> str:
    """A path relative to the repository."""
    return path.relative_to(ROOT).as_posix()


@cache
def text(name: str) -> str:
    """The content of a document."""
    return (ROOT / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document; ``language`` is the rest of the line that opens it."""

    document: str
    line: int
    language: str
    code: str


def fenced(name: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    blocks = []
    for match in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text(name), flags=re.MULTILINE):
        line = text(name).count("\n", 0, match.start()) + 1
        blocks.append(Block(name, line, match[1].strip(), match[2]))
    return blocks

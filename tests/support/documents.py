"""What tests of several modules share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.paths import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))


DOCUMENTS = sorted([*ROOT.glob("*.md"), *PAGES, *(ROOT / "results").glob("*.md")])


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document; ``language`` as it stands behind the fence."""

    document: str
    line: int
    language: str
    code: str


def fenced(name: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found = []
    for match in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text(name), flags=re.MULTILINE):
        line = text(name).count("\n", 0, match.start()) + 1
        found.append(Block(name, line, match[1].strip(), match[2]))
    return found

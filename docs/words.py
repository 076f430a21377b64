"""Find words that readers would have to translate, in documents and sources: ``python docs/words.py``.

Each pattern once made this project hard to read; the text after it says what to write
instead. Exits with 1 if anything is found.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHERE = ("*.md", "docs/**/*.md", "results/**/*.md", ".github/**/*")
SOURCES = ("harness", "plugins", "testing", "trm", "hrm_baseline", "trm_bench", "benchmarks")
SUFFIXES = {".py", ".yaml", ".yml", ".j2", ".md", ".html"}
PATTERNS = {
    r"\bstands? for\b|\bstood for\b": "is, means, resolves to",
    r"\bstands\b": "is",
    r"\bbeside\b": "next to, together with, in addition to",
    r"\bfrom\s+elsewhere\b": "external",
    r"(?<! for \w{4} )\bin words\b(?!:)": "leave it out",
    r"\bsays? so\b": "name what it does",
    r"\bgo(es)? on\b|\bwent on\b": "continues",
    r"\banew\b": "again, from scratch",
    r"\bso many\b": "N",
    r"\b(nobody|anybody|whoever)\b": "name who",
    r"\bmended\b": "fixed",
    r"\bsets? (itself|themselves) down\b": "saves a checkpoint",
    r"\banswers? the test\b|\banswered the test\b|\banswers? with the question\b": "evaluate, predict",
    r"\b(was|were|been|be) seen\b|\bcould see\b": "measured, detected, found",
    r"\bhalts at\b": "mean halt step",
    r"\bcells? \(model": "run",
    r"^\s*\"\"\"What [\w' ]+ (is|are)\.": "Return X",
}
# This list, and the column of words to avoid in CONTRIBUTING.md.
ALLOWED = re.compile(r"^(docs/words\.py|CHANGELOG\.md):|^CONTRIBUTING\.md:\d+: \|")


def texts() -> list[Path]:
    """Every file whose words users read."""
    files = {path for pattern in WHERE for path in ROOT.glob(pattern)}
    for folder in SOURCES:
        files |= {path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES}
    return sorted(path for path in files if path.is_file())


def problems(path: Path) -> list[str]:
    """A line for every pattern found in a file."""
    name = path.relative_to(ROOT).as_posix()
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        f"{name}:{number}: {match[0].strip()!r}; write: {instead}"
        for number, line in enumerate(lines, 1)
        if not ALLOWED.search(f"{name}:{number}: {line}")
        for pattern, instead in PATTERNS.items()
        for match in re.finditer(pattern, line, re.IGNORECASE)
    ]


def main() -> int:
    """Print every problem; the exit code is 1 if there is one."""
    found = [line for path in texts() for line in problems(path)]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""BibTeX of the built-in parts."""

from __future__ import annotations

import re

from trm_bench.harness.host.host import host


def test_one_paper_has_one_entry_whoever_names_it() -> None:
    """`cite` prints a key once, and so the entry of whichever part comes first."""
    texts: dict[str, set[str]] = {}
    for part in (*host().tasks.parts, *host().models.parts):
        for key, text in re.findall(r"@\w+\{(.+?),(.*?)\n\}", part.spec.citation, flags=re.S):
            texts.setdefault(key, set()).add(text)
    assert "wang2025hierarchical" in texts
    assert {key for key, found in texts.items() if len(found) > 1} == set()

"""What the checks of `trm_bench.testing` have found, and the samples of evaluators that they try."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trm_bench.testing import Finding

from trm_bench import PuzzleSet, Sample


def failed(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings if not finding.ok}


def require_only(found: dict[str, Finding], checks: set[str], words: str) -> None:
    """Just these checks failed, and one of them with this message."""
    assert {fragment for fragment in checks if any(fragment in check for check in found)} == checks
    assert len(found) == len(checks)
    assert any(re.search(words, finding.words) for finding in found.values()), found
    assert all(finding.where for finding in found.values())


def caught_alone(cases: dict[str, Any]) -> set[str]:
    """The checks that some case breaks and no other check notices."""
    return {next(iter(case[1])) for case in cases.values() if len(case[1]) == 1}


def unbroken(checks: Sequence[tuple[Any, Any]], cases: dict[str, Any]) -> list[str]:
    fragments = caught_alone(cases)
    return [check.words for check, _ in checks if not any(one in check.words for one in fragments)]


def samples(puzzles: PuzzleSet, scores: Any, extras: Sequence[dict[str, Any]] | None = None) -> list[Sample]:
    further = extras or [{}] * len(puzzles)
    return [
        Sample(str(item), str(cluster), float(score), one)
        for item, cluster, score, one in zip(puzzles.ids, puzzles.clusters, scores, further, strict=True)
    ]

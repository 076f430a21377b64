"""A check, what it found, and an error that says all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ..harness.api.errors import told

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        check: what must hold.
        ok: whether it does.
        words: what was found where it does not; a remark where it does.
        where: where to look.
    """

    check: str
    ok: bool
    words: str = ""
    where: str = ""

    def __str__(self) -> str:
        mark = "ok " if self.ok else "NO "
        seen = f": {self.words}" if self.words else ""
        look = f" [look at {self.where}]" if self.where and not self.ok else ""
        return f"{mark} {self.check}{seen}{look}"


class NotConforming(AssertionError):
    """Some check failed; the message has a line for each that did."""


class Wrong(Exception):
    """Raised by a check: what was found, and where to look."""

    def __init__(self, words: str, where: str = ""):
        super().__init__(words)
        self.words, self.where = words, where


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        words: what.
        where: where to look where it does not.
        essential: whether those after it mean nothing once it fails.
    """

    words: str
    where: str
    essential: bool = False


def run_checks(
    checks: Sequence[tuple[Check, Callable[[Subject], str | None]]], subject: Subject
) -> tuple[Finding, ...]:
    """Run checks on a subject, each guarded; a check gives a remark or None, or raises."""
    found: list[Finding] = []
    for check, function in checks:
        try:
            found.append(Finding(check.words, True, function(subject) or "", check.where))
        except Wrong as wrong:
            found.append(Finding(check.words, False, wrong.words, wrong.where or check.where))
        except (Exception, SystemExit) as error:  # the plugin's own code, which may fail in any way
            found.append(Finding(check.words, False, told(error), check.where))
        left = len(checks) - len(found)
        if check.essential and not found[-1].ok and left:
            words = f"{found[-1].words} (until that is fixed, {left} further checks are not run)"
            found[-1] = replace(found[-1], words=words)
            break
    return tuple(found)


def require(what: str, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings, if all are good.

    Raises:
        NotConforming: one is not.
    """
    failed = [finding for finding in findings if not finding.ok]
    if failed:
        lines = "\n".join(f"  {finding}" for finding in failed)
        raise NotConforming(f"{what}: {len(failed)} of {len(findings)} checks failed\n{lines}")
    return findings

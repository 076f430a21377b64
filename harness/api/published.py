"""A number from the literature."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A number from the literature, printed next to ours as reported; it enters no test.

    Attributes:
        model: as its authors call it.
        score: percent as published, or a range of several reports.
        source: who reported it, in a form that can be cited.
    """

    model: str
    score: str
    source: str

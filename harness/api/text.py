"""Text that leaves the program: numbers with their words."""

from __future__ import annotations


def plural(number: int, word: str) -> str:
    """``1 seed``, ``1,200 seeds``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"

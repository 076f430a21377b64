"""Values that stand as text on a command line or in a file, and what is said of those that cannot be read."""

from __future__ import annotations

from ..api.embedding_rows import PuzzleIds
from ..api.errors import UsageError

MAX_SEED = 2**31 - 1


def whole_number(key: str, text: str, least: int = 1) -> int:
    """The value of a ``--set`` key that must be a whole number.

    Raises:
        UsageError: it is not one, or below ``least``.
    """
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"--set {key}={text}: not a whole number") from None
    if value < least:
        raise UsageError(f"--set {key}={text}: must be at least {least}")
    return value


def truth(key: str, text: str) -> bool:
    """The value of a ``--set`` key that is yes or no.

    Raises:
        UsageError: it is neither.
    """
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise UsageError(f"--set {key}={text}: write true or false")
    return words[text.lower()]


def puzzle_ids_of(text: str) -> PuzzleIds:
    """The value of ``puzzle_ids``.

    Raises:
        UsageError: there is no such way.
    """
    if text not in tuple(PuzzleIds):
        raise UsageError(f"puzzle_ids={text}: write {', '.join(PuzzleIds)}")
    return PuzzleIds(text)


def parse_seeds(text: str, what: str = "--seeds") -> tuple[int, ...]:
    """``0-4``, ``0,1,7`` or ``3`` as seeds, in order and without repeats.

    Raises:
        UsageError: it cannot be read; shows the forms that can.
    """
    seeds: list[int] = []
    for part in str(text).split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"{what} {text!r}: cannot read {part.strip()!r}; write 0-4, 0,1,2 or 3")
        start, end = int(first), int(last) if dash else int(first)
        if end < start or end > MAX_SEED or end - start >= 10_000:
            raise UsageError(
                f"{what} {text!r}: {part.strip()!r} is not a rising range of seeds up to {MAX_SEED}"
            )
        seeds.extend(range(start, end + 1))
    return tuple(dict.fromkeys(seeds))

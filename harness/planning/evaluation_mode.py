"""In which way a test split is answered, as a row's label and a study's file say it."""

from __future__ import annotations

from dataclasses import dataclass

from ..api.embedding_rows import PuzzleIds
from ..api.errors import UsageError, nearest
from .settings import puzzle_ids_of, truth, whole_number

KEYS = ("halting", "puzzle_ids", "steps", "votes")


@dataclass(frozen=True)
class How:
    """One way to answer the test split; None means as the weights were trained for.

    Attributes:
        steps: supervision steps.
        halting: whether a puzzle stops by the model's own rule.
        votes: most answers to a test item.
        puzzle_ids: which vectors puzzles get.
    """

    steps: int | None = None
    halting: bool = False
    votes: int | None = None
    puzzle_ids: PuzzleIds | None = None

    @property
    def label(self) -> str:
        """``halting=true,steps=32``: what a row says after ``@``; empty for the usual way."""
        said = {
            "halting": "true" if self.halting else None,
            "puzzle_ids": self.puzzle_ids,
            "steps": self.steps,
            "votes": self.votes,
        }
        return ",".join(f"{key}={value}" for key, value in said.items() if value is not None)

    @classmethod
    def parse(cls, text: str) -> How:
        """Read what `label` writes.

        Raises:
            UsageError: an unknown key, or a value that it cannot have.
        """
        options: dict[str, str] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            key, equals, value = (part.strip() for part in pair.partition("="))
            if key not in KEYS or not (equals and value):
                raise UsageError(f"evaluation {text!r}: cannot read {pair!r}; {nearest(key, KEYS)}")
            if options.setdefault(key, value) != value:
                raise UsageError(f"evaluation {text!r}: {key} is given twice")
        steps, votes = (
            whole_number(key, options[key]) if key in options else None for key in ("steps", "votes")
        )
        which = options.get("puzzle_ids")
        return cls(
            steps,
            truth("halting", options.get("halting", "false")),
            votes,
            None if which is None else puzzle_ids_of(which),
        )

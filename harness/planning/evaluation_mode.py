"""How weights are evaluated on the test split, as a row's label and a study's file write it."""

from __future__ import annotations

from dataclasses import dataclass

from ..api.embedding_rows import PuzzleIds
from ..api.errors import UsageError, nearest
from .settings import read_settings

KEYS = ("halting", "puzzle_ids", "steps", "votes")
DEEPEST = 100_000
"""Supervision steps beyond which a number is a slip of the keyboard."""


@dataclass(frozen=True)
class EvaluationMode:
    """One way to evaluate; None means as the weights were trained.

    Attributes:
        steps: supervision steps.
        halting: whether a puzzle stops by the model's own rule.
        votes: most predictions for a test item.
        puzzle_ids: which puzzle embeddings are used.
    """

    steps: int | None = None
    halting: bool = False
    votes: int | None = None
    puzzle_ids: PuzzleIds | None = None

    @property
    def label(self) -> str:
        """``halting=true,steps=32``: what a row says after ``@``; empty for the usual mode."""
        parts = {
            "halting": "true" if self.halting else None,
            "puzzle_ids": self.puzzle_ids,
            "steps": self.steps,
            "votes": self.votes,
        }
        return ",".join(f"{key}={value}" for key, value in parts.items() if value is not None)

    @classmethod
    def parse(cls, text: str) -> EvaluationMode:
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
        halting = options.pop("halting", "false").lower()
        if halting not in ("true", "false"):
            raise UsageError(f"evaluation {text!r}: halting={halting}: write true or false")
        settings = read_settings({key: value for key, value in options.items() if key != "steps"})
        steps = parse_steps(options["steps"]) if "steps" in options else None
        return cls(steps, halting == "true", settings.votes, settings.puzzle_ids)


def parse_steps(text: str, what: str = "steps") -> int:
    """A number of supervision steps.

    Raises:
        UsageError: it is none from 1 to `DEEPEST`.
    """
    if not text.isdecimal() or len(text) > len(str(DEEPEST)) or not 1 <= int(text) <= DEEPEST:
        raise UsageError(f"{what}: {text!r} is not a number of supervision steps from 1 to {DEEPEST}")
    return int(text)

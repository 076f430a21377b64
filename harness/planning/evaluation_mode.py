"""How weights are evaluated on the test split, as a row's label and a study's file write it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..api.embedding_rows import PuzzleIds
from ..api.errors import UsageError, nearest
from ..api.reasoner import Halting, Reasoner
from ..api.rollouts import Rollouts, Select
from .settings import read_settings

KEYS = ("halting", "noise", "noise_on", "puzzle_ids", "rollouts", "select", "steps", "votes")
MOST_ROLLOUTS = 100_000
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
        rollouts: how a puzzle is answered several times; None for once, without noise.
    """

    steps: int | None = None
    halting: bool = False
    votes: int | None = None
    puzzle_ids: PuzzleIds | None = None
    rollouts: Rollouts | None = None

    @property
    def label(self) -> str:
        """``halting=true,steps=32``: what a row says after ``@``; empty for the usual mode."""
        parts = {
            "halting": "true" if self.halting else None,
            **_parts(self.rollouts),
            "puzzle_ids": self.puzzle_ids,
            "steps": self.steps,
            "votes": self.votes,
        }
        return ",".join(f"{key}={parts[key]}" for key in KEYS if parts.get(key) is not None)

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
        several = {key: options.pop(key) for key in _ROLLOUTS if key in options}
        rollouts = parse_rollouts(several, f"evaluation {text!r}: ") if several else None
        settings = read_settings({key: value for key, value in options.items() if key != "steps"})
        steps = parse_steps(options["steps"]) if "steps" in options else None
        return cls(steps, halting == "true", settings.votes, settings.puzzle_ids, rollouts)


_ROLLOUTS = ("rollouts", "noise", "noise_on", "select")


def _parts(rollouts: Rollouts | None) -> dict[str, object]:
    if rollouts is None:
        return {}
    several = rollouts.count > 1
    return {
        "noise": f"{rollouts.noise:g}" if rollouts.noise else None,
        "noise_on": rollouts.on or None,
        "rollouts": rollouts.count if several else None,
        "select": rollouts.select.value if several else None,
    }


def parse_rollouts(texts: Mapping[str, object], what: str = "") -> Rollouts | None:
    """Rollouts by the keys ``rollouts``, ``noise``, ``noise_on`` and ``select``; None for one without noise.

    ``what`` begins the messages.

    Raises:
        UsageError: a number or rule that it cannot be, or several rollouts without a rule.
    """
    count = str(texts.get("rollouts", 1))
    if not count.isdecimal() or len(count) > len(str(MOST_ROLLOUTS)) or not 1 <= int(count) <= MOST_ROLLOUTS:
        raise UsageError(f"{what}rollouts={count}: not a whole number from 1 to {MOST_ROLLOUTS:,}")
    try:
        noise = float(str(texts.get("noise", 0.0)))
    except ValueError:
        noise = math.nan
    if not (math.isfinite(noise) and noise >= 0):
        raise UsageError(f"{what}noise={texts['noise']}: not a standard deviation from 0")
    rule = texts.get("select")
    if rule is not None and rule not in tuple(Select):
        raise UsageError(f"{what}select={rule}: unknown; {nearest(str(rule), [one.value for one in Select])}")
    if int(count) > 1 and rule is None:
        rules = ", ".join(Select)
        raise UsageError(f"{what}rollouts={count}: say which one counts with select; choose one of {rules}")
    if int(count) == 1 and noise == 0:
        return None
    rule = Select.FIRST if rule is None or int(count) == 1 else Select(str(rule))
    on = str(texts.get("noise_on", "")) if noise else ""
    return Rollouts(count=int(count), noise=noise, on=on, select=rule)


def check_rollouts(mode: EvaluationMode, model: Reasoner, name: str) -> None:
    """Whether a model can answer several times in this way.

    Raises:
        UsageError: it is deterministic, or lacks what the mode reads; says what it has.
    """
    rollouts = mode.rollouts
    if rollouts is None:
        return
    parts = (*model.perturbable, "both")
    if rollouts.noise and not model.perturbable:
        raise UsageError(f"noise={rollouts.noise:g}: {name} has no state that noise can be added to")
    if rollouts.on and rollouts.on not in parts:
        raise UsageError(f"noise_on={rollouts.on}: {name} has {', '.join(parts)}")
    if rollouts.count > 1 and not rollouts.noise and not model.stochastic:
        raise UsageError(
            f"rollouts={rollouts.count}: {name} is deterministic, and all of them would be equal; add noise, "
            "e.g. noise=0.3"
        )
    if rollouts.select is Select.Q and model.halting is Halting.NONE:
        raise UsageError(f"select=q: {name} has no halt logit; choose mode or residual")
    if rollouts.select is Select.RESIDUAL and mode.halting:
        raise UsageError("select=residual: does not go with halting, where puzzles stop at different steps")


def parse_steps(text: str, what: str = "steps") -> int:
    """A number of supervision steps.

    Raises:
        UsageError: it is none from 1 to `DEEPEST`.
    """
    if not text.isdecimal() or len(text) > len(str(DEEPEST)) or not 1 <= int(text) <= DEEPEST:
        raise UsageError(f"{what}: {text!r} is not a number of supervision steps from 1 to {DEEPEST}")
    return int(text)

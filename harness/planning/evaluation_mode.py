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

KEYS = ("halting", "noise", "noise_on", "noise_seed", "puzzle_ids", "rollouts", "select", "steps", "votes")
MOST_ROLLOUTS = 100_000
MOST_DIGITS = 9
"""Of a seed of the noise."""
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


_ROLLOUTS = ("rollouts", "noise", "noise_on", "noise_seed", "select")
_NEEDS = {"select": "rollouts", "noise_on": "noise"}
"""Keys that mean nothing without another."""


def _parts(rollouts: Rollouts | None) -> dict[str, object]:
    if rollouts is None:
        return {}
    several = rollouts.count > 1
    return {
        "noise": repr(rollouts.noise).removesuffix(".0") if rollouts.noise else None,  # every digit
        "noise_on": rollouts.on or None,
        "noise_seed": rollouts.seed or None,
        "rollouts": rollouts.count if several else None,
        "select": rollouts.select.value if several else None,
    }


def parse_rollouts(texts: Mapping[str, object], what: str = "") -> Rollouts | None:
    """Rollouts by the keys `_ROLLOUTS`; None for one without noise and with the usual seed.

    ``what`` begins the messages.

    Raises:
        UsageError: a number or rule that it cannot be, several rollouts without a rule, or a key without the
            one that it needs.
    """
    for key, needed in _NEEDS.items():
        if key in texts and needed not in texts:
            problem = f"means nothing without {needed}; add {needed}, or leave it out"
            raise UsageError(f"{what}{_shown(key, what)}={texts[key]}: {problem}")
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
    seed = str(texts.get("noise_seed", 0))
    if not seed.isdecimal() or len(seed) > MOST_DIGITS:
        limits = f"from 0, of at most {MOST_DIGITS} digits"
        raise UsageError(f"{what}{_shown('noise_seed', what)}={seed}: not a whole number {limits}")
    if int(count) == 1 and noise == 0 and int(seed) == 0:
        return None
    rule = Select.FIRST if rule is None or int(count) == 1 else Select(str(rule))
    on = str(texts.get("noise_on", "")) if noise else ""
    return Rollouts(count=int(count), noise=noise, on=on, select=rule, seed=int(seed))


def _shown(key: str, what: str) -> str:
    """A key as the command line writes it, where it is an option."""
    return key.replace("_", "-") if what == "--" else key


def obstacle(mode: EvaluationMode, model: Reasoner) -> str | None:
    """Why a model cannot be evaluated in this way; None where it can."""
    if mode.halting and model.halting is Halting.NONE:
        return "the model has no halting rule"
    return None if mode.rollouts is None else _obstacle(mode, mode.rollouts, model)


def _obstacle(mode: EvaluationMode, rollouts: Rollouts, model: Reasoner) -> str | None:
    parts = (*model.perturbable, "both")
    if rollouts.noise and not model.perturbable:
        return "the model has no state that noise can be added to"
    if rollouts.on and rollouts.on not in parts:
        return f"noise_on={rollouts.on}: the model has {', '.join(parts)}"
    if not rollouts.noise and not model.stochastic:
        advice = "; add noise, e.g. noise=0.3" if model.perturbable else ""
        return f"the model is deterministic, and every answer would be the same{advice}"
    if rollouts.select is Select.Q and model.halting is Halting.NONE:
        return "select=q: the model has no halt logit; choose mode or residual"
    if rollouts.select is Select.RESIDUAL and mode.halting:
        return "select=residual does not go with halting, where puzzles stop at different steps"
    if rollouts.select is Select.RESIDUAL and (mode.steps or model.supervision_steps) == 1:
        return "select=residual compares the logits of supervision steps, and there is one; take at least 2"
    return None


def parse_steps(text: str, what: str = "steps") -> int:
    """A number of supervision steps.

    Raises:
        UsageError: it is none from 1 to `DEEPEST`.
    """
    if not text.isdecimal() or len(text) > len(str(DEEPEST)) or not 1 <= int(text) <= DEEPEST:
        raise UsageError(f"{what}: {text!r} is not a number of supervision steps from 1 to {DEEPEST}")
    return int(text)

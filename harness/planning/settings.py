"""Settings as text or numbers become typed values here, once, before anything is planned or written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..api.embedding_rows import PuzzleIds
from ..api.errors import UsageError, nearest
from ..training.config import ExecutionConfig, TrainingConfig

C = TypeVar("C", bound=BaseModel)
MAX_SEED = 2**31 - 1
MOST_SEEDS = 10_000
GROUPS: Mapping[str, type[BaseModel]] = {"training": TrainingConfig, "execution": ExecutionConfig}


class Settings(BaseModel):
    """The key=value pairs of ``--set``, or the keyword settings of `trm_bench.run`; None means the default.

    Attributes:
        training: settings of `TrainingConfig` for every model.
        execution: settings of `ExecutionConfig`.
        task: the task's own options.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int | None = Field(None, gt=0, description="optimiser steps")
    batch_size: int | None = Field(None, gt=0, description="supervision slots")
    examples: int | None = Field(None, gt=0, description="draws; with --match examples")
    flops: float | None = Field(None, gt=0, description="training FLOPs; with --match flops")
    task_seed: int = Field(0, ge=0, le=2**63 - 1, description="seed of the puzzles and their augmentation")
    threads: int = Field(1, gt=0, le=1024, description="CPU threads of a run")
    deterministic: bool | None = Field(None, description="deterministic kernels; by default on a CPU")
    margin: float | None = Field(
        None, gt=0, lt=100, description="percentage points that do not matter, for a test of equivalence"
    )
    votes: int | None = Field(None, gt=0, description="predictions per test item, one per augmentation")
    puzzle_ids: PuzzleIds | None = Field(None, description="puzzle-embedding rows at evaluation")
    training: dict[str, Any] = {}
    execution: dict[str, Any] = {}
    task: dict[str, str] = {}

    def values(self) -> dict[str, Any]:
        """Every setting by its key, but for those of the execution: what runs with other values differ in."""
        return {**{key: getattr(self, key) for key in OWN_KEYS}, **self.task, **self.training}

    def execution_config(self) -> ExecutionConfig:
        """How the runs are carried out."""
        return ExecutionConfig(**self.execution)


OWN_KEYS = tuple(key for key in Settings.model_fields if key not in (*GROUPS, "task"))
"""Settings that belong to no group: budget, puzzles, evaluation, machine."""
BUDGET_KEYS = ("steps", "batch_size", "examples", "flops")


GROUPED = re.compile(r"[+-]?\d[\d_]*_[\d_.e+-]*")


def read_settings(pairs: Mapping[str, object], task_options: Sequence[str] = ()) -> Settings:
    """Type and check settings.

    Args:
        pairs: by key; text as from a command line, or numbers.
        task_options: keys that the task understands.

    Raises:
        UsageError: an unknown key (the nearest is suggested), or a value that it cannot have.
    """
    own: dict[str, object] = {}
    groups: dict[str, dict[str, object]] = {**{name: {} for name in GROUPS}, "task": {}}
    for key, value in pairs.items():
        if isinstance(value, bool):  # which is a number for Python: steps=True would be one step
            value = str(value)
        if isinstance(value, str) and GROUPED.fullmatch(value):  # which Python would read as a number
            raise UsageError(f"setting {key}={value}: write numbers without underscores")
        owner = next((name for name, model in GROUPS.items() if key in model.model_fields), None)
        if key in OWN_KEYS:
            own[key] = value
        elif owner is not None:
            groups[owner][key] = getattr(validated(GROUPS[owner], {key: value}, "setting"), key)
        elif key in task_options:
            groups["task"][key] = str(value)
        else:
            raise UsageError(f"setting {key}={value}: {_unknown(key, task_options)}")
    return validated(Settings, {**own, **groups}, "setting")


def _unknown(key: str, task_options: Sequence[str]) -> str:
    known = [*OWN_KEYS, *task_options, *(name for model in GROUPS.values() for name in model.model_fields)]
    return f"unknown key; {nearest(key, known)}. Write an option of a model in brackets: trm[cycles=2]."


def validated(kind: type[C], values: Mapping[str, Any], what: str) -> C:
    """``kind(**values)`` with an error that names the key and what was expected.

    Raises:
        UsageError: a key is unknown or a value is out of range.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        problem = plain_words(first)
        if not first["loc"]:  # about several keys at a time
            raise UsageError(f"{what}: {problem}") from None
        key = str(first["loc"][0])  # what follows are the alternatives of a union
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{what}: unknown key {key!r}; {nearest(key, kind.model_fields)}") from None
        same = [one for one in error.errors() if one["loc"][:1] == first["loc"][:1]]
        if len(same) > 1:
            problem = "write " + ", or ".join(_alternative(one) for one in same)
        value = "" if first["type"] == "missing" else f"={shown(first['input'])}"
        raise UsageError(f"{what} {key}{value}: {problem}") from None


_WORDS = {
    "string_pattern_mismatch": "must be of letters, digits, _, . and -, because a folder is called so",
    "int_parsing": "not a whole number",
    "int_parsing_size": "not a whole number",
    "int_from_float": "not a whole number",
    "int_type": "not a whole number",
    "float_parsing": "not a number",
    "float_type": "not a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length}",
    "dict_type": "must be a mapping of keys and values",
    "string_type": "must be text",
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "enum": "choose one of {expected}",
    "literal_error": "choose one of {expected}",
}


_ALTERNATIVES = {
    "literal_error": "{expected}",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "greater_than": "a number above {gt}",
}


def _alternative(error: Mapping[str, Any]) -> str:
    """What one member of a union accepts; a whole number where nothing else is known."""
    template = _ALTERNATIVES.get(str(error["type"]), "a whole number")
    return template.format(**error.get("ctx", {})).replace("'", "")


def plain_words(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors in plain words."""
    template = _WORDS.get(str(error["type"]))
    if template is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return template.format(**error.get("ctx", {})).replace("'", "")


def shown(value: object, most: int = 60) -> str:
    """A value as it was given, cut where it is long."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def parse_seeds(value: str | int | Iterable[int], what: str = "--seeds") -> tuple[int, ...]:
    """``0-4``, ``0,1,7``, ``3`` or whole numbers as seeds, in order and without repeats.

    Raises:
        UsageError: it cannot be read; shows the forms that can.
    """
    texts = texts_of(value)
    text = ",".join(texts)
    if not texts:
        raise UsageError(f"{what}: no seed is named; write 0-4, 0,1,2 or 3")
    seeds: dict[int, None] = {}
    for part in texts:
        first, dash, last = part.partition("-")
        if not _is_seed(first) or (dash and not _is_seed(last)):
            raise UsageError(
                f"{what} {shown(text)!r}: cannot read {shown(part)!r}; write 0-4, 0,1,2 or 3, "
                f"up to {MAX_SEED}"
            )
        start, end = int(first), int(last) if dash else int(first)
        if end < start or end - start >= MOST_SEEDS or len(seeds) > MOST_SEEDS:
            raise UsageError(
                f"{what} {shown(text)!r}: {part!r} is no rising range of at most {MOST_SEEDS} seeds"
            )
        seeds |= dict.fromkeys(range(start, end + 1))
    return tuple(seeds)


def texts_of(value: object) -> list[str]:
    """Numbers as text, one by one: text with commas, one number, or several."""
    several = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in (several if isinstance(several, Iterable) else [several])]


def _is_seed(text: str) -> bool:
    return text.isdecimal() and len(text) <= 10 and int(text) <= MAX_SEED

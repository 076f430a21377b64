"""Which settings `tune` tries: the points of a grid, the same for every model. Nothing is run here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from ..api.errors import PluginError, UsageError, nearest
from ..api.puzzles import TaskInfo
from ..api.randomness import hashed, named_seed, permutations
from ..host.calls import calling
from ..host.host import Host
from ..training.config import ExecutionConfig, TrainingConfig
from .models import (
    COMMON_OPTIONS,
    ResolvedModel,
    Variant,
    canonical_options,
    parse_variant,
    resolve_model,
    resolved_part,
)
from .settings import BUDGET_KEYS, OWN_KEYS, texts_of
from .study import placed

MOST_RUNS = 200
"""Runs up to which a whole grid is tried; more need a number of tries."""
MOST_SETTINGS = 100_000
Axes = Mapping[str, tuple[str, ...]]
"""The values of each option, as typed."""
Values = Mapping[str, str]
"""A point of a grid: one value of each option."""


@dataclass(frozen=True)
class Candidate:
    """A model with a setting to be tried.

    Attributes:
        model: as the user wrote it.
        values: of the options of the grid that the model has.
        variant: model and values as ``--models`` takes them.
    """

    model: str
    values: Values
    variant: str


def read_axes(grid: Mapping[str, object] | Iterable[str]) -> Axes:
    """The options of a grid with their values: texts such as ``lr=0.001,0.002``, or values by option.

    Raises:
        UsageError: one cannot be read, has no values, or is no option that may be tuned.
    """
    if not isinstance(grid, Iterable):
        raise UsageError(f"grid {grid!r}: write values by option, such as {{'lr': [0.001, 0.002]}}, or texts")
    texts = [grid] if isinstance(grid, str) else grid
    pairs = texts.items() if isinstance(texts, Mapping) else [_pair(text) for text in texts]
    axes: dict[str, tuple[str, ...]] = {}
    for key, several in pairs:
        values = texts_of(several)
        _refuse_fixed(str(key), values)
        if key in axes:
            raise UsageError(f"--grid {key}: given twice; write all values in one --grid {key}=…")
        if not all(values) or not values:
            raise UsageError(f"--grid {key}: a value is missing; write --grid {key}=VALUE,VALUE")
        if twice := [value for value in values if values.count(value) > 1]:
            raise UsageError(f"--grid {key}: {twice[0]} is given twice")
        axes[str(key)] = tuple(values)
    if not axes:
        raise UsageError("--grid is missing; write, for example, --grid lr=0.001,0.002")
    if (settings := math.prod(map(len, axes.values()))) > MOST_SETTINGS:
        raise UsageError(f"--grid: {settings:,} settings; a grid has at most {MOST_SETTINGS:,}")
    return axes


def _pair(text: str) -> tuple[str, str]:
    key, equals, values = str(text).partition("=")
    if not (equals and key.strip()):
        raise UsageError(f"--grid {text!r}: write KEY=VALUE,VALUE")
    return key.strip(), values


def _refuse_fixed(key: str, values: Sequence[str]) -> None:
    if key == "precision" and "auto" in values:
        raise UsageError("--grid precision: auto is one of the others; write float32,bf16")
    if key in (*BUDGET_KEYS, "augment", "augmentations"):
        raise UsageError(f"--grid {key}: the budget is the same for all models and settings; leave it out")
    if key in (*OWN_KEYS, *ExecutionConfig.model_fields, *COMMON_OPTIONS):
        raise UsageError(f"--grid {key}: not a training setting or an option of a model; leave it out")


def candidates_of(
    host: Host,
    info: TaskInfo,
    models: Sequence[str],
    axes: Axes,
    tries: int | None = None,
    shuffle: int = 0,
    overrides: Mapping[str, Any] | None = None,
) -> list[Candidate]:
    """Every setting to be tried, model by model, in the order of the grid.

    Fewer ``tries`` than settings are drawn by a shuffle of the whole grid that depends on ``shuffle`` alone:
    a model that has every option gets the first N points, any other the first N that differ in its own.

    Raises:
        UsageError: an option that no model has, a value that a model cannot have, or nothing to tune.
    """
    known = {name for model in models for name in _options(host, info, model)}
    for key in axes:
        if key not in known:
            raise UsageError(f"--grid {key}: not an option of {', '.join(models)}; {nearest(key, known)}")
    own = {model: _own_axes(host, info, model, axes, overrides or {}) for model in models}
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    order = list(range(len(points)))
    if tries is not None and tries < len(points):
        bits = hashed(named_seed("settings to try", shuffle), np.arange(len(points)))
        order = permutations(bits).tolist()
    candidates = []
    for model, mine in own.items():
        first: dict[tuple[str, ...], int] = {}
        for place in order:
            first.setdefault(tuple(points[place][key] for key in mine), place)
        chosen = sorted(list(first.values())[:tries])
        candidates += [_candidate(model, {key: points[place][key] for key in mine}) for place in chosen]
    return candidates


def _candidate(model: str, values: Values) -> Candidate:
    requested = parse_variant(model)
    return Candidate(model, values, str(Variant(requested.name, {**requested.options, **values})))


def _options(host: Host, info: TaskInfo, model: str) -> set[str]:
    """The options of a model that may be tuned, under every name."""
    spec = resolved_part(host, parse_variant(model), info).spec
    own = set() if spec.config is None else {*spec.config.model_fields, *spec.aliases}
    return own | set(TrainingConfig.model_fields)


def _own_axes(host: Host, info: TaskInfo, model: str, axes: Axes, overrides: Mapping[str, Any]) -> Axes:
    """The options of a grid that a model has, every value checked.

    Raises:
        UsageError: the model is not trained, sets one itself, or cannot have a value.
    """
    requested = parse_variant(model)
    spec = resolved_part(host, requested, info).spec
    if not spec.trained:
        raise UsageError(f"--models {model}: it is not trained, so there is nothing to tune; leave it out")
    given = {spec.aliases.get(key, key) for key in requested.options}
    mine = {key: values for key, values in axes.items() if key in _options(host, info, model)}
    if not mine:
        raise UsageError(f"--models {model}: it has none of the options {', '.join(axes)}; leave it out")
    for key, values in mine.items():
        if spec.aliases.get(key, key) in given:
            raise UsageError(f"--grid {key}: {model} sets it too; leave it out of the brackets")
        if key in overrides:
            raise UsageError(f"--grid {key}: --set {key}={overrides[key]} sets it too; leave one out")
        _check_values(host, info, model, key, values)
    return mine


def _check_values(host: Host, info: TaskInfo, model: str, key: str, values: Sequence[str]) -> None:
    """Two spellings of one value would be one setting that is tried twice.

    A model whose code fails is left to its run, which is a failed try then.

    Raises:
        UsageError: the model cannot have a value, or two are the same.
    """
    typed: dict[str, Any] = {}
    for value in values:
        variant = _candidate(model, {key: value}).variant
        with suppress(PluginError), placed(f"--grid {key}={value}"), calling(f"model {variant}"):
            resolved = resolve_model(host, variant, info, {})
            known = value_of(resolved, resolved.part.spec.aliases.get(key, key))
            if same := [text for text, other in typed.items() if other == known]:
                raise UsageError(f"the same as {same[0]}; leave one out")
            typed[value] = known


def value_of(model: ResolvedModel, key: str) -> Any:
    """The value of one of a model's options or training settings."""
    return getattr(model.config if key in type(model.config).model_fields else model.training, key)


def recipe_of(model: ResolvedModel, overrides: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """The options that a model was requested with, as the sections of a recipe file.

    ``overrides`` are training settings that were given for every model.
    """
    options = [
        key for key in canonical_options(model.requested, model.part.spec) if key not in COMMON_OPTIONS
    ]
    own = type(model.config).model_fields
    values = {
        "model": (model.config, [key for key in options if key in own]),
        "training": (model.training, [*(key for key in options if key not in own), *overrides]),
    }
    sections = {}
    for section, (config, keys) in values.items():
        dumped = config.model_dump(mode="json")
        if keys:
            sections[section] = {key: dumped[key] for key in keys}
    return sections


def recipe_text(task: str, scale: str, sections: Mapping[str, Mapping[str, Any]]) -> str:
    """A recipe file for one task and scale."""
    content = {task: {scale: {name: dict(values) for name, values in sections.items()}}}
    return str(yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=1000))

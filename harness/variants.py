"""Names of models with options, ``trm[cycles=2,updates=4]``, and where each option belongs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from .errors import UsageError, nearest
from .host import Host, Part
from .puzzles import TaskInfo
from .settings import TrainingConfig
from .specs import ModelSpec

C = TypeVar("C", bound=BaseModel)
_VARIANT = re.compile(r"^(?P<name>[^\[\]=,\s]+)(\[(?P<options>[^\[\]]*)\])?$")

SCALE_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "mini": {"lr": 1e-3, "embedding_lr": 1e-3, "warmup": 50, "ema": 0.99},
    "lite": {},
    "paper": {},
}
"""Training settings by scale, for a model that has no recipe of its own."""


@dataclass(frozen=True)
class Variant:
    """A model as it was asked for: a name and the options in brackets."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ",".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.name}[{inside}]" if inside else self.name


@dataclass(frozen=True)
class ResolvedModel:
    """A model with every setting filled in.

    Attributes:
        asked: what the user wrote.
        name: the model that it stands for, with the options; names the row of a table.
        part: its spec and plugin.
        config: the model's own configuration.
        training: its recipe for the task and scale, after all overrides.
    """

    asked: Variant
    name: str
    part: Part[ModelSpec]
    config: BaseModel
    training: TrainingConfig


def split_models(text: str) -> list[str]:
    """Split ``--models`` at the commas that are not inside brackets."""
    return [name.strip() for name in re.split(r",(?![^\[]*\])", text) if name.strip()]


def parse_variant(text: str) -> Variant:
    """Read ``name[key=value,…]``.

    Raises:
        UsageError: the brackets or a key=value inside them cannot be read.
    """
    match = _VARIANT.match(text)
    if match is None:
        raise UsageError(f"cannot read model {text!r}; write name or name[key=value,key=value]")
    options: dict[str, str] = {}
    for pair in filter(None, (match["options"] or "").split(",")):
        key, equals, value = (piece.strip() for piece in pair.partition("="))
        if not (key and equals and value):
            raise UsageError(f"cannot read option {pair!r} of model {text!r}; write key=value")
        if options.setdefault(key, value) != value:
            raise UsageError(f"model {text!r}: {key} is given twice, as {options[key]} and {value}")
    return Variant(match["name"], options)


def resolve_model(host: Host, text: str, task: TaskInfo, overrides: Mapping[str, str]) -> ResolvedModel:
    """Find the model, follow its advice, and merge defaults, recipe, overrides and options.

    ``overrides`` are training settings for every model; options in brackets win over them.

    Raises:
        UsageError: an unknown model or option (the nearest is suggested), or a value out of range.
    """
    asked = parse_variant(text)
    part = host.models.get(asked.name)
    if part.spec.advise is not None:
        own = (part.plugin.distribution,)
        part = host.models.get(part.spec.advise(task, asked.options), prefer=own)
    spec = part.spec
    if spec.config is None or spec.build is None:
        raise UsageError(
            f"model {spec.name!r} of {part.plugin.label} has neither config and build nor advise"
        )
    recipe = read_recipe(spec.recipes, task)
    model = dict(recipe.get("model", {}))
    training = {**SCALE_DEFAULTS.get(task.scale, {}), **recipe.get("training", {}), **overrides}
    for key, value in asked.options.items():
        if key in spec.config.model_fields:
            model[key] = value
        elif key in TrainingConfig.model_fields:
            training[key] = value
        else:
            known = [*spec.config.model_fields, *TrainingConfig.model_fields]
            raise UsageError(f"model {spec.name!r} has no option {key!r}; {nearest(key, known)}")
    unique = spec.name if spec.name in host.models.names() else part.full_name
    name = str(Variant(unique, asked.options))
    return ResolvedModel(
        asked, name, part, validated(spec.config, model, name), validated(TrainingConfig, training, name)
    )


def validated(kind: type[C], values: Mapping[str, Any], what: str) -> C:
    """``kind(**values)`` with an error that names the key and what was expected.

    Raises:
        UsageError: a key is unknown or a value is out of range.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{what}: unknown key {key!r}; {nearest(key, kind.model_fields)}") from None
        raise UsageError(f"{what}: {key}={first['input']!r}: {first['msg']}") from None


def read_recipe(path: Path | None, task: TaskInfo) -> dict[str, dict[str, Any]]:
    """The settings of a recipe file for a task and scale.

    The file maps task (or ``"*"``) to scale to ``{model: {...}, training: {...}}``; what stands
    under the task's own name wins over ``"*"``.
    """
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"recipe {path}: cannot be read ({error})") from error
    merged: dict[str, dict[str, Any]] = {"model": {}, "training": {}}
    for name in ("*", task.task):
        scales = _mapping(_mapping(content, f"{path}").get(name), f"{path}: {name}")
        sections = _mapping(scales.get(task.scale), f"{path}: {name}/{task.scale}")
        for section, values in sections.items():
            where = f"{path}: {name}/{task.scale}"
            if section not in merged:
                raise UsageError(f"recipe {where}: unknown section {section!r}; known: model, training")
            merged[section].update(_mapping(values, f"{where}/{section}"))
    return merged


def _mapping(value: Any, where: str) -> dict[str, Any]:
    """A level of a recipe file; an empty one is an empty mapping."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"recipe {where}: must be a mapping, not {value!r}")
    return value

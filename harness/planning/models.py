"""Names of models with options, ``trm[cycles=2,updates=4]``, and where each option belongs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ..api.errors import UsageError, nearest
from ..api.puzzles import TaskInfo
from ..api.specs import ModelSpec
from ..host.host import Host, Part
from ..training.config import TrainingConfig
from .match_size import Quantity, Wanted, matched, measure

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
        augmentations: A of ``augment=``, where it is not the study's own.
        notes: what must be said beside its row, e.g. how near ``match=`` came.
    """

    asked: Variant
    name: str
    part: Part[ModelSpec]
    config: BaseModel
    training: TrainingConfig
    augmentations: int | None = None
    notes: tuple[str, ...] = ()


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


COMMON_OPTIONS = ("augment", "match", "recipe")
"""Options in brackets that every model understands: A, what to be as large as, whose training settings."""


def resolve_model(
    host: Host,
    text: str,
    task: TaskInfo,
    overrides: Mapping[str, str],
    augmentations: tuple[int, int] = (1, 1),
) -> ResolvedModel:
    """Find the model, follow its advice, and merge defaults, recipe, overrides and options.

    ``overrides`` are training settings for every model; options in brackets win over them.
    ``augmentations`` are the study's A, and that of ``augment=full``. The name keeps only the options that
    change something here.

    Raises:
        UsageError: an unknown model or option (the nearest is suggested), or a value out of range.
    """
    asked = parse_variant(text)
    part = advised(host, asked, task)
    spec = part.spec
    if spec.config is None or spec.build is None:
        raise UsageError(
            f"model {spec.name!r} of {part.plugin.label} has neither config and build nor advise"
        )
    options = canonical_options(asked, spec)
    lender = advised(host, Variant(options["recipe"]), task).spec if "recipe" in options else spec
    model = read_recipe(spec.recipes, task).get("model", {})
    training = {
        **SCALE_DEFAULTS.get(task.scale, {}),
        **read_recipe(lender.recipes, task).get("training", {}),
        **overrides,
    }
    own = {key: value for key, value in options.items() if key in spec.config.model_fields}
    lent = {key: value for key, value in options.items() if key in TrainingConfig.model_fields}
    without = validated(spec.config, model, text), validated(TrainingConfig, training, text)
    config = validated(spec.config, {**model, **own}, text)
    settings = validated(TrainingConfig, {**training, **lent}, text)
    notes: tuple[str, ...] = ()
    asked_for = config
    if "match" in options:
        wanted = Wanted.parse(options["match"])
        config, notes = _matched(host, text, spec, config, wanted, task, overrides)
        if taken := [key for key in own if getattr(config, key) != getattr(asked_for, key)]:
            raise UsageError(f"{text}: match= chooses {', '.join(taken)}; leave {taken[0]}= out")
    usual, full = augmentations
    count = _augment(options.get("augment"), usual, full, text)
    idle = {key for key in own if getattr(config, key) == getattr(without[0], key)}
    idle |= {key for key in lent if getattr(settings, key) == getattr(without[1], key)}
    idle |= {"augment"} if count == usual else set()
    shown = {key: value for key, value in options.items() if key not in idle}
    unique = spec.name if spec.name in host.models.names() else part.full_name
    return ResolvedModel(
        asked,
        str(Variant(unique, shown)),
        part,
        config,
        settings,
        count if count != usual else None,
        notes,
    )


def advised(host: Host, asked: Variant, task: TaskInfo) -> Part[ModelSpec]:
    """The model of that name, or the one that it stands for on the task.

    Raises:
        UsageError: an unknown model; the nearest is suggested.
    """
    part = host.models.get(asked.name)
    if part.spec.advise is None:
        return part
    return host.models.get(part.spec.advise(task, asked.options), prefer=(part.plugin.distribution,))


def canonical_options(asked: Variant, spec: ModelSpec) -> dict[str, str]:
    """The options under their own names.

    Raises:
        UsageError: one is unknown, or given under two names.
    """
    assert spec.config is not None
    known = [*spec.config.model_fields, *COMMON_OPTIONS, *TrainingConfig.model_fields]
    options: dict[str, str] = {}
    for given, value in asked.options.items():
        key = spec.aliases.get(given, given)
        if key not in known:
            raise UsageError(
                f"model {spec.name!r} has no option {given!r}; {nearest(given, [*known, *spec.aliases])}"
            )
        if options.setdefault(key, value) != value:
            raise UsageError(f"model {asked}: {key} is given twice, as {options[key]} and {value}")
    return options


def _matched(
    host: Host,
    text: str,
    spec: ModelSpec,
    config: BaseModel,
    wanted: Wanted,
    task: TaskInfo,
    overrides: Mapping[str, str],
) -> tuple[BaseModel, tuple[str, ...]]:
    """The configuration in the width that ``match=`` asks for, and how near it comes."""
    owner, colon, _ = wanted.model.partition(":")
    if colon and owner not in {part.plugin.distribution for part in host.models.parts}:
        forms = " or ".join(f"{quantity}:MODEL" for quantity in Quantity)
        raise UsageError(f"match={wanted.model}: write match=MODEL, {forms}")
    other = resolve_model(host, wanted.model, task, overrides)
    target = measure(other.part.spec, other.config, task, wanted.quantity)
    if not target:
        raise UsageError(f"{text}: {other.name} has no {wanted.quantity.value} to match")
    config, reached = matched(spec, config, task, target, wanted.quantity)
    sizes = f"{reached:,.0f} {wanted.quantity.value} against {target:,.0f} of {other.name}"
    return config, (f"{text}: {sizes} ({100 * (reached / target - 1):+.1f} %)",)


def _augment(text: str | None, usual: int, full: int, model: str) -> int:
    if text is None:
        return usual
    if text == "full":
        return full
    if not text.isdecimal() or not int(text):
        raise UsageError(f"{model}: augment={text}: write a number of variants from 1, or full")
    return int(text)


def validated(kind: type[C], values: Mapping[str, Any], what: str) -> C:
    """``kind(**values)`` with an error that names the key and what was expected.

    Raises:
        UsageError: a key is unknown or a value is out of range.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # about several keys at a time
            raise UsageError(f"{what}: {said}") from None
        key = str(first["loc"][0])  # what follows are the alternatives of a union
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{what}: unknown key {key!r}; {nearest(key, kind.model_fields)}") from None
        raise UsageError(f"{what}: {key}={first['input']!r}: {said}") from None


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

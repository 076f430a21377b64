"""Names of models with options, ``trm[cycles=2,updates=4]``, and where each option belongs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..api.errors import UsageError, nearest
from ..api.puzzles import TaskInfo
from ..api.specs import ModelSpec
from ..host.calls import calling
from ..host.host import OWN_DISTRIBUTION, Host, Part
from ..training.config import TrainingConfig
from .match_size import Quantity, matched, measure, parse_match
from .published_budget import PublishedBudget
from .recipes import find_model, recipe_of, with_inherited, without_recipe
from .settings import GROUPED, shown, validated

if TYPE_CHECKING:
    from ..api.reasoner import Reasoner

_VARIANT = re.compile(r"^(?P<name>[^\[\]=,\s]+)(\[(?P<options>[^\[\]]*)\])?$")

SCALE_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "mini": {"lr": 1e-3, "embedding_lr": 1e-3, "warmup": 50, "ema": 0.99, "precision": "float32"},
    "small": {"lr": 1e-3, "embedding_lr": 1e-3, "warmup": 200, "ema": 0.995},
    "lite": {},
    "paper": {},
}
"""Training settings by scale, for a model that has no recipe of its own."""


@dataclass(frozen=True)
class Variant:
    """A model as requested: a name and the options in brackets."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def brackets(self) -> str:
        """The options in brackets, in alphabetical order; empty without any."""
        inside = ",".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"[{inside}]" if inside else ""

    def __str__(self) -> str:
        return self.name + self.brackets


@dataclass(frozen=True)
class ResolvedModel:
    """A model with every setting filled in.

    Attributes:
        requested: what the user wrote.
        name: the model that it resolves to, with the options that change something; names a table's row.
        part: its spec and plugin.
        config: the model's own configuration.
        training: its recipe for the task and scale, after all overrides.
        augmentations: A of ``augment=``, where it is not the grid's own.
        notes: to print at the start and under the table, e.g. how near ``match=`` came.
        replaced: the recipe's own values of the settings for every model.
        published: the budget that the model was published with, where its recipe names one.
    """

    requested: Variant
    name: str
    part: Part[ModelSpec]
    config: BaseModel
    training: TrainingConfig
    augmentations: int | None = None
    notes: tuple[str, ...] = ()
    replaced: Mapping[str, Any] = field(default_factory=dict)
    published: PublishedBudget | None = None

    @property
    def display_name(self) -> str:
        """The model's name in tables, with the options as the user wrote them."""
        return (self.part.spec.display_name or self.name.partition("[")[0]) + self.requested.brackets

    def build(self, task: TaskInfo) -> Reasoner:
        """The untrained model; what its code does to ``task`` harms no other one."""
        assert self.part.spec.build is not None  # `resolve_model` has made sure
        return self.part.spec.build(self.config, replace(task))

    def shapes(self, task: TaskInfo) -> Reasoner:
        """The model without its numbers, see `shapes_of`."""
        own = self.part.plugin.distribution == OWN_DISTRIBUTION
        return shapes_of(str(self.requested), self.build, task, own)


def shapes_of(name: str, build: Callable[[TaskInfo], Reasoner], task: TaskInfo, own: bool = True) -> Reasoner:
    """A model without its numbers: it knows N_sup, whether it halts, and what it costs.

    Args:
        name: the model as the user wrote it.
        build: gives it.
        task: the shape of its puzzles.
        own: whether it is one of ours, whose `ValueError` is about the request.

    Raises:
        UsageError: its options do not fit together.
        PluginError: its code failed in another way.
    """
    from ..training.costs import build_shapes

    with calling(f"model {name} cannot be built"):
        try:
            return build_shapes(build, task)
        except ValueError as error:
            if own or "[" in name:
                raise UsageError(f"model {name} cannot be built: {error}") from error
            raise


def split_models(text: str) -> list[str]:
    """Split ``--models`` at its commas, but for those of options and evaluations (``@ steps=4,votes=2``)."""
    names: list[str] = []
    for piece in re.split(r",(?![^\[]*\])", text):
        if names and "@" in names[-1] and re.match(r"\s*\w+=", piece):
            names[-1] += f",{piece}"
        else:
            names.append(piece)
    return [name.strip() for name in names if name.strip()]


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


def in_order(text: str) -> str:
    """A name, perhaps with options and after @ a mode, with its options in their usual order."""
    model, at, mode = text.partition(" @ ")
    try:
        return str(parse_variant(model)) + at + mode
    except UsageError:  # a display name may be anything
        return text


COMMON_OPTIONS = ("augment", "match", "recipe")
"""Options of every model: A, the model to be as large as, the model whose training settings to use."""


def resolve_model(
    host: Host,
    text: str,
    task: TaskInfo,
    overrides: Mapping[str, Any],
    augmentations: tuple[int, int] = (1, 1),
) -> ResolvedModel:
    """Find the model, resolve its name on the task, and merge defaults, recipe, overrides and options.

    ``overrides`` are training settings for every model; options in brackets win over them.
    ``augmentations`` are the grid's A, and that of ``augment=full``. The name keeps only the options that
    change something here.

    Raises:
        UsageError: an unknown model or option (the nearest is suggested), or a value out of range.
    """
    requested = parse_variant(text)
    part = resolved_part(host, requested, task)
    spec, kind = part.spec, _config_of(part)
    options = canonical_options(requested, spec)
    recipe, training, published = _recipe(host, part, options, task)
    own = {key: value for key, value in options.items() if key in kind.model_fields}
    lent = {key: value for key, value in options.items() if key in TrainingConfig.model_fields}
    config = validated(kind, {**recipe, **own}, text)
    usual = validated(TrainingConfig, training, text)
    for_all = usual.model_copy(update=dict(overrides))
    settings = validated(TrainingConfig, {**training, **overrides, **lent}, text)
    count = _augment(options.get("augment"), *augmentations, text)
    idle = {key for key in own if getattr(config, key) == getattr(validated(kind, recipe, text), key)}
    idle |= {key for key in lent if getattr(settings, key) == getattr(for_all, key)}
    idle |= {"augment"} if count == augmentations[0] else set()
    notes = tuple(filter(None, [without_recipe(host, part, task)]))
    if "match" in options:
        config, reached = _matched(host, text, part, config, options["match"], task, overrides, own)
        notes = (*notes, reached)
    # What else is installed must not rename our rows and the folders of their runs.
    ours = part.plugin.distribution == OWN_DISTRIBUTION
    name = spec.name if ours or spec.name in host.models.names() else part.full_name
    return ResolvedModel(
        requested,
        str(Variant(name, {key: value for key, value in options.items() if key not in idle})),
        part,
        config,
        settings,
        count if count != augmentations[0] else None,
        notes,
        {key: getattr(usual, key) for key in sorted(overrides) if key not in lent},
        published,
    )


def _config_of(part: Part[ModelSpec]) -> type[BaseModel]:
    if part.spec.config is None or part.spec.build is None:
        raise UsageError(
            f"model {part.spec.name!r} of {part.plugin.label} has neither config and build nor resolve"
        )
    return part.spec.config


def _recipe(
    host: Host, part: Part[ModelSpec], options: Mapping[str, str], task: TaskInfo
) -> tuple[dict[str, Any], dict[str, Any], PublishedBudget | None]:
    """Options of the model; training settings, its own or those of another with ``recipe=``; its budget."""
    own = recipe_of(host, part, task)
    lender = options.get("recipe")
    lent = own if lender is None else recipe_of(host, find_model(host, lender, {}, task), task)
    where, section = f"recipe {part.spec.recipes}: published", own["published"]
    published = validated(PublishedBudget, section, where) if section else None
    return own["model"], {**SCALE_DEFAULTS.get(task.scale, {}), **lent["training"]}, published


def resolved_part(host: Host, requested: Variant, task: TaskInfo) -> Part[ModelSpec]:
    """The model of that name, or the one that it is an alias of on the task, with all that it inherits.

    Raises:
        UsageError: an unknown model; the nearest is suggested.
    """
    return with_inherited(host, find_model(host, requested.name, requested.options, task), task)


def canonical_options(requested: Variant, spec: ModelSpec) -> dict[str, str]:
    """The options under their own names.

    Raises:
        UsageError: one is unknown, given under two names, or a number with underscores.
    """
    assert spec.config is not None
    known = [*spec.config.model_fields, *COMMON_OPTIONS, *TrainingConfig.model_fields]
    options: dict[str, str] = {}
    for given, value in requested.options.items():
        key = spec.aliases.get(given, given)
        if key not in known:
            raise UsageError(
                f"model {spec.name!r} has no option {given!r}; {nearest(given, [*known, *spec.aliases])}"
            )
        if GROUPED.fullmatch(value):  # which Python would read as a number
            raise UsageError(f"model {requested}: {key}={value}: write numbers without underscores")
        if options.setdefault(key, value) != value:
            raise UsageError(f"model {requested}: {key} is given twice, as {options[key]} and {value}")
    return options


def _matched(
    host: Host,
    text: str,
    part: Part[ModelSpec],
    config: BaseModel,
    wanted_text: str,
    task: TaskInfo,
    overrides: Mapping[str, Any],
    own: Mapping[str, str],
) -> tuple[BaseModel, str]:
    """The configuration in the width that ``match=`` asks for, and a note on how near it comes."""
    quantity, model = parse_match(wanted_text)
    owner, colon, _ = model.partition(":")
    if colon and owner not in {known.plugin.distribution for known in host.models.parts}:
        forms = " or ".join(f"{kind}:MODEL" for kind in Quantity)
        raise UsageError(f"match={model}: write match=MODEL, {forms}")
    other = resolve_model(host, model, task, overrides)
    target = measure(other.part.spec, other.config, task, quantity)
    if not target:
        raise UsageError(f"{text}: {other.name} has no {quantity.value} to match")
    resized, reached = matched(part.spec, config, task, target, quantity)
    if taken := [key for key in own if getattr(resized, key) != getattr(config, key)]:
        raise UsageError(f"{text}: match= chooses {', '.join(taken)}; leave {taken[0]}= out")
    sizes = f"{reached:,.0f} {quantity.value} against {target:,.0f} of {other.name}"
    return resized, f"{text}: {sizes} ({100 * (reached / target - 1):+.1f} %)"


def _augment(text: str | None, usual: int, full: int, model: str) -> int:
    if text is None:
        return usual
    if text == "full":
        return full
    if not text.isdecimal() or len(text) > 18 or not int(text):
        raise UsageError(f"{model}: augment={shown(text)}: write a number of augmentations from 1, or full")
    return int(text)

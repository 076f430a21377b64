"""Recipes: settings by task and scale, from a model's own file and from those of the model it is based on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ..api.errors import UsageError, nearest
from ..api.puzzles import TaskInfo
from ..api.reading import load_yaml
from ..api.specs import ModelSpec
from ..host.host import OWN_DISTRIBUTION, Host, Part

Sections = dict[str, dict[str, Any]]
_SECTIONS = ("model", "training", "published")
WITH_PUBLISHED_DEFAULTS = ("lite", "paper")
"""Scales at which the defaults of a model's options are its published ones: a recipe need not name them."""


def find_model(
    host: Host, name: str, options: Mapping[str, str], task: TaskInfo, prefer: Sequence[str] = ()
) -> Part[ModelSpec]:
    """The model of that name, or the one that it is an alias of on the task.

    Of a name that several distributions claim, that of the first of ``prefer`` is meant.

    Raises:
        UsageError: an unknown model; the nearest is suggested.
    """
    part = host.models.get(name, prefer=prefer)
    if part.spec.resolve is None:
        return part
    return host.models.get(part.spec.resolve(task, options), prefer=(part.plugin.distribution,))


def lineage(host: Host, part: Part[ModelSpec], task: TaskInfo) -> list[Part[ModelSpec]]:
    """A model, the one that it is based on, the one that this is based on, and so on.

    Raises:
        UsageError: one of them is unknown, or based on itself.
    """
    line = [part]
    while base := line[-1].spec.based_on:
        where = f"model {line[-1].spec.name!r} of {line[-1].plugin.label} is based on {base!r}"
        try:
            own = (line[-1].plugin.distribution, OWN_DISTRIBUTION)
            line.append(find_model(host, base, {}, task, prefer=own))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        if line[-1].full_name in [one.full_name for one in line[:-1]]:
            raise UsageError(f"{where}, and so on itself; change based_on")
    return line


def with_inherited(host: Host, part: Part[ModelSpec], task: TaskInfo) -> Part[ModelSpec]:
    """The model with the `ModelSpec.aliases` and the `ModelSpec.resize` of those that it is based on."""
    line = lineage(host, part, task)
    if len(line) == 1:
        return part
    aliases = {alias: name for one in reversed(line) for alias, name in one.spec.aliases.items()}
    own = part.spec.config.model_fields if part.spec.config else {}
    aliases = {alias: name for alias, name in aliases.items() if name in own}
    resize = next((one.spec.resize for one in line if one.spec.resize), None)
    return replace(part, spec=replace(part.spec, aliases=aliases, resize=resize))


def recipe_of(host: Host, part: Part[ModelSpec], task: TaskInfo) -> Sections:
    """A model's settings for a task and scale: its own, and where they say nothing those it is based on.

    Options that it does not have are not inherited, nor is the budget that the other was published with.

    Raises:
        UsageError: a file cannot be read, or the model's own names an option that it does not have.
    """
    merged: Sections = {section: {} for section in _SECTIONS}
    own = part.spec.config.model_fields if part.spec.config else {}
    for one in reversed(lineage(host, part, task)):
        recipe = read_recipe(one.spec.recipes, task)
        if one is not part:
            recipe["model"] = {key: value for key, value in recipe["model"].items() if key in own}
            recipe["published"] = {}
        elif unknown := [key for key in recipe["model"] if key not in own]:  # pydantic would ignore it
            where = f"recipe {one.spec.recipes}: {task.task}/{task.scale}/model"
            raise UsageError(f"{where}: unknown option {unknown[0]!r}; {nearest(str(unknown[0]), own)}")
        for section, values in recipe.items():
            merged[section].update(values)
    return merged


def without_recipe(host: Host, part: Part[ModelSpec], task: TaskInfo) -> str:
    """A note where a model's settings at a scale are only defaults; else empty."""
    files = [one.spec.recipes for one in lineage(host, part, task) if one.spec.recipes is not None]
    settled = bool(files) and task.scale in WITH_PUBLISHED_DEFAULTS
    if settled or not part.spec.trained or any(_has_section(path, task) for path in files):
        return ""
    return (
        f"{part.spec.name} has no recipe for {task.task} at {task.scale}: its sizes are the defaults of its "
        "options, and its training settings were not tuned"
    )


def _has_section(path: Path, task: TaskInfo) -> bool:
    return any(read_recipe(path, task).values())


def read_recipe(path: Path | None, task: TaskInfo) -> Sections:
    """The settings of a recipe file for a task and scale.

    The file maps task (or ``"*"``) to scale to ``{model: {...}, training: {...}, published: {...}}``; what
    is given under the task's own name wins over ``"*"``.

    Raises:
        UsageError: the file cannot be read, or is no such mapping; names the place.
    """
    merged: Sections = {section: {} for section in _SECTIONS}
    if path is None:
        return merged
    content = _content(path)
    for name in ("*", task.task):
        scales = _mapping(_mapping(content, f"{path}").get(name), f"{path}: {name}")
        sections = _mapping(scales.get(task.scale), f"{path}: {name}/{task.scale}")
        for section, values in sections.items():
            where = f"{path}: {name}/{task.scale}"
            if section not in merged:
                raise UsageError(f"recipe {where}: unknown section {section!r}; known: {', '.join(merged)}")
            merged[section].update(_mapping(values, f"{where}/{section}"))
    return merged


def sections_of(path: Path) -> list[tuple[str, str]]:
    """Task and scale of every section of a recipe file.

    Raises:
        UsageError: the file cannot be read, or is no such mapping; names the place.
    """
    return [
        (str(task), str(scale))
        for task, scales in _mapping(_content(path), f"{path}").items()
        for scale in _mapping(scales, f"{path}: {task}")
    ]


def _content(path: Path) -> Any:
    try:
        return load_yaml(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"recipe {path}: cannot be read ({error})") from error


def _mapping(value: Any, where: str) -> dict[str, Any]:
    """A level of a recipe file; an empty one is an empty mapping."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"recipe {where}: must be a mapping, not {value!r}")
    return value

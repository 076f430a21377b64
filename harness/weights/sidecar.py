"""Configuration files next to weights: that of `export`, and those of the reference repositories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..api.errors import DataError
from ..api.reading import load_yaml, read_text, unique
from ..api.specs import ModelSpec, ReferenceNames

SIDE_FILES = (
    "{stem}.yaml",
    "{stem}.yml",
    "{stem}.json",
    "all_config.yaml",
    "config.yaml",
    "config.yml",
    "config.json",
    "hparams.yaml",
)
"""Names of configuration files, ``stem`` being that of the weights."""
OWN = "trm_bench"
"""The section of a configuration file with our own names, which the references do not read."""


def read_sidecar(path: Path, spec: ModelSpec) -> tuple[Path | None, dict[str, Any], list[str]]:
    """What a configuration file next to weights says of their model.

    Returns the file, or None where none says anything; the model's options; and the names of files that are
    there and say nothing of it.

    Raises:
        DataError: one cannot be read or is of another model, or two say different things.
    """
    said: dict[Path, dict[str, Any]] = {}
    silent: list[str] = []
    for file in dict.fromkeys(path.parent / name.format(stem=path.stem) for name in SIDE_FILES):
        if not file.is_file() or file == path:
            continue
        options = _options(file, path, spec)
        if options is None:
            silent.append(file.name)
        else:
            said[file] = options
    if not said:
        return None, {}, silent
    first, *others = said
    if different := [file.name for file in others if said[file] != said[first]]:
        raise DataError(
            f"weights {path}: {first.name} and {', '.join(different)}, next to them, say different things of "
            "the model; keep the one that is meant"
        )
    return first, said[first], silent


def _options(file: Path, weights: Path, spec: ModelSpec) -> dict[str, Any] | None:
    """The model's options in a configuration file; None where it says nothing of them."""
    where = f"{file}, next to the weights"
    try:
        content = (
            json.loads(read_text(file), object_pairs_hook=unique)
            if file.suffix == ".json"
            else load_yaml(file)
        )
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DataError(f"{where}: cannot be read ({error})") from error
    content = content if isinstance(content, Mapping) else {}
    ours, arch = content.get(OWN), content.get("arch")
    own = ours.get("options") if isinstance(ours, Mapping) and ours.get("model") == spec.name else None
    if isinstance(own, Mapping):
        return dict(own)
    if not isinstance(arch, Mapping) or spec.reference is None:
        return None
    _require_class(str(arch.get("name", "")), spec.reference, f"weights {weights}: {file}, next to them,")
    try:
        return dict(spec.reference.options(arch))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"{where}: its arch cannot be read ({error!r})") from error


def _require_class(name: str, reference: ReferenceNames, what: str) -> None:
    """A class has one name in all of the references' repositories, unlike the module it is in."""
    theirs, ours = name.partition("@")[2], reference.name.partition("@")[2]
    if theirs and theirs != ours:
        raise DataError(f"{what} says {theirs}, and the requested model is {ours}")

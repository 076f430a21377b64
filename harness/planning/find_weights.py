"""Where stored weights are, whose they are, and what they tell of their model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from ..api.errors import DataError, NothingToReport, UsageError
from ..api.specs import ModelSpec
from ..data.prepare import Prepared, file_sha256
from ..host.host import Host, Part
from ..store.folders import MANIFEST, WEIGHTS, Cell, DamagedResult, Output
from ..store.records import CellIdentity, Status
from ..weights.files import Beside, in_our_names, read_beside, read_weights, shapes_of
from .job import StoredWeights
from .models import Variant, advised, canonical_options, parse_variant, validated
from .study import leaves


def find_weights(paths: Sequence[Path], left_out: list[str] | None = None) -> list[StoredWeights]:
    """The weights of files, cells, output folders and studies, with the manifests of those that are ours.

    Cells whose training is not finished, or whose weights are not what it left, are added to ``left_out``.

    Raises:
        NothingToReport: a folder has no trained weights.
        UnavailableError: a path is not there.
    """
    found: list[StoredWeights] = []
    skipped = left_out if left_out is not None else []
    for path in paths:
        if not path.is_dir():
            found.append(_stored(path))
            continue
        ours = [one for folder in _cells(path) if (one := _of_cell(folder, skipped)) is not None]
        if not ours:
            why = "; ".join(skipped) or "no cell in it"
            raise NothingToReport(f"{path}: no finished cell with weights in it ({why})")
        found += ours
    return found


def _cells(path: Path) -> list[Path]:
    if (path / MANIFEST).is_file():
        return [path]
    return [cell.folder for leaf in leaves([path]) for cell in Output(leaf).cells()]


def _of_cell(folder: Path, skipped: list[str]) -> StoredWeights | None:
    """The weights of a finished cell; a model that is not trained, and one evaluated again, has none."""
    try:
        manifest = Cell(folder).manifest()
    except DamagedResult as error:
        skipped.append(str(error))
        return None
    if manifest.status is not Status.DONE:
        skipped.append(f"{folder.name}: {manifest.status.value}")
        return None
    if manifest.weights == "none" or manifest.weights_file:
        return None
    stored = _stored(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else None
    if stored is None or stored.origin is None:
        skipped.append(f"{folder / WEIGHTS}: missing, or not what training left")
        return None
    return stored


def _stored(file: Path) -> StoredWeights:
    sha256 = file_sha256(file)
    if file.name == WEIGHTS and (file.parent / MANIFEST).is_file():
        try:
            manifest = Cell(file.parent).manifest()
        except DamagedResult:
            return StoredWeights(file, sha256)
        if manifest.status is Status.DONE and manifest.weights_sha256 in ("", sha256):
            return StoredWeights(file, sha256, manifest)
    return StoredWeights(file, sha256)


def distinct(stored: Sequence[StoredWeights]) -> list[StoredWeights]:
    """One file under two names is one run, not two seeds."""
    first: dict[str, StoredWeights] = {}
    for one in stored:
        first.setdefault(one.sha256, one)
    return list(first.values())


def model_spec(host: Host, identity: CellIdentity) -> ModelSpec:
    """The model of a cell, by the plugin that it was made with.

    Raises:
        UsageError: the plugin is not there.
    """
    part = next(part for part in identity.parts if part.kind == "model")
    return host.models.get(f"{part.distribution}:{part.name}").spec


def architecture_of(host: Host, identity: CellIdentity, file: Path) -> dict[str, Any]:
    """The model's options as they are called now.

    Raises:
        UsageError: its plugin is not there, or does not know one of them any more.
    """
    spec = model_spec(host, identity)
    if spec.config is None:
        raise UsageError(f"weights {file}: model {spec.name!r} has no options now")
    options = {spec.aliases.get(key, key): value for key, value in identity.architecture.items()}
    return validated(spec.config, options, f"weights {file}").model_dump(mode="json")


def told_by(
    host: Host, text: str, prepared: Prepared, file: Path
) -> tuple[Part[ModelSpec], BaseModel, dict[str, str]]:
    """The model and its configuration, from the brackets, the file's shapes and a configuration beside it.

    Raises:
        UsageError: an option that none of them tells; says how to give it.
    """
    asked = parse_variant(text)
    part = advised(host, asked, prepared.info)
    weights = read_weights(file)
    found = _inferred(part.spec, weights, prepared, file)
    told = {key: str(value) for key, value in found.items() if value is not None}
    better = advised(host, Variant(asked.name, {**told, **asked.options}), prepared.info)
    if better.full_name != part.full_name:  # a name that gives advice can give it now
        part, found = better, _inferred(better.spec, weights, prepared, file)
    spec = part.spec
    if spec.config is None or spec.build is None:
        raise UsageError(f"model {spec.name!r} cannot be built")
    options = canonical_options(asked, spec)
    if trained := [key for key in options if key not in spec.config.model_fields]:
        raise UsageError(f"--model {text}: {trained[0]}= is of training, and the weights are trained already")
    beside = read_beside(file, spec)
    known = {key: value for key, value in found.items() if value is not None}
    _require_same({key: value for key, value in known.items() if key not in options}, beside, file)
    merged = {**beside.options, **known, **options}
    if untold := [key for key, value in found.items() if value is None and key not in merged]:
        published = spec.config()
        given = {**asked.options, **{key: str(getattr(published, key)) for key in untold}}
        example = ",".join(f"{key}={value}" for key, value in given.items())
        raise UsageError(
            f"weights {file}: they do not tell {', '.join(untold)}; write them in brackets, e.g. (published "
            f"values) --model '{asked.name}[{example}]', or put the run's all_config.yaml beside "
            "the file"
        )
    try:
        config = validated(spec.config, merged, text)
    except UsageError as error:
        where = f" (what --model does not say is from the file and from {beside.file})" if beside.file else ""
        raise UsageError(f"weights {file}: {error}{where}") from None
    usual = spec.config()
    # What was written, and what kind of model the file turned out to be.
    said = {**{key: value for key, value in known.items() if isinstance(value, str)}, **options}
    unusual = {
        key: str(value)
        for key, value in said.items()
        if getattr(config, key, None) != getattr(usual, key, None)
    }
    return part, config, unusual


def _require_same(known: Mapping[str, Any], beside: Beside, file: Path) -> None:
    """What the shapes say must not be another thing in the configuration beside them.

    Raises:
        DataError: it is; names the option and both values.
    """
    for key, value in known.items():
        other = beside.options.get(key, value)
        alike = isinstance(other, str) == isinstance(value, str)  # a word may stand for a number
        if key != "multiple" and alike and str(other) != str(value):
            raise DataError(
                f"weights {file}: their shapes mean {key}={value} for these puzzles, and {beside.file} "
                f"says {other}"
            )


def _inferred(
    spec: ModelSpec, weights: Mapping[str, torch.Tensor], prepared: Prepared, file: Path
) -> Mapping[str, Any]:
    if spec.infer is None:
        return {}
    shapes = shapes_of(in_our_names(weights, spec))
    try:
        return spec.infer(shapes, prepared.info)
    except DataError as error:
        raise DataError(f"weights {file}: not of a {spec.name}: {error}") from error
    except (KeyError, IndexError) as error:
        known = ", ".join(list(shapes)[:4])
        raise DataError(f"weights {file}: not of a {spec.name}: no {error}; it has {known}, …") from error

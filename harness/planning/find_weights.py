"""Where stored weights are, whose they are, and which model they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from ..api.errors import NothingToReport, UsageError
from ..api.specs import ModelSpec
from ..data.prepare import Prepared, file_sha256
from ..host.host import Host, Part
from ..store.folders import MANIFEST, WEIGHTS, DamagedResult, Output, RunFolder
from ..store.records import RunIdentity, Status
from ..weights.files import Sidecar, read_sidecar
from .job import StoredWeights
from .models import Variant, canonical_options, parse_variant, read_recipe, resolved_part
from .settings import validated
from .study import leaves


def find_weights(paths: Sequence[Path], left_out: list[str] | None = None) -> list[StoredWeights]:
    """The weights of files, runs, output folders and studies, with the manifests of those that are ours.

    Runs whose training is not finished, or whose weights have changed since, are added to ``left_out``.

    Raises:
        NothingToReport: a folder has no trained weights.
        UnavailableError: a path does not exist.
    """
    weights: list[StoredWeights] = []
    skipped = left_out if left_out is not None else []
    for path in paths:
        if not path.is_dir():
            weights.append(_stored(path))
            continue
        before = len(skipped)
        ours = [stored for folder in _runs(path) if (stored := _of_run(folder, skipped)) is not None]
        if not ours:
            why = f" ({'; '.join(skipped[before:])})" if skipped[before:] else ""
            raise NothingToReport(f"{path}: no finished run with weights in it{why}")
        weights += ours
    return weights


def _runs(path: Path) -> list[Path]:
    if (path / MANIFEST).is_file():
        return [path]
    return [run.folder for leaf in leaves([path]) for run in Output(leaf).runs()]


def _of_run(folder: Path, skipped: list[str]) -> StoredWeights | None:
    """The weights of a finished run; a model that is not trained, and an evaluation, has none."""
    try:
        manifest = RunFolder(folder).manifest()
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
        skipped.append(f"{folder / WEIGHTS}: missing, or changed since training")
        return None
    return stored


def _stored(file: Path) -> StoredWeights:
    sha256 = file_sha256(file)
    if file.name == WEIGHTS and (file.parent / MANIFEST).is_file():
        try:
            manifest = RunFolder(file.parent).manifest()
        except DamagedResult:
            return StoredWeights(file, sha256)
        if manifest.status is Status.DONE and manifest.weights_sha256 in ("", sha256):
            return StoredWeights(file, sha256, manifest)
    return StoredWeights(file, sha256)


def distinct(weights: Sequence[StoredWeights]) -> list[StoredWeights]:
    """One file under two names is one run, not two seeds."""
    first: dict[str, StoredWeights] = {}
    for stored in weights:
        first.setdefault(stored.sha256, stored)
    return list(first.values())


def model_part(host: Host, identity: RunIdentity) -> Part[ModelSpec]:
    """The model of a run, from the plugin that it was made with.

    Raises:
        UsageError: the plugin is not installed.
    """
    return host.models.get(identity.part("model").full_name)


def config_of(part: Part[ModelSpec], identity: RunIdentity, file: Path) -> BaseModel:
    """The configuration that the weights of a run were trained with.

    Raises:
        UsageError: the installed model does not know one of its options.
    """
    if part.spec.config is None:
        raise UsageError(
            f"weights {file}: the installed model {part.spec.name!r} has no configuration; these weights "
            "come from another version"
        )
    return validated(part.spec.config, identity.architecture, f"weights {file}:")


@dataclass(frozen=True)
class ExternalModel:
    """The architecture of external weights.

    Attributes:
        shown: options that differ from the model's defaults, for the row's label.
        sources: where the options come from, for a note.
    """

    part: Part[ModelSpec]
    config: BaseModel
    shown: dict[str, str]
    sources: str


def external_model(host: Host, text: str, prepared: Prepared, file: Path) -> ExternalModel:
    """The model that external weights are said to be of.

    Options come from the brackets, else from a configuration file next to the weights, else from the model's
    recipe for the task and scale; whether the weights fit is checked when they are loaded.

    Raises:
        UsageError: an option is unknown, or one of training.
        DataError: a configuration file cannot be read, or is of another model.
    """
    requested = parse_variant(text)
    part = resolved_part(host, requested, prepared.info)
    sidecar = read_sidecar(file, part.spec)
    told = {key: str(value) for key, value in sidecar.options.items()}
    better = resolved_part(host, Variant(requested.name, {**told, **requested.options}), prepared.info)
    if better.full_name != part.full_name:  # an alias can be resolved better now
        part, sidecar = better, read_sidecar(file, better.spec)
    spec = part.spec
    if spec.config is None or spec.build is None:
        raise UsageError(f"model {spec.name!r} cannot be built")
    options = canonical_options(requested, spec)
    if training := [key for key in options if key not in spec.config.model_fields]:
        raise UsageError(
            f"--model {text}: {training[0]}= is a training option, and weights are trained already"
        )
    recipe = read_recipe(spec.recipes, prepared.info).get("model", {})
    where = f"weights {file}: {text}" + (f" with {sidecar.file.name}:" if sidecar.file is not None else "")
    config = validated(spec.config, {**recipe, **sidecar.options, **options}, where)
    usual = spec.config()
    shown = {
        key: str(getattr(config, key))
        for key in {**sidecar.options, **options}
        if getattr(config, key) != getattr(usual, key)
    }
    return ExternalModel(part, config, shown, _sources(spec, prepared, sidecar, options))


def _sources(spec: ModelSpec, prepared: Prepared, sidecar: Sidecar, options: dict[str, str]) -> str:
    sources = [f"the recipe of {spec.name} for {prepared.info.task} at {prepared.info.scale}"]
    sources += [sidecar.file.name] if sidecar.file is not None else []
    sources += ["--model"] if options else []
    return ", overridden by ".join(sources)

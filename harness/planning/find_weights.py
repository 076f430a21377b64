"""Where stored weights are, whose they are, and which model they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from ..api.errors import DataError, NothingToReport, UnavailableError, UsageError
from ..api.reading import require_file
from ..api.specs import ModelSpec
from ..api.text import plural
from ..data.prepare import file_sha256
from ..host.host import Host, Part
from ..store.checked import DamagedResult
from ..store.folders import MANIFEST, WEIGHTS, Output, RunFolder
from ..store.records import NO_WEIGHTS, Manifest, RunIdentity, Status
from ..store.requests import RUNS, read_requested
from ..store.tensors import tensors_sha256
from ..training.config import AT_EVALUATION, TrainingConfig
from ..weights.files import is_weights, part_of, read_weights
from ..weights.sets import some
from ..weights.sidecar import read_sidecar
from .grid import Context
from .job import StoredWeights
from .models import (
    SCALE_DEFAULTS,
    ResolvedModel,
    Variant,
    canonical_options,
    parse_variant,
    resolved_part,
)
from .recipes import recipe_of
from .settings import validated
from .study import leaves

SUFFIXES = ("", ".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Of files that are looked at in a folder without results."""


PICKED = "requested and not evaluated: "
"""How the reason begins; it holds until the others are evaluated too."""


def find_weights(
    paths: Sequence[Path], unfinished: list[str] | None = None, without: list[str] | None = None
) -> list[StoredWeights]:
    """The weights of files, runs, output folders and studies, with the manifests of those that are ours.

    Runs whose training is not finished, or whose weights have changed since, are added to ``unfinished``;
    those that have no weights of their own to ``without``.

    Raises:
        NothingToReport: a folder has no trained weights.
        UnavailableError: a path does not exist, or is no file.
        UsageError: a folder holds files of weights, but no results; or a file is that of a run that has not
            finished, or has changed since.
        DataError: a folder holds the parts of one set of weights.
    """
    weights: list[StoredWeights] = []
    skipped = unfinished if unfinished is not None else []
    others = without if without is not None else []
    for path in paths:
        if not path.is_dir():
            weights.append(_of_file(path))
            continue
        before = len(skipped)
        folders = _runs(path)
        ours = [stored for one in folders if (stored := _of_run(one, skipped, others)) is not None]
        if not ours:
            _refuse_files(path, folders)
            why = f" ({'; '.join(skipped[before:])})" if skipped[before:] else ""
            raise NothingToReport(f"{path}: no finished run with weights in it{why}")
        weights += ours
    others[:] = dict.fromkeys(others)
    return weights


def picked_seeds(weights: Sequence[StoredWeights]) -> dict[tuple[Path, str], str]:
    """By output folder and model, why evaluations of runs that were picked from it may not be cited.

    Also where the others could not be taken, because they have not finished.
    """
    rows: dict[tuple[Path, str], set[str]] = {}
    for stored in weights:
        if stored.origin is not None:
            rows.setdefault(row_of(stored, stored.origin), set()).add(stored.origin.run)
    found = {(folder, model): _not_among(runs, folder, model) for (folder, model), runs in rows.items()}
    return {row: PICKED + why for row, why in found.items() if why}


def row_of(stored: StoredWeights, origin: Manifest) -> tuple[Path, str]:
    """The output folder of a run of ours, and its model."""
    return stored.file.absolute().parents[1], origin.description.model


def _not_among(runs: set[str], folder: Path, model: str) -> str:
    """The runs of a model that were requested of a folder and are not these."""
    try:
        requested = read_requested(folder)
    except DamagedResult:
        requested = []
    if not requested:
        return f"unknown, as {RUNS} is not there or damaged"
    return some(
        [f"{model} seed {one.seed}" for one in requested if one.model == model and one.run not in runs]
    )


def _runs(path: Path) -> list[Path]:
    if (path / MANIFEST).is_file():
        return [path]
    return [run.folder for leaf in leaves([path]) for run in Output(leaf).runs()]


def _refuse_files(path: Path, folders: Sequence[Path]) -> None:
    """Weights in a folder that is none of results, as a hub has them."""
    places = [path, *folders]
    if any((place / MANIFEST).exists() for place in places):
        return
    if (path / "snapshots").is_dir():  # a hub's cache: the blobs next to them have no names
        places = [place for place in sorted((path / "snapshots").iterdir()) if place.is_dir()]
    files = [file for place in places for file in _weights_in(place)]
    if files and all(map(part_of, files)):
        raise DataError(
            f"{path}: weights in {plural(len(files), 'part')} ({some([file.name for file in files])}); load "
            "all of them, save their tensors in one file, and name that"
        )
    if files:
        named = some([str(file) for file in files])
        one = "the file" if len(files) == 1 else "one of the files"
        raise UsageError(f"{path}: no folder of results; name {one} {named}, and its model with --model")


def _weights_in(folder: Path) -> Iterable[Path]:
    return (
        file
        for file in sorted(folder.iterdir())
        if file.suffix in SUFFIXES and not file.name.startswith(".") and is_weights(file)
    )


def _of_run(folder: Path, skipped: list[str], others: list[str]) -> StoredWeights | None:
    """The weights of a finished run; a model that is not trained, and an evaluation, has none."""
    try:
        manifest = RunFolder(folder).manifest()
    except DamagedResult as error:
        skipped.append(str(error))
        return None
    if manifest.status is not Status.DONE:
        skipped.append(f"{folder.name}: {manifest.status.value}")
        return None
    if manifest.weights == NO_WEIGHTS:
        others.append(f"{manifest.description.model}: nothing is trained, so there are no weights")
        return None
    if manifest.weights_file:
        others.append(f"{folder.name}: an evaluation of stored weights; name {manifest.weights_file}")
        return None
    stored = _stored(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else None
    if stored is None or stored.origin is None:
        skipped.append(f"{folder / WEIGHTS}: missing, or changed since training")
        return None
    return stored


def _of_file(file: Path) -> StoredWeights:
    """The weights of a file; the options of a run of ours that cannot be believed are not guessed."""
    stored = _stored(file)
    if stored.origin is not None or file.name != WEIGHTS or not (file.parent / MANIFEST).is_file():
        return stored
    try:
        status = RunFolder(file.parent).manifest().status
        why = "has changed since training" if status is Status.DONE else f"its run is {status.value}"
    except DamagedResult as error:
        why = str(error)
    raise UsageError(f"weights {file}: {why}; to evaluate it as external weights, copy it elsewhere")


def _stored(file: Path) -> StoredWeights:
    try:
        require_file(file)
        sha256 = file_sha256(file)
    except OSError as error:
        raise UnavailableError(f"weights {file}: cannot be read ({error.strerror or error})") from error
    origin = _origin(file, sha256)
    if origin is None:
        return StoredWeights(file, sha256)
    return StoredWeights(file, sha256, origin.tensors_sha256 or tensors_sha256(read_weights(file)), origin)


def _origin(file: Path, sha256: str) -> Manifest | None:
    """The manifest of the run that trained the weights; None where they are not, or no longer, those."""
    if file.name != WEIGHTS or not (file.parent / MANIFEST).is_file():
        return None
    try:
        manifest = RunFolder(file.parent).manifest()
    except DamagedResult:
        return None
    return manifest if manifest.status is Status.DONE and manifest.weights_sha256 == sha256 else None


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


def external_model(host: Host, text: str, context: Context, file: Path) -> ResolvedModel:
    """The model that external weights are said to be of; its one note says where its options come from.

    Options come from the brackets, else from a configuration file next to the weights, else from the model's
    recipe for the task and scale; whether the weights fit is checked when they are loaded. Its name has the
    options that differ from the recipe's, as that of a model that is trained.

    Raises:
        UsageError: an option is unknown, or one of training.
        DataError: a configuration file cannot be read, or is of another model.
    """
    requested, info = parse_variant(text), context.prepared.info
    part = resolved_part(host, requested, info)
    sidecar, told, silent = read_sidecar(file, part.spec)
    typed = {**{key: str(value) for key, value in told.items()}, **requested.options}
    better = resolved_part(host, Variant(requested.name, typed), info)
    if better.full_name != part.full_name:  # an alias can be resolved better now
        part, (sidecar, told, silent) = better, read_sidecar(file, better.spec)
    spec = part.spec
    if spec.config is None or spec.build is None:
        raise UsageError(f"model {spec.name!r} cannot be built")
    options = canonical_options(requested, spec)
    if training := [key for key in options if key not in spec.config.model_fields]:
        raise UsageError(
            f"--model {text}: {training[0]}= is a training option, and weights are trained already"
        )
    recipe = recipe_of(host, part, info)
    where = f"weights {file}: {text}" + (f" with {sidecar.name}:" if sidecar is not None else "")
    config = validated(spec.config, {**recipe["model"], **told, **options}, where)
    usual = validated(spec.config, recipe["model"], f"recipe of {spec.name}:")
    shown = {
        key: str(getattr(config, key))
        for key in {**told, **options}
        if getattr(config, key) != getattr(usual, key)
    }
    variant = Variant(spec.name, shown)
    usual_training = {**SCALE_DEFAULTS.get(info.scale, {}), **recipe["training"]}
    at_evaluation = {key: usual_training[key] for key in AT_EVALUATION if key in usual_training}
    settings = validated(TrainingConfig, {**at_evaluation, **context.settings.training}, "setting")
    sources = [f"the recipe of {spec.name} for {info.task} at {info.scale}"]
    sources += [sidecar.name] if sidecar is not None else []
    sources += ["--model"] if options else []
    note = f"architecture of {file.name}: {', overridden by '.join(sources)}"
    note += f"; {', '.join(silent)} next to it does not describe the model" if silent else ""
    return ResolvedModel(variant, str(variant), part, config, settings, notes=(note,))


def require_model(host: Host, text: str, origin: Manifest, context: Context) -> None:
    """Whether ``--model`` is that of a run of ours, which knows its own.

    Raises:
        UsageError: it is another one, or has other options.
    """
    described, identity = origin.description, origin.identity
    if text in (described.requested, described.model, described.display_name):
        return
    requested = parse_variant(text)
    part = resolved_part(host, requested, context.prepared.info)
    if part.full_name != identity.part("model").full_name:
        raise UsageError(
            f"--model {text}: run {origin.run} is of {described.model}; a run knows its model, leave it out"
        )
    assert part.spec.config is not None
    kinds = ((part.spec.config, identity.architecture), (TrainingConfig, identity.training))
    for key, value in canonical_options(requested, part.spec).items():
        kind, own = next((one for one in kinds if key in one[0].model_fields), (None, {}))
        if kind is None:
            raise UsageError(f"--model {text}: {key}= means nothing for a run, which knows its model")
        known = {name: own[name] for name in own.keys() & kind.model_fields.keys()}
        typed = validated(kind, {**known, key: value}, f"--model {text}:").model_dump(mode="json")
        if typed[key] != own.get(key):
            raise UsageError(
                f"--model {text}: run {origin.run} has {key}={own.get(key)}; a run knows its model, leave it "
                "out"
            )

"""Stored weights evaluated again: which cells a request means, and in how many passes. Nothing is run here.

Weights of a cell of ours bring their whole identity along. Of weights from elsewhere only the file, its
fingerprint and what was said of them are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from .cell import CellJob, StoredWeights
from .data import Prepared, file_sha256, prepare, scale_of
from .device import default_precision
from .embedding_rows import PuzzleIds
from .errors import DataError, NothingToReport, UsageError
from .host import Host, Part
from .how import How
from .inference import Answering
from .reasoner import Reasoner
from .records import CellIdentity, Status
from .settings import TrainingConfig
from .specs import ModelSpec, Progress, Scale, TaskSpec, silent
from .store import MANIFEST, STUDY, WEIGHTS, Cell, DamagedResult, Output, read_study
from .study import (
    CellPlan,
    RunRequest,
    build_request,
    data_record,
    evaluators_of,
    named_cell,
    part_record,
    sort_settings,
    votes_of,
)
from .values import whole_number
from .variants import Variant, advised, canonical_options, parse_variant, validated
from .weights import Beside, in_our_names, load_weights, read_beside, read_weights, shapes_of


@dataclass(frozen=True)
class EvaluationRequest:
    """What `evaluate` asks for.

    Attributes:
        weights: files, cells or output folders.
        hows: the ways to answer, each a cell of its own.
        model, task, scale: needed for weights from elsewhere; else those of the cell.
        source, data, settings: as for `RunRequest`; by default those of the cell.
    """

    weights: tuple[Path, ...]
    hows: tuple[How, ...] = (How(),)
    model: str | None = None
    task: str | None = None
    scale: str | None = None
    source: str | None = None
    data: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    evaluators: tuple[str, ...] = ()
    device: str = "cpu"


@dataclass(frozen=True)
class Evaluation:
    """Every cell of a request, and the jobs that fill them: those that differ in depth share a pass."""

    task: str
    scale: str
    folder: Path
    identity: dict[str, Any]
    plans: tuple[CellPlan, ...]
    jobs: tuple[CellJob, ...]

    def missing(self, output: Output) -> list[CellJob]:
        """The jobs without those cells that an output folder has already."""
        return [
            replace(job, plan=todo[0], deeper=tuple(todo[1:]))
            for job in self.jobs
            if (todo := [plan for plan in job.plans if not output.cell(plan.name).is_done()])
        ]


def plan_evaluation(
    host: Host,
    request: EvaluationRequest,
    output: Path | None,
    command: tuple[str, ...],
    progress: Progress = silent,
) -> Evaluation:
    """Work out every cell; builds or reads the puzzles.

    ``output`` is the folder for the cells, None for the usual one.

    Raises:
        UsageError: what is not known of the weights and must be said, or does not fit.
        NothingToReport: a folder has no trained weights.
        DataError: a file is not what it should be.
    """
    stored = _distinct(find_weights(request.weights))
    setting = _setting(host, request, stored, progress)
    folder = output or Path("results") / f"{setting.task.spec.name}-{setting.scale}-evaluated"
    jobs = []
    for number, one in enumerate(stored):
        base = _own(host, setting, one) if one.origin is not None else _foreign(host, setting, one, number)
        jobs += _jobs(setting, one, base, folder, command)
    plans = tuple(plan for job in jobs for plan in job.plans)
    identity = _identity(plans[0].identity)
    return Evaluation(setting.task.spec.name, setting.scale, folder, identity, plans, tuple(jobs))


def find_weights(paths: Sequence[Path]) -> list[StoredWeights]:
    """The weights of files, cells and output folders, with the manifests of those that are ours.

    Raises:
        NothingToReport: a folder has no trained weights.
        UnavailableError: a path is not there.
    """
    found: list[StoredWeights] = []
    for path in paths:
        if not path.is_dir():
            found.append(_stored(path))
            continue
        folders = [path] if (path / MANIFEST).is_file() else [cell.folder for cell in Output(path).cells()]
        files = [folder / WEIGHTS for folder in folders if (folder / WEIGHTS).is_file()]
        ours = [one for one in map(_stored, files) if one.origin is not None]
        if not ours:
            raise NothingToReport(f"{path}: no finished cell with weights in it")
        found += ours
    return found


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


def _distinct(stored: Sequence[StoredWeights]) -> list[StoredWeights]:
    """One file under two names is one run, not two seeds."""
    first: dict[str, StoredWeights] = {}
    for one in stored:
        first.setdefault(one.sha256, one)
    return list(first.values())


@dataclass(frozen=True)
class _Setting:
    """What the cells of a request share."""

    request: EvaluationRequest
    task: Part[TaskSpec]
    scale: str
    prepared: Prepared
    base: RunRequest
    evaluators: tuple[str, ...]


def _setting(
    host: Host, request: EvaluationRequest, stored: Sequence[StoredWeights], progress: Progress
) -> _Setting:
    origins = [one.origin.identity for one in stored if one.origin is not None]
    tasks = {request.task} if request.task else {one.task for one in origins}
    scales = {request.scale} if request.scale else {one.scale for one in origins}
    for what, values in (("--task", tasks), ("--scale", scales)):
        if len(values) > 1:
            raise UsageError(
                f"weights of several kinds ({', '.join(map(str, values))}); say which with {what}"
            )
    if not tasks:
        raise UsageError("--task is missing: weights from elsewhere do not say what they were trained on")
    task = host.tasks.get(str(tasks.pop()))
    scale = str(scales.pop()) if scales else _usual_scale(task.spec)
    kept = _kept_settings(stored)
    settings = {**kept, **request.settings}
    _refuse_training(task.spec, request.settings)
    source = request.source
    if source is None and request.data is None and origins:
        source = _source_of(stored)
    base = RunRequest((), task.spec.name, scale, (), source, request.data, settings=settings)
    prepared = prepare(task, build_request(task.spec, base, progress))
    return _Setting(request, task, scale, prepared, base, request.evaluators)


WHEN_ANSWERING = ("evaluation_batch", "precision")
"""Training settings that hold when the test split is answered."""


def _refuse_training(spec: TaskSpec, settings: Mapping[str, str]) -> None:
    """Weights are trained already.

    Raises:
        UsageError: a setting is one of training, or of a training budget.
    """
    given = sort_settings(settings, spec)
    for key in (*given.budget, *given.training, *given.operation):
        if key not in WHEN_ANSWERING:
            raise UsageError(f"--set {key}={settings[key]}: the weights are trained already")


def _usual_scale(spec: TaskSpec) -> str:
    """Weights from elsewhere are most often of the published size."""
    return "paper" if "paper" in spec.scales else next(iter(spec.scales))


def _kept_settings(stored: Sequence[StoredWeights]) -> dict[str, str]:
    """The settings that the cells' studies were run with, as far as they say which puzzles are meant."""
    found: dict[str, str] = {}
    for one in stored:
        if one.origin is not None:
            kept = read_study(one.file.parent.parent / STUDY).get("settings", {})
            found |= {str(key): str(value) for key, value in kept.items() if key not in _OF_TRAINING}
            found["task_seed"] = str(one.origin.identity.data.task_seed)
    return found


_OF_TRAINING = ("steps", "batch_size", "examples", "flops", "margin", "votes", "puzzle_ids")


def _source_of(stored: Sequence[StoredWeights]) -> str | None:
    """Where the cells' puzzles came from; a folder must be given again.

    Raises:
        UsageError: they came from a folder or from the hub.
    """
    kinds = dict.fromkeys(one.origin.identity.data.kind for one in stored if one.origin is not None)
    if "official" in kinds:
        raise UsageError(
            "the weights were trained on official puzzles: say with --data where their files are, or "
            "write --source hub"
        )
    return next(iter(kinds), None)


@dataclass(frozen=True)
class _Base:
    """A set of weights evaluated in the usual way, before anything is changed.

    Attributes:
        identity: of the cell.
        asked: how its row is called.
        prepared: the puzzles with the rows of its puzzle embedding.
        reasons: why it may not be cited.
        notes: what must be said beside it.
    """

    identity: CellIdentity
    asked: str
    prepared: Prepared
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def _own(host: Host, setting: _Setting, stored: StoredWeights) -> _Base:
    origin = stored.origin
    assert origin is not None
    identity, reasons = origin.identity, list(origin.not_citable_because)
    identity = identity.model_copy(update={"architecture": _architecture(host, identity, stored.file)})
    if identity.task != setting.task.spec.name:
        raise UsageError(
            f"weights {stored.file}: trained on {identity.task}, not on {setting.task.spec.name}"
        )
    same = identity.data.fingerprints == setting.prepared.fingerprints
    built = build_request(setting.task.spec, setting.base)
    data = data_record(setting.prepared, built, identity.data.limit, setting.task.spec.cluster)
    if not same:
        reasons.append("the weights were trained on other puzzles than those beside the test split")
    count = 1 if identity.budget is None else identity.budget.augmentations
    given = {key: value for key, value in setting.request.settings.items() if key in WHEN_ANSWERING}
    training = validated(TrainingConfig, {**identity.training, **given}, "--set").model_dump(mode="json")
    return _Base(
        identity.model_copy(update={"data": data, "scale": setting.scale, "training": training}),
        origin.asked,
        setting.prepared.for_budget(count),
        tuple(reasons),
        tuple(origin.notes),
    )


def _architecture(host: Host, identity: CellIdentity, file: Path) -> dict[str, Any]:
    """The model's options as they are called now.

    Raises:
        UsageError: its plugin is not there, or does not know one of them any more.
    """
    part = next(part for part in identity.parts if part.kind == "model")
    spec = host.models.get(f"{part.distribution}:{part.name}").spec
    if spec.config is None:
        raise UsageError(f"weights {file}: model {spec.name!r} has no options now")
    options = {spec.aliases.get(key, key): value for key, value in identity.architecture.items()}
    return validated(spec.config, options, f"weights {file}").model_dump(mode="json")


def _foreign(host: Host, setting: _Setting, stored: StoredWeights, number: int) -> _Base:
    request, spec = setting.request, setting.task.spec
    if request.model is None:
        raise UsageError(f"weights {stored.file}: say with --model which model they are of")
    prepared = setting.prepared.for_budget(scale_of(spec, setting.scale).augmentations)
    part, config, shown = _told(host, request.model, prepared, stored.file)
    overrides = sort_settings(setting.base.settings, spec).training
    training = validated(TrainingConfig, overrides, "--set")
    built = build_request(spec, setting.base)
    evaluators = evaluators_of(host, setting.task, setting.evaluators)
    identity = CellIdentity(
        task=spec.name,
        task_version=spec.version,
        scale=setting.scale,
        cells=prepared.info.cells,
        primary=spec.primary,
        evaluators=[one.spec.name for one in evaluators],
        model=str(Variant(part.spec.name, shown)),
        architecture=config.model_dump(mode="json"),
        training=training.model_dump(mode="json"),
        budget=None,
        votes=scale_of(spec, setting.scale).votes,
        data=data_record(setting.prepared, built, None, spec.cluster),
        seed=number,
        device=request.device,
        threads=whole_number("threads", setting.base.settings.get("threads", "1")),
        deterministic=request.device == "cpu",
        weights=stored.sha256,
        parts=[
            part_record("task", setting.task),
            part_record("model", part),
            *(part_record("evaluator", one) for one in evaluators),
        ],
    )
    note = f"seed {number} is {stored.file.name} (SHA-256 {stored.sha256[:12]}), trained elsewhere"
    reasons = (
        *setting.prepared.source.caveats,
        "trained elsewhere: budget, seed and data are not known here",
    )
    return _Base(identity, request.model, prepared, reasons, (note,))


def _told(
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


def _jobs(
    setting: _Setting, stored: StoredWeights, base: _Base, folder: Path, command: tuple[str, ...]
) -> list[CellJob]:
    """A job for each kind of pass; ways that differ in depth alone share one, the shallowest first."""
    passes: dict[How, list[CellPlan]] = {}
    usual = int(base.identity.architecture.get("supervision", 1))
    for how in sorted(setting.request.hows, key=lambda how: how.steps or usual):
        passes.setdefault(replace(how, steps=None), []).append(_plan(setting, base, how, usual))
    reasons = list(base.reasons)
    if setting.request.limit is not None:
        reasons.append(f"--limit {setting.request.limit}: only the first {setting.request.limit} test items")
    return [
        CellJob(
            plans[0],
            folder,
            base.prepared,
            (*reasons, *_changed(how)),
            command,
            stored,
            tuple(plans[1:]),
        )
        for how, plans in passes.items()
    ]


def _changed(how: How) -> list[str]:
    if how.puzzle_ids in (None, PuzzleIds.OWN):
        return []
    return [f"changed protocol: {how.puzzle_ids.value} puzzle ids at evaluation"]


def _plan(setting: _Setting, base: _Base, how: How, usual: int) -> CellPlan:
    request, identity = setting.request, base.identity
    update: dict[str, Any] = {
        "device": request.device,
        "steps": None if how.steps == usual else how.steps,
        "halting": how.halting,
    }
    if how.votes is not None or request.limit is not None:
        most = None if identity.budget is None else identity.budget.augmentations
        update["votes"] = votes_of(identity.task, identity.votes, how.votes, most, request.limit)
    if how.puzzle_ids is not None:
        if setting.prepared.identities is None:
            raise UsageError(
                f"puzzle_ids={how.puzzle_ids}: the puzzles of {identity.task!r} have no identity"
            )
        update["puzzle_ids"] = how.puzzle_ids
    if request.limit is not None:
        update["data"] = identity.data.model_copy(update={"limit": request.limit})
    label = how.label
    asked = f"{base.asked} @ {label}" if label else base.asked
    return named_cell(identity.model_copy(update=update), asked, base.notes)


def check_ways(task: str, scale: Scale, prepared: Prepared, hows: Sequence[How]) -> None:
    """Whether a task can be answered in these ways, before anything is trained for it.

    Raises:
        UsageError: it has no votes, or no identities.
    """
    for how in hows:
        votes_of(task, scale.votes, how.votes, None, None)
        if how.puzzle_ids is not None and prepared.identities is None:
            raise UsageError(f"puzzle_ids={how.puzzle_ids}: puzzles of {task!r} have no identity")


def _identity(first: CellIdentity) -> dict[str, Any]:
    """What every cell of an output folder of evaluations has in common."""
    return {
        "task": first.task,
        "scale": first.scale,
        "source": first.data.kind,
        "fingerprints": first.data.fingerprints,
        "task_seed": first.data.task_seed,
        "limit": first.data.limit,
        "evaluated": True,
    }


@dataclass(frozen=True)
class Opened:
    """A model with its weights, ready to answer.

    Attributes:
        reasoner: on its device, in evaluation mode.
        model: how its row would be called.
        task: what it was trained for.
        prepared: the task's puzzles, with the rows of the model's puzzle embedding.
        answering: how it is made to answer.
    """

    reasoner: Reasoner
    model: str
    task: Part[TaskSpec]
    prepared: Prepared
    answering: Answering


def open_weights(
    host: Host,
    path: Path,
    *,
    model: str | None = None,
    task: str | None = None,
    scale: str | None = None,
    source: str | None = None,
    data: Path | None = None,
    settings: Mapping[str, str] | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Opened:
    """The model of a file or of a cell.

    Raises:
        UsageError: see `plan_evaluation`; or the path holds several sets of weights.
        DataError: the weights are not those of the model.
    """
    stored = find_weights([path])
    if len(stored) > 1:
        raise UsageError(f"{path} holds the weights of {len(stored)} cells; name one of them")
    request = EvaluationRequest(
        (path,), (How(),), model, task, scale, source, data, settings or {}, device=device
    )
    setting = _setting(host, request, stored, progress)
    one = stored[0]
    base = _own(host, setting, one) if one.origin is not None else _foreign(host, setting, one, 0)
    part = next(part for part in base.identity.parts if part.kind == "model")
    spec = host.models.get(f"{part.distribution}:{part.name}").spec
    assert spec.build is not None
    assert spec.config is not None
    where = torch.device(device)
    reasoner = spec.build(spec.config(**base.identity.architecture), base.prepared.info).to(where)
    load_weights(reasoner, spec, one.file)
    answering = Answering(where, default_precision(where))
    return Opened(reasoner.eval(), base.asked, setting.task, base.prepared, answering)

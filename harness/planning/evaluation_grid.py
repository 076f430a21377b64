"""Which runs an evaluation of stored weights means, and in how many passes. Nothing is run here.

Weights of our runs bring their whole identity along. Of external weights only the file, its checksum and what
the user says are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..api.embedding_rows import PuzzleIds
from ..api.errors import NothingToReport, UsageError
from ..api.reasoner import Halting, Reasoner
from ..api.specs import Progress, Scale, TaskSpec, no_progress
from ..data.prepare import Prepared
from ..host.host import Host, Part
from ..store.records import Description, RunIdentity
from ..training.config import TrainingConfig
from ..weights.files import check_weights
from .evaluation_mode import EvaluationMode
from .find_weights import config_of, distinct, external_model, find_weights, model_part
from .grid import Context, Grid, context_of, votes_of
from .identity import describe, identity_of, planned_run
from .job import Job, PlannedRun, StoredWeights
from .models import Variant, shapes_of
from .request import Request
from .settings import BUDGET_KEYS, validated
from .training_grid import changed_sources

AT_EVALUATION = ("precision",)
"""Training settings that also hold at evaluation."""


def plan_evaluation(host: Host, request: Request, progress: Progress = no_progress) -> Grid:
    """Work out every run; builds or reads the puzzles.

    Raises:
        UsageError: what is unknown about the weights and must be given, or does not fit.
        NothingToReport: a folder has no trained weights.
        DataError: a file is not what it should be.
    """
    left_out: list[str] = []
    weights = distinct(find_weights(request.weights, left_out))
    unfinished = bool(left_out)
    context = evaluation_context(host, request, weights, progress)
    jobs: list[Job] = []
    for number, stored in enumerate(weights):
        base = base_of(host, context, stored, number)
        if unfinished and stored.origin is not None:
            survivors = "weights of runs that are not finished were left out"
            base = replace(base, reasons=(*base.reasons, survivors))
        jobs += _jobs(context, stored, base, left_out)
    if not jobs:
        raise NothingToReport(f"nothing to evaluate: {'; '.join(left_out)}")
    _refuse_clashes(jobs)
    return Grid(context, tuple(jobs), left_out=tuple(left_out))


def _refuse_clashes(jobs: Sequence[Job]) -> None:
    """Two trainings of one run (on other devices, by other code) would be written to one folder.

    Raises:
        UsageError: names both files.
    """
    files: dict[str, Path] = {}
    for job in jobs:
        assert job.stored is not None
        for run in job.runs:
            first = files.setdefault(run.name, job.stored.file)
            if first != job.stored.file:
                raise UsageError(f"{first} and {job.stored.file} are the same run, trained twice; name one")


def evaluation_context(
    host: Host, request: Request, weights: Sequence[StoredWeights], progress: Progress = no_progress
) -> Context:
    """Task, scale, source and settings of an evaluation: as requested, else as in training.

    Raises:
        UsageError: the weights differ in one of them, or do not say it.
    """
    origins = [stored.origin for stored in weights if stored.origin is not None]
    task = _the_one("--task", request.task, [origin.identity.part("task").full_name for origin in origins])
    if task is None:
        raise UsageError("--task is missing: external weights do not say what they were trained on")
    spec = host.tasks.get(task).spec
    scale = _the_one("--scale", request.scale, [origin.identity.scale for origin in origins])
    kept: dict[str, Any] = {}
    source = request.source
    for origin in origins:
        kept |= origin.description.task_options
        kept["task_seed"] = origin.identity.task_seed
        if request.source is None and request.data is None:
            source = origin.description.source_kind
    if source == "official" and request.data is None:
        raise UsageError(
            "the weights were trained on official puzzles: give the folder of their files with --data, or "
            "write --source hub"
        )
    settings = {**kept, **request.settings}
    _refuse_training(request)
    completed = replace(request, source=source, settings=settings)
    return context_of(host, completed, task, scale or _usual_scale(spec), progress)


def _the_one(option: str, requested: str | None, values: Sequence[str]) -> str | None:
    if requested is not None:
        return requested
    kinds = list(dict.fromkeys(values))
    if len(kinds) > 1:
        raise UsageError(f"weights of several kinds ({', '.join(kinds)}); choose one with {option}")
    return kinds[0] if kinds else None


def _refuse_training(request: Request) -> None:
    """Weights are trained already.

    Raises:
        UsageError: a setting is one of training, or of a training budget.
    """
    for key, value in request.settings.items():
        training = key in TrainingConfig.model_fields and key not in AT_EVALUATION
        if training or key in (*BUDGET_KEYS, "compile", "graph", "validations"):
            raise UsageError(f"setting {key}={value}: the weights are trained already")


def _usual_scale(spec: TaskSpec) -> str:
    """External weights are most often of the published size."""
    return "paper" if "paper" in spec.scales else next(iter(spec.scales))


@dataclass(frozen=True)
class Base:
    """A set of weights evaluated in the usual mode, before anything is changed.

    Attributes:
        prepared: the puzzles with the rows of the model's puzzle embedding.
        halts: whether the model has a halting rule.
    """

    identity: RunIdentity
    description: Description
    prepared: Prepared
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    halts: bool


def base_of(host: Host, context: Context, stored: StoredWeights, number: int) -> Base:
    """Identity and description of a set of weights; external ones are numbered."""
    return _own(host, context, stored) if stored.origin else _external(host, context, stored, number)


def _own(host: Host, context: Context, stored: StoredWeights) -> Base:
    origin = stored.origin
    assert origin is not None
    identity, settings = origin.identity, context.settings
    trained_on = identity.part("task").full_name
    if trained_on != context.task.full_name:
        raise UsageError(f"weights {stored.file}: trained on {trained_on}, not on {context.task.full_name}")
    part = model_part(host, identity)
    config = config_of(part, identity, stored.file)
    reasons = list(origin.not_citable_because)
    if identity.fingerprints != context.prepared.fingerprints:
        reasons.append("the weights were trained on other puzzles than these")
    count = 1 if identity.budget is None else identity.budget.augmentations
    prepared = context.prepared.for_budget(count)
    training = {**identity.training, **{key: settings.training[key] for key in settings.training}}
    shapes = _shapes(part, config, prepared)
    described = describe(
        context,
        part,
        requested=origin.description.requested,
        model=origin.description.model,
        display_name=origin.description.display_name,
        supervision_steps=shapes.supervision_steps,
    )
    update = {
        "fingerprints": context.prepared.fingerprints,
        "task_seed": settings.task_seed,
        "scale": context.scale,
        "training": validated(TrainingConfig, training, "setting").model_dump(mode="json"),
        "architecture": config.model_dump(mode="json"),
        "device": context.request.device,
    }
    halts = shapes.halting is not Halting.NONE
    identity = identity.model_copy(update=update)
    return Base(identity, described, prepared, tuple(reasons), tuple(origin.notes), halts)


def _external(host: Host, context: Context, stored: StoredWeights, number: int) -> Base:
    request = context.request
    if not request.models:
        raise UsageError(f"weights {stored.file}: name their model with --model")
    prepared = context.prepared.for_budget(context.size.augmentations)
    text = request.models[0]
    model = external_model(host, text, prepared, stored.file)
    shapes = _shapes(model.part, model.config, prepared)
    blank = all(mode.puzzle_ids is PuzzleIds.BLANK for mode in request.modes)
    check_weights(shapes, model.part.spec, stored.file, blank)  # before anything is written
    identity = identity_of(
        context,
        model.part,
        architecture=model.config.model_dump(mode="json"),
        training=validated(TrainingConfig, context.settings.training, "setting").model_dump(mode="json"),
        budget=None,
        weights=stored.sha256,
        votes=context.size.votes,
        seed=number,
    )
    described = describe(
        context,
        model.part,
        requested=text,
        model=str(Variant(model.part.spec.name, model.shown)),
        display_name=str(Variant(model.part.spec.display_name or model.part.spec.name, model.shown)),
        supervision_steps=shapes.supervision_steps,
    )
    notes = (
        f"seed {number} is {stored.file.name} (SHA-256 {stored.sha256[:12]}), external weights",
        f"architecture of {stored.file.name}: {model.sources}",
    )
    caveats = context.prepared.source.caveats
    reasons = (*caveats, "external weights: training budget, seed and data are unknown")
    return Base(identity, described, prepared, reasons, notes, shapes.halting is not Halting.NONE)


def _shapes(part: Part[Any], config: Any, prepared: Prepared) -> Reasoner:
    """The model without its numbers: it knows N_sup, and whether it halts."""
    return shapes_of(part.spec.name, lambda info: part.spec.build(config, info), prepared.info)


def _jobs(context: Context, stored: StoredWeights, base: Base, left_out: list[str]) -> list[Job]:
    """A job for each kind of pass; modes that differ in depth alone share one, the shallowest first."""
    passes: dict[EvaluationMode, dict[str, PlannedRun]] = {}
    usual = base.description.supervision_steps
    for mode in sorted(context.request.modes, key=lambda mode: mode.steps or usual):
        if mode.halting and not base.halts:
            left_out.append(f"{base.description.requested} @ {mode.label}: the model has no halting rule")
            continue
        run = _run(context, base, mode)
        passes.setdefault(replace(mode, steps=None), {}).setdefault(run.name, run)
    execution = context.settings.execution_config()
    return [Job(tuple(runs.values()), base.prepared, execution, stored) for runs in passes.values()]


def _run(context: Context, base: Base, mode: EvaluationMode) -> PlannedRun:
    request, identity, task = context.request, base.identity, context.task.spec
    update: dict[str, Any] = {
        "steps": None if mode.steps == base.description.supervision_steps else mode.steps,
        "halting": mode.halting,
    }
    if mode.votes is not None or request.limit is not None:
        most = None if identity.budget is None else identity.budget.augmentations
        update["votes"] = votes_of(task.name, identity.votes, mode.votes, most, request.limit)
    if mode.puzzle_ids is not None:
        require_identities(task.name, context.prepared, mode)
        update["puzzle_ids"] = mode.puzzle_ids
    if request.limit is not None:
        update["limit"] = request.limit
    label = mode.label
    requested = base.description.requested
    described = base.description.model_copy(
        update={"requested": f"{requested} @ {label}" if label else requested}
    )
    reasons = [*base.reasons, *changed_sources()]
    if request.limit is not None:
        reasons.append(f"--limit {request.limit}: only the first {request.limit} test items")
    if not request.study:
        reasons += _changed_protocol(base, mode)
    return planned_run(identity.model_copy(update=update), described, base.notes, reasons)


def _changed_protocol(base: Base, mode: EvaluationMode) -> list[str]:
    """How a mode differs from the protocol of the scale."""
    changed = []
    if mode.puzzle_ids not in (None, PuzzleIds.OWN):
        changed.append(f"changed protocol: {mode.puzzle_ids.value} puzzle ids at evaluation")
    if mode.votes is not None and mode.votes != base.identity.votes:
        changed.append(f"changed protocol: {mode.votes} votes instead of {base.identity.votes}")
    return changed


def require_identities(task: str, prepared: Prepared, mode: EvaluationMode) -> None:
    """Raise a `UsageError` where a mode asks for puzzle ids of a task without identities."""
    if mode.puzzle_ids is not None and prepared.identities is None:
        raise UsageError(f"puzzle_ids={mode.puzzle_ids}: the puzzles of {task!r} have no identity")


def check_modes(
    task: str, scale: Scale, prepared: Prepared, fewest: int, modes: Sequence[EvaluationMode]
) -> None:
    """Whether a task can be evaluated in these modes, before anything is trained for it.

    ``fewest`` is the smallest A of the models: there are no more augmentations to vote.

    Raises:
        UsageError: it has no votes, or no identities.
    """
    for mode in modes:
        votes_of(task, scale.votes, mode.votes, fewest, None)
        require_identities(task, prepared, mode)

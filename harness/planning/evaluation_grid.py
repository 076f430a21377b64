"""Which runs an evaluation of stored weights means, and in how many passes. Nothing is run here.

Weights of our runs bring their whole identity along. Of external weights only the file, its checksum and what
the user says are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..api.embedding_rows import PuzzleIds
from ..api.errors import NothingToReport, UsageError
from ..api.reasoner import Reasoner
from ..api.specs import Progress, Scale, no_progress
from ..api.text import plural
from ..data.prepare import Prepared
from ..host.host import OWN_DISTRIBUTION, Host, Part
from ..store.records import RunIdentity
from ..training.config import TrainingConfig
from ..training.costs import count_flops
from ..weights.files import check_weights, rounded_sha256
from .evaluation_context import evaluation_context
from .evaluation_mode import EvaluationMode, obstacle
from .find_weights import (
    config_of,
    external_model,
    find_weights,
    model_part,
    picked_seeds,
    require_model,
    row_of,
)
from .grid import Context, Grid, votes_of
from .identity import PROCEDURE, describe, identity_of, in_precision, part_identity, planned_run
from .job import Job, PlannedRun, StoredWeights
from .models import shapes_of
from .request import Request
from .settings import validated
from .training_grid import changed_sources

Base = tuple[Job, Reasoner]
"""Weights in the usual mode, as a job of one run, and their model without its numbers."""
SHOWN = 8
"""Digits of a checksum in the name of a row."""
LONGEST = 40
"""Characters of a file's name there."""


def plan_evaluation(host: Host, request: Request, progress: Progress = no_progress) -> Grid:
    """Work out every run; builds or reads the puzzles.

    Raises:
        UsageError: what is unknown about the weights and must be given, or does not fit.
        NothingToReport: a folder has no trained weights.
        DataError: a file is not what it should be.
    """
    unfinished: list[str] = []
    left_out: list[str] = []
    weights = find_weights(request.weights, unfinished, left_out)
    _refuse_idle(request, weights)
    context = evaluation_context(host, request, weights, progress)
    bases = _distinct([_base(host, context, stored) for stored in weights], left_out)
    if request.as_seeds:
        bases = _without_rounded(host, bases, _is_blank(request), left_out)
    left_out[:0] = unfinished
    jobs: list[Job] = []
    picked = {} if request.study else picked_seeds(weights)
    labelled = _labelled(context, bases)
    unable: dict[EvaluationMode, list[str]] = {}
    for job, shapes in labelled:
        stored = _stored(job)
        if stored.origin is not None and (why := picked.get(row_of(stored, stored.origin))):
            job = replace(job, runs=(replace(job.run, reasons=(*job.run.reasons, why)),))
        jobs += _jobs(context, job, shapes, unable)
    left_out += _named(request, unable, len(labelled))
    if not jobs:
        raise NothingToReport(f"nothing to evaluate: {'; '.join(left_out)}")
    _refuse_clashes(jobs)
    return Grid(context, tuple(jobs), left_out=tuple(left_out))


def _refuse_idle(request: Request, weights: Sequence[StoredWeights]) -> None:
    """Options of external weights, where there are none.

    Raises:
        UsageError: names the option.
    """
    given = {"--as-seeds": request.as_seeds, "--weights-key": request.weights_key is not None}
    for option in (name for name, is_given in given.items() if is_given):
        if all(stored.origin is not None for stored in weights):
            raise UsageError(f"{option} is for files of external weights, and these are runs; leave it out")
    if request.as_seeds and sum(stored.origin is None for stored in weights) < 2:
        raise UsageError("--as-seeds is for several files of external weights, and this is one; leave it out")


def _stored(job: Job) -> StoredWeights:
    assert job.stored is not None  # of every job of an evaluation
    return job.stored


def _distinct(bases: Sequence[Base], left_out: list[str]) -> list[Base]:
    """Weights that are there twice, in whatever file, are one run and not two; the others are named.

    The same weights of one of our runs win over external ones.
    """
    kept: dict[str, Base] = {}
    repeated: dict[int, Base] = {}
    for base in sorted(bases, key=lambda base: _stored(base[0]).origin is None):
        stored, identity = _stored(base[0]), base[0].run.identity
        weights = repr((stored.tensors, identity.part("model"), identity.architecture))
        key = weights if stored.origin is None else repr((stored.tensors, identity))
        first = kept.setdefault(key, base)
        kept.setdefault(weights, base)
        if first is not base:
            repeated[id(base)] = first
    for base in bases:
        if id(base) in repeated:
            stored, first_stored = _stored(base[0]), _stored(repeated[id(base)][0])
            twice = stored.file.absolute() == first_stored.file.absolute()
            what = "named twice" if twice else f"the same weights as {first_stored.file}"
            left_out.append(f"{stored.file}: {what}")
    return [base for base in bases if id(base) not in repeated]


def _without_rounded(host: Host, bases: Sequence[Base], blank: bool, left_out: list[str]) -> list[Base]:
    """Leave out, and name, external weights that are others of them in fewer bits: no further seed."""
    external = [(job, shapes) for job, shapes in bases if _stored(job).origin is None]
    known: dict[str, str] = {}
    for job, shapes in external if len(external) > 1 else ():
        stored, spec = _stored(job), model_part(host, job.run.identity).spec
        for precision, checksum in rounded_sha256(shapes, spec, stored.file, blank, stored.key).items():
            if checksum != stored.tensors:
                known.setdefault(checksum, f"{stored.file} in {precision}")
    rounded = [job for job, _ in external if _stored(job).tensors in known]
    left_out += [f"{(one := _stored(job)).file}: {known[one.tensors]}" for job in rounded]
    return [base for base in bases if base[0] not in rounded]


def _is_blank(request: Request) -> bool:
    """Whether only the blank row of a puzzle embedding is read."""
    return all(mode.puzzle_ids is PuzzleIds.BLANK for mode in request.modes)


def _refuse_clashes(jobs: Sequence[Job]) -> None:
    """Two trainings of one run (on other devices, by other code) would be written to one folder.

    Raises:
        UsageError: names both files.
    """
    files: dict[str, Path] = {}
    for job in jobs:
        file = _stored(job).file
        for run in job.runs:
            first = files.setdefault(run.name, file)
            if first != file:
                raise UsageError(f"{first} and {file} are the same run, trained twice; name one")


def base_of(host: Host, context: Context, stored: StoredWeights) -> Job:
    """A set of weights evaluated in the usual mode, as it is before anything is changed."""
    return _labelled(context, [_base(host, context, stored)])[0][0]


def _base(host: Host, context: Context, stored: StoredWeights) -> Base:
    return _own(host, context, stored) if stored.origin else _external(host, context, stored)


def _own(host: Host, context: Context, stored: StoredWeights) -> Base:
    origin = stored.origin
    assert origin is not None
    for text in context.request.models:
        require_model(host, text, origin, context)
    identity, settings = origin.identity, context.settings
    trained_on = identity.part("task").full_name
    if trained_on != context.task.full_name:
        raise UsageError(f"weights {stored.file}: trained on {trained_on}, not on {context.task.full_name}")
    part = model_part(host, identity)
    config = config_of(part, identity, stored.file)
    reasons = list(dict.fromkeys((*origin.not_citable_because, *context.prepared.source.caveats)))
    if context.prepared.counts["train"] and identity.fingerprints != context.prepared.fingerprints:
        reasons.append("the weights were trained on other puzzles than these")
    count = 1 if identity.budget is None else identity.budget.augmentations
    prepared = context.prepared.for_budget(count)
    training = {**identity.training, **{key: settings.training[key] for key in settings.training}}
    shapes = _shapes(part, config, prepared)
    _require_rows(context, stored, shapes, prepared)
    same = {
        name: getattr(origin.description, name) for name in ("requested", "model", "display_name", "looks")
    }
    described = describe(context, part, supervision_steps=shapes.supervision_steps, **same)
    update = {
        **_installed(context, part, identity),
        "fingerprints": context.prepared.fingerprints,
        "split": context.request.split,
        "task_seed": settings.task_seed,
        "scale": context.scale,
        "training": in_precision(
            validated(TrainingConfig, training, "setting"), context.request.precision
        ).model_dump(mode="json"),
        "architecture": config.model_dump(mode="json"),
        "device": context.request.device,
        **({"threads": settings.threads} if "threads" in context.request.settings else {}),
        **({"deterministic": context.deterministic} if "deterministic" in context.request.settings else {}),
    }
    identity = identity.model_copy(update=update)
    trained = _trained(origin.identity, identity)
    if "precision" in trained:
        reasons.append(
            f"changed protocol: precision {identity.training['precision']}; trained in {trained['precision']}"
        )
    identity = identity.model_copy(update={"trained": trained or None})
    run = planned_run(context, identity, described, tuple(origin.notes), reasons)
    return _job(context, run, prepared, stored), shapes


def _installed(context: Context, model: Part[Any], origin: RunIdentity) -> dict[str, Any]:
    """The versions that evaluate weights, which may be later than those that trained them.

    Another plugin keeps its own: its code must still be that of the training.
    """
    here = {"task": part_identity("task", context.task), "model": part_identity("model", model)}
    parts = [here[part.kind] if part.distribution == OWN_DISTRIBUTION else part for part in origin.parts]
    return {"procedure": PROCEDURE, "task_version": context.task.spec.version, "parts": parts}


def _trained(origin: RunIdentity, here: RunIdentity) -> dict[str, Any]:
    """What our weights were trained with, as far as it is not what their evaluation says of itself.

    Without it, weights of two trainings would be seeds of one row, or even one run.
    """
    trained, evaluated = (
        {
            "train": one.fingerprints.get("train"),
            "task_seed": one.task_seed,
            "scale": one.scale,
            "device": one.device,
            "threads": one.threads,
            "deterministic": one.deterministic,
            "precision": one.training.get("precision"),
            "procedure": one.procedure,
            "task_version": one.task_version,
            "parts": [f"{part.full_name} {part.version}" for part in one.parts],
        }
        for one in (origin, here)
    )
    return {key: value for key, value in trained.items() if value != evaluated[key]}


def _require_rows(context: Context, stored: StoredWeights, shapes: Reasoner, prepared: Prepared) -> None:
    """A puzzle embedding has rows for the identities it was trained on, in their order, and for no others.

    Raises:
        UsageError: these puzzles have other identities, and a mode reads the rows of their own.
    """
    assert stored.origin is not None
    same = stored.origin.identity.fingerprints["train"] == prepared.fingerprints["train"]
    if prepared.identities is None or same or _is_blank(context.request):
        return
    if any(tensor.shape[:1] == (prepared.info.identifiers,) for tensor in shapes.state_dict().values()):
        raise UsageError(
            f"weights {stored.file}: their puzzle embedding has rows for the {prepared.info.task} puzzles "
            "that were trained on, and these are others; give the same data, or use the blank row with "
            "--set puzzle_ids=blank"
        )


def _external(host: Host, context: Context, stored: StoredWeights) -> Base:
    request = context.request
    if not request.models:
        raise UsageError(f"weights {stored.file}: name their model with --model")
    prepared = context.prepared.for_budget(context.size.augmentations)
    model = external_model(host, request.models[0], context, stored.file)
    shapes = _shapes(model.part, model.config, prepared)
    count_flops(shapes, prepared.info.cells)  # which a model without an end does not survive
    key = request.weights_key
    tensors, chosen = check_weights(shapes, model.part.spec, stored.file, _is_blank(request), key)
    stored = replace(stored, tensors=tensors, key=key)
    identity = identity_of(
        context,
        model.part,
        architecture=model.config.model_dump(mode="json"),
        training=in_precision(model.training, request.precision).model_dump(mode="json"),
        budget=None,
        weights=tensors,
        votes=context.size.votes,
        seed=0,
    )
    described = describe(
        context,
        model.part,
        requested=request.models[0],
        model=model.name,
        display_name=model.display_name,
        supervision_steps=shapes.supervision_steps,
    )
    notes = (f"{stored.file.name}: {chosen}", *model.notes) if chosen else model.notes
    caveats = context.prepared.source.caveats
    reasons = (*caveats, "external weights: training budget, seed and data are unknown")
    run = planned_run(context, identity, described, notes, reasons)
    return _job(context, run, prepared, stored), shapes


def _job(context: Context, run: PlannedRun, prepared: Prepared, stored: StoredWeights) -> Job:
    return Job((run,), prepared, context.settings.execution_config(), stored)


def _labelled(context: Context, bases: Sequence[Base]) -> list[Base]:
    """External weights under the name of their model and file; with ``--as-seeds`` all files are one row.

    Then they are numbered in the order of their checksums, so that the same files are the same seeds. They
    are runs of that row alone: with another file, it is another row.

    Raises:
        UsageError: files that are to be seeds are of different models.
    """
    external = [job for job, _ in bases if _stored(job).origin is None]
    if not context.request.as_seeds or len(external) < 2:
        return [(_alone(context, job), shapes) for job, shapes in bases]
    first = external[0]
    for job in external:
        if _model(job) != _model(first):
            files = [f"{_stored(one).file} is {one.run.description.model}" for one in (first, job)]
            raise UsageError(f"--as-seeds: {' and '.join(files)}, which are no seeds of one model")
    order = sorted(_stored(job).tensors for job in external)
    digest = hashlib.sha256(" ".join(order).encode()).hexdigest()[:SHOWN]
    names = _names(first, digest, plural(len(order), "file"))
    return [
        (_renamed(context, job, names, order.index(_stored(job).tensors), f"+{digest}"), shapes)
        if _stored(job).origin is None
        else (job, shapes)
        for job, shapes in bases
    ]


def _model(job: Job) -> tuple[object, object]:
    return job.run.identity.part("model"), job.run.identity.architecture


def _alone(context: Context, job: Job) -> Job:
    stored = _stored(job)
    if stored.origin is not None:
        return job
    return _renamed(context, job, _names(job, stored.tensors[:SHOWN], _short(stored.file.name)))


def _names(job: Job, digest: str, files: str) -> dict[str, str]:
    """Names of a row; ``model`` is in the folder's, which is the same for the same weights in any file."""
    described = job.run.description
    return {
        "model": f"{described.model} ({digest})",
        "display_name": f"{described.display_name} ({files} {digest})",
    }


def _renamed(context: Context, job: Job, names: dict[str, str], seed: int = 0, row: str = "") -> Job:
    run, stored = job.run, _stored(job)
    known = f"weights {stored.tensors[:12]}, file SHA-256 {stored.sha256[:12]}"
    notes = (f"seed {seed} is {stored.file.name} ({known}), external weights", *run.notes)
    identity = run.identity.model_copy(update={"seed": seed, "weights": stored.tensors + row})
    description = run.description.model_copy(update=names)
    return replace(job, runs=(planned_run(context, identity, description, notes, run.reasons),))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 16]}…{name[-15:]}"


def _shapes(part: Part[Any], config: Any, prepared: Prepared) -> Reasoner:
    """The model without its numbers: it knows N_sup, and whether it halts."""
    return shapes_of(part.spec.name, lambda info: part.spec.build(config, info), prepared.info)


def _named(request: Request, unable: Mapping[EvaluationMode, list[str]], weights: int) -> list[str]:
    """What is left out because a model cannot do it.

    Raises:
        UsageError: several answers or noise, which none of the weights can have. A study was checked before
            it was trained, and with ``--halt threshold`` there is another row.
    """
    for mode, problems in unable.items():
        asked = mode.rollouts is not None and not mode.halting and not request.study
        if asked and len(problems) == weights:
            raise UsageError(problems[0])
    return list(
        dict.fromkeys(problem for problems in unable.values() for problem in problems)
    )  # of many seeds


def _jobs(
    context: Context, base: Job, shapes: Reasoner, unable: dict[EvaluationMode, list[str]]
) -> list[Job]:
    """A job for each kind of pass; modes that differ in depth alone share one, the shallowest first."""
    passes: dict[EvaluationMode, dict[str, PlannedRun]] = {}
    usual = base.run.description.supervision_steps
    for mode in sorted(context.request.modes, key=lambda mode: mode.steps or usual):
        problem = obstacle(mode, shapes)
        if problem is not None:
            unable.setdefault(mode, []).append(f"{base.run.description.requested} @ {mode.label}: {problem}")
            continue
        run = _run(context, base.run, mode)
        passes.setdefault(replace(mode, steps=None), {}).setdefault(run.name, run)
    return [replace(base, runs=tuple(runs.values())) for runs in passes.values()]


def _run(context: Context, base: PlannedRun, mode: EvaluationMode) -> PlannedRun:
    request, identity, task = context.request, base.identity, context.task.spec
    update: dict[str, Any] = {
        "steps": None if mode.steps == base.description.supervision_steps else mode.steps,
        "halting": mode.halting,
        "rollouts": mode.rollouts,
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
        reasons.append(f"--limit {request.limit}: only the first {request.limit} {request.split} items")
    if not request.study:
        reasons += _changed_protocol(base, mode)
    return planned_run(context, identity.model_copy(update=update), described, base.notes, reasons)


def _changed_protocol(base: PlannedRun, mode: EvaluationMode) -> list[str]:
    """How a mode differs from the protocol of the scale."""
    changed = []
    if mode.rollouts is not None:
        changed.append(f"changed protocol: {mode.label}, which no study declares")
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

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

from ..api.embedding_rows import PuzzleIds
from ..api.errors import NothingToReport, UsageError
from ..api.reasoner import Halting, Reasoner
from ..api.specs import Progress, Scale, TaskSpec, silent
from ..data.prepare import Prepared, prepare, scale_of
from ..host.host import Host, Part
from ..inference.inference import Answering
from ..store import provenance
from ..store.folders import STUDY, Cell, Output, read_study
from ..store.records import CellIdentity
from ..training.config import TrainingConfig
from ..training.device import default_precision
from ..weights.files import load_weights
from .evaluation_mode import How
from .find_weights import architecture_of, distinct, find_weights, model_spec, told_by
from .grid import (
    RunRequest,
    build_request,
    data_record,
    evaluators_of,
    named_cell,
    part_record,
    sort_settings,
    votes_of,
)
from .job import CellJob, CellPlan, StoredWeights
from .models import Variant, validated
from .settings import whole_number


@dataclass(frozen=True)
class EvaluationRequest:
    """What `evaluate` asks for.

    Attributes:
        weights: files, cells or output folders.
        hows: the ways to answer, each a cell of its own.
        model, task, scale: needed for weights from elsewhere; else those of the cell.
        source, data, settings: as for `RunRequest`; by default those of the cell.
        declared: whether a study says so, so that its ways are no change of protocol.
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
    declared: bool = False


@dataclass(frozen=True)
class Evaluation:
    """Every cell of a request, and the jobs that fill them: those that differ in depth share a pass.

    ``left_out`` says in words what was not taken, and why.
    """

    task: str
    scale: str
    folder: Path
    identity: dict[str, Any]
    plans: tuple[CellPlan, ...]
    jobs: tuple[CellJob, ...]
    left_out: tuple[str, ...] = ()

    def missing(self, output: Output) -> list[CellJob]:
        """The jobs without those cells that an output folder has already."""
        return [
            replace(job, plan=todo[0], deeper=tuple(todo[1:]))
            for job in self.jobs
            if (todo := [plan for plan in job.plans if not _answered(output.cell(plan.name), job)])
        ]


def _answered(cell: Cell, job: CellJob) -> bool:
    """Whether a cell is done, and by these very weights: training again gives others under the same name."""
    assert job.stored is not None
    return cell.is_done() and cell.manifest().weights_sha256 == job.stored.sha256


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
    left_out: list[str] = []
    stored = distinct(find_weights(request.weights, left_out))
    unfinished = bool(left_out)
    setting = _setting(host, request, stored, progress)
    folder = output or Path("results") / f"{setting.task.spec.name}-{setting.scale}-evaluated"
    jobs = []
    for number, one in enumerate(stored):
        base = _own(host, setting, one) if one.origin is not None else _foreign(host, setting, one, number)
        if unfinished and one.origin is not None:
            survivors = "weights of cells that are not finished were left out"
            base = replace(base, reasons=(*base.reasons, survivors))
        jobs += _jobs(setting, one, base, folder, command, left_out)
    if not jobs:
        raise NothingToReport(f"nothing to evaluate: {'; '.join(left_out)}")
    _refuse_clashes(jobs)
    plans = tuple(plan for job in jobs for plan in job.plans)
    common = _identity(plans[0].identity)
    name = setting.task.spec.name
    return Evaluation(name, setting.scale, folder, common, plans, tuple(jobs), tuple(left_out))


def _refuse_clashes(jobs: Sequence[CellJob]) -> None:
    """Two trainings of one cell (on other devices, by other code) would be written to one folder.

    Raises:
        UsageError: names both files.
    """
    files: dict[str, Path] = {}
    for job in jobs:
        assert job.stored is not None
        for plan in job.plans:
            first = files.setdefault(plan.name, job.stored.file)
            if first != job.stored.file:
                raise UsageError(f"{first} and {job.stored.file} are the same cell, trained twice; take one")


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
        usual: N_sup.
        halts: whether the model has a rule to stop by.
    """

    identity: CellIdentity
    asked: str
    prepared: Prepared
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    usual: int
    halts: bool


def _own(host: Host, setting: _Setting, stored: StoredWeights) -> _Base:
    origin = stored.origin
    assert origin is not None
    identity, reasons = origin.identity, list(origin.not_citable_because)
    identity = identity.model_copy(update={"architecture": architecture_of(host, identity, stored.file)})
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
        *_steps_of(host, identity, setting.prepared),
    )


def _steps_of(host: Host, identity: CellIdentity, prepared: Prepared) -> tuple[int, bool]:
    """N_sup of a model, and whether it has a rule to stop by: the model itself knows."""
    spec = model_spec(host, identity)
    assert spec.build is not None
    assert spec.config is not None
    config = spec.config(**identity.architecture)
    reasoner = spec.build(config, replace(prepared.info, identifiers=1))  # a table may have gigabytes
    return reasoner.supervision_steps, reasoner.halting is not Halting.NONE


def _foreign(host: Host, setting: _Setting, stored: StoredWeights, number: int) -> _Base:
    request, spec = setting.request, setting.task.spec
    if request.model is None:
        raise UsageError(f"weights {stored.file}: say with --model which model they are of")
    prepared = setting.prepared.for_budget(scale_of(spec, setting.scale).augmentations)
    part, config, shown = told_by(host, request.model, prepared, stored.file)
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
    steps = _steps_of(host, identity, prepared)
    return _Base(identity, request.model, prepared, reasons, (note,), *steps)


def _jobs(
    setting: _Setting,
    stored: StoredWeights,
    base: _Base,
    folder: Path,
    command: tuple[str, ...],
    left_out: list[str],
) -> list[CellJob]:
    """A job for each kind of pass; ways that differ in depth alone share one, the shallowest first."""
    passes: dict[How, dict[str, CellPlan]] = {}
    for how in sorted(setting.request.hows, key=lambda how: how.steps or base.usual):
        if how.halting and not base.halts:
            left_out.append(f"{base.asked} @ {how.label}: the model has no rule to stop by")
            continue
        plan = _plan(setting, base, how)
        passes.setdefault(replace(how, steps=None), {}).setdefault(plan.name, plan)
    reasons = list(base.reasons)
    if setting.request.limit is not None:
        reasons.append(f"--limit {setting.request.limit}: only the first {setting.request.limit} test items")
    if changed := provenance.code().get("changed"):
        reasons.append(f"the source tree differs from its commit in {len(changed)} file(s)")
    return [
        CellJob(
            plans[0],
            folder,
            base.prepared,
            tuple(dict.fromkeys([*reasons, *_changed(setting, base, how)])),
            command,
            stored,
            tuple(plans[1:]),
        )
        for how, named in passes.items()
        for plans in [list(named.values())]
    ]


def _changed(setting: _Setting, base: _Base, how: How) -> list[str]:
    """What of a way to answer is another protocol than that of the scale, unless a study declares it."""
    if setting.request.declared:
        return []
    found = []
    if how.puzzle_ids not in (None, PuzzleIds.OWN):
        found.append(f"changed protocol: {how.puzzle_ids.value} puzzle ids at evaluation")
    if how.votes is not None and how.votes != base.identity.votes:
        found.append(f"changed protocol: {how.votes} votes instead of {base.identity.votes}")
    return found


def _plan(setting: _Setting, base: _Base, how: How) -> CellPlan:
    request, identity = setting.request, base.identity
    update: dict[str, Any] = {
        "device": request.device,
        "steps": None if how.steps == base.usual else how.steps,
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


def check_ways(task: str, scale: Scale, prepared: Prepared, fewest: int, hows: Sequence[How]) -> None:
    """Whether a task can be answered in these ways, before anything is trained for it.

    ``fewest`` is the smallest A of the models: there are no more variants to vote.

    Raises:
        UsageError: it has no votes, or no identities.
    """
    for how in hows:
        votes_of(task, scale.votes, how.votes, fewest, None)
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
    spec = model_spec(host, base.identity)
    assert spec.build is not None
    assert spec.config is not None
    where = torch.device(device)
    reasoner = spec.build(spec.config(**base.identity.architecture), base.prepared.info).to(where)
    load_weights(reasoner, spec, one.file)
    answering = Answering(where, default_precision(where))
    return Opened(reasoner.eval(), base.asked, setting.task, base.prepared, answering)

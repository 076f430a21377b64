"""A study: which cells a request means, and what each of them is made of. Nothing is run here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import provenance
from .budget import Budget, Match
from .data import Prepared, prepare
from .errors import DataError, UsageError, nearest
from .host import OWN_DISTRIBUTION, Host, Part
from .records import CellIdentity, DataRecord, PartRecord
from .settings import TrainingConfig
from .specs import BuildRequest, EvaluatorSpec, Progress, Scale, TaskSpec, silent
from .variants import ResolvedModel, resolve_model

BUDGET_KEYS = ("steps", "batch_size", "examples", "flops")
STUDY_KEYS = ("task_seed", "threads", "deterministic")


@dataclass(frozen=True)
class RunRequest:
    """What the command line asks for; None means the default.

    Attributes:
        models: as written, e.g. ``trm[cycles=2]``.
        seeds: training seeds, in order.
        settings: the pairs of ``--set``.
        data: folder of official files; makes the source ``official``.
        limit: only the first so many test items.
    """

    models: tuple[str, ...]
    task: str
    scale: str
    seeds: tuple[int, ...]
    source: str | None = None
    data: Path | None = None
    augmentations: int | None = None
    match: Match = Match.STEPS
    limit: int | None = None
    device: str = "cpu"
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CellPlan:
    """One cell to be run: a model, a seed, and the name of its folder."""

    name: str
    asked: str
    identity: CellIdentity


@dataclass(frozen=True)
class Study:
    """A grid of models × seeds on one task under one budget.

    Attributes:
        not_citable_because: reasons that hold for every cell.
    """

    request: RunRequest
    task: Part[TaskSpec]
    prepared: Prepared
    budget: Budget
    models: tuple[ResolvedModel, ...]
    cells: tuple[CellPlan, ...]
    not_citable_because: tuple[str, ...]

    def identity(self) -> dict[str, Any]:
        """What every cell of an output folder has in common, for `study.json`."""
        data = self.cells[0].identity.data
        return {
            "task": self.task.spec.name,
            "scale": self.request.scale,
            "source": data.summary,
            "fingerprints": data.fingerprints,
            "task_seed": data.task_seed,
            "limit": data.limit,
            "budget": self.budget.model_dump(mode="json"),
            "settings": dict(sorted(self.request.settings.items())),
        }


@dataclass(frozen=True)
class _Settings:
    """The pairs of ``--set``, sorted by what they belong to."""

    budget: dict[str, str]
    study: dict[str, str]
    training: dict[str, str]
    task: dict[str, str]


def _sort_settings(settings: Mapping[str, str], spec: TaskSpec) -> _Settings:
    groups: dict[str, Sequence[str]] = {
        "budget": BUDGET_KEYS,
        "study": STUDY_KEYS,
        "training": tuple(TrainingConfig.model_fields),
        "task": spec.options,
    }
    found: dict[str, dict[str, str]] = {name: {} for name in groups}
    for key, value in settings.items():
        owners = [name for name, keys in groups.items() if key in keys]
        if not owners:
            known = [key for keys in groups.values() for key in keys]
            raise UsageError(
                f"--set {key}={value}: unknown key; {nearest(key, known)}. "
                "An option of one model is written in brackets, as in trm[cycles=2]."
            )
        found[owners[0]][key] = value
    return _Settings(**found)


def whole_number(key: str, text: str, least: int = 1) -> int:
    """The value of a ``--set`` key that must be a whole number.

    Raises:
        UsageError: it is not one, or below ``least``.
    """
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"--set {key}={text}: not a whole number") from None
    if value < least:
        raise UsageError(f"--set {key}={text}: must be at least {least}")
    return value


def _truth(key: str, text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise UsageError(f"--set {key}={text}: write true or false")
    return words[text.lower()]


def scale_of(spec: TaskSpec, name: str) -> Scale:
    """The scale of that name.

    Raises:
        UsageError: the task has none of that name; the nearest is suggested.
    """
    if name not in spec.scales:
        raise UsageError(f"task {spec.name!r} has no scale {name!r}; {nearest(name, spec.scales)}")
    return spec.scales[name]


def build_request(spec: TaskSpec, request: RunRequest, progress: Progress = silent) -> BuildRequest:
    """What the task is asked to build; ``--data`` means its official files."""
    sorted_settings = _sort_settings(request.settings, spec)
    source = request.source or ("official" if request.data else spec.sources[0])
    if request.data is not None and source != "official":
        raise UsageError(f"--data goes with --source official, not with --source {source}")
    if source == "official" and request.data is None:
        raise UsageError("--source official needs --data DIR, a folder with the train and test files")
    scale_of(spec, request.scale)
    return BuildRequest(
        scale=request.scale,
        seed=whole_number("task_seed", sorted_settings.study.get("task_seed", "0"), least=0),
        source=source,
        folder=request.data,
        options=sorted_settings.task,
        progress=progress,
    )


def plan(host: Host, request: RunRequest, progress: Progress = silent) -> Study:
    """Work out every cell of a request; builds or reads the puzzles, trains nothing.

    Raises:
        UsageError: an unknown name, key or value; the nearest is suggested.
        DataError: a data file is missing or wrong; names it.
    """
    task = host.tasks.get(request.task)
    settings = _sort_settings(request.settings, task.spec)
    scale = scale_of(task.spec, request.scale)
    prepared_request = build_request(task.spec, request, progress)
    # Names and options are checked on the shape of the task before puzzles are made for minutes.
    for model in request.models:
        host.models.get(model.partition("[")[0])
    prepared = prepare(task, prepared_request)
    models = _models(host, request, prepared, settings.training)
    budget = _budget(request, scale, settings.budget, models, prepared)
    _check_augmentations(task.spec, prepared, budget.augmentations)
    cells = tuple(
        _cell(host, request, task, prepared, prepared_request, budget, model, seed, settings.study)
        for seed in request.seeds
        for model in models
    )
    reasons = _reasons(request, scale, budget, prepared)
    return Study(request, task, prepared, budget, models, cells, reasons)


def _models(
    host: Host, request: RunRequest, prepared: Prepared, overrides: Mapping[str, str]
) -> tuple[ResolvedModel, ...]:
    found: dict[str, ResolvedModel] = {}
    for text in request.models:
        model = resolve_model(host, text, prepared.info, overrides)
        same = repr((model.part.full_name, model.config, model.training))
        found.setdefault(same, model)  # trm and trm-mlp may be one and the same here
    return tuple(found.values())


def _budget(
    request: RunRequest,
    scale: Scale,
    settings: Mapping[str, str],
    models: Sequence[ResolvedModel],
    prepared: Prepared,
) -> Budget:
    """The same for every model; examples and FLOPs are by default what the recipe's steps come to."""
    batch = whole_number("batch_size", settings.get("batch_size", str(scale.batch_size)))
    steps = whole_number("steps", settings.get("steps", str(scale.steps)))
    for key, axis in (("examples", Match.EXAMPLES), ("flops", Match.FLOPS)):
        if key in settings and request.match is not axis:
            raise UsageError(f"--set {key}={settings[key]} goes with --match {axis.value}")
    amount: float = steps
    if request.match is Match.EXAMPLES:
        amount = whole_number("examples", settings.get("examples", str(steps * batch)))
    elif request.match is Match.FLOPS:
        amount = _flops_amount(settings.get("flops"), steps * batch, models[0], prepared)
    augmentations = request.augmentations or scale.augmentations
    return Budget(match=request.match, amount=amount, batch_size=batch, augmentations=augmentations)


def _flops_amount(
    text: str | None, supervision_steps: int, first: ResolvedModel, prepared: Prepared
) -> float:
    """What was asked for, else what the first model uses in the recipe's steps."""
    if text is not None:
        try:
            amount = float(text)
        except ValueError:
            raise UsageError(f"--set flops={text}: not a number") from None
        if not 0 < amount < float("inf"):
            raise UsageError(f"--set flops={text}: must be above 0")
        return amount
    from .flops import count_flops

    assert first.part.spec.build is not None  # resolve_model made sure
    per_step = count_flops(
        first.part.spec.build(first.config, prepared.info), prepared.info.cells
    ).training_step
    if not per_step:
        raise UsageError(f"--match flops: the first model, {first.name}, uses none; name another one first")
    return supervision_steps * per_step


def _check_augmentations(spec: TaskSpec, prepared: Prepared, count: int) -> None:
    most = spec.augmentation(prepared.info).max_variants
    if count < 1 or (most is not None and count > most):
        raise UsageError(
            f"--augmentations {count}: task {spec.name!r} has 1 to {most or 'any number of'} variants"
        )


def evaluators_of(host: Host, task: Part[TaskSpec]) -> list[Part[EvaluatorSpec]]:
    """The evaluators of a task; of a name that is claimed twice, the task's own or ours."""
    prefer = (task.plugin.distribution, OWN_DISTRIBUTION)
    return [host.evaluators.get(name, prefer) for name in task.spec.evaluators]


def _cell(
    host: Host,
    request: RunRequest,
    task: Part[TaskSpec],
    prepared: Prepared,
    built: BuildRequest,
    budget: Budget,
    model: ResolvedModel,
    seed: int,
    settings: Mapping[str, str],
) -> CellPlan:
    source = prepared.source
    evaluators = evaluators_of(host, task)
    parts: list[tuple[str, Part[Any]]] = [("task", task), ("model", model.part)]
    parts += [("evaluator", part) for part in evaluators]
    identity = CellIdentity(
        task=task.spec.name,
        task_version=task.spec.version,
        scale=request.scale,
        cells=prepared.info.cells,
        primary=task.spec.primary,
        evaluators=list(task.spec.evaluators),
        model=model.name,
        architecture=model.config.model_dump(mode="json"),
        training=model.training.model_dump(mode="json"),
        budget=budget,
        data=DataRecord(
            kind=source.kind,
            summary=source.summary,
            files=[asdict(file) for file in source.files],
            notes=list(source.notes),
            fingerprints=prepared.fingerprints,
            counts=prepared.counts,
            task_seed=built.seed,
            limit=request.limit,
        ),
        seed=seed,
        device=request.device,
        threads=whole_number("threads", settings.get("threads", "1")),
        deterministic=_truth("deterministic", settings.get("deterministic", str(request.device == "cpu"))),
        parts=[
            PartRecord(
                kind=kind,
                name=part.spec.name,
                distribution=part.plugin.distribution,
                version=part.plugin.version,
            )
            for kind, part in parts
        ],
    )
    return CellPlan(
        f"{_folder_name(model.name)}-s{seed}-{identity_hash(identity)}", str(model.asked), identity
    )


def identity_hash(identity: CellIdentity) -> str:
    """Eight hexadecimal digits that change whenever a cell's numbers could.

    The code's version is in ``parts``, the data's in ``fingerprints``; file names are left out,
    so that the same data under another name is the same data.
    """
    content = identity.model_dump(mode="json")
    content["data"].pop("files")
    content["data"].pop("notes")
    return hashlib.sha256(repr(_sorted(content)).encode()).hexdigest()[:8]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return [_sorted(inner) for inner in value]
    return value


def _folder_name(model: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_.=" else "_" for letter in model).strip("_")


def _reasons(request: RunRequest, scale: Scale, budget: Budget, prepared: Prepared) -> tuple[str, ...]:
    reasons = list(prepared.source.caveats)
    if request.limit is not None:
        reasons.append(f"--limit {request.limit}: only the first {request.limit} test items")
    if budget.match is Match.STEPS and budget.amount < scale.steps:
        reasons.append(f"shortened recipe: {budget.amount:,.0f} steps instead of {scale.steps:,}")
    if budget.batch_size != scale.batch_size:
        reasons.append(f"changed recipe: batch size {budget.batch_size} instead of {scale.batch_size}")
    if changed := provenance.code().get("changed"):
        reasons.append(f"the source tree differs from its commit in {len(changed)} file(s)")
    return tuple(reasons)


__all__ = ["CellPlan", "DataError", "RunRequest", "Study", "build_request", "plan"]

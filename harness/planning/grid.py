"""A study: which cells a request means, and what each of them is made of. Nothing is run here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ..api.budget import Budget, Match
from ..api.embedding_rows import PuzzleIds
from ..api.errors import UsageError, nearest
from ..api.specs import AugmentationRequest, BuildRequest, EvaluatorSpec, Progress, Scale, TaskSpec, silent
from ..data.prepare import Prepared, prepare, scale_of
from ..host.host import OWN_DISTRIBUTION, Host, Part
from ..store import provenance
from ..store.folders import write_atomically
from ..store.records import CellIdentity, DataRecord, PartRecord
from ..training.checkpoint import Interval
from ..training.config import TrainingConfig
from .job import CellPlan
from .models import ResolvedModel, parse_variant, resolve_model
from .settings import puzzle_ids_of, truth, whole_number

BUDGET_KEYS = ("steps", "batch_size", "examples", "flops")
STUDY_KEYS = ("task_seed", "threads", "deterministic", "margin")
EVALUATION_KEYS = ("votes", "puzzle_ids")
OPERATION_KEYS = ("checkpoint_seconds", "checkpoint_steps")
"""Nothing that a cell's numbers depend on."""


@dataclass(frozen=True)
class RunRequest:
    """What the command line asks for; None means the default.

    Attributes:
        models: as written, e.g. ``trm[cycles=2]``.
        seeds: training seeds, in order.
        settings: the pairs of ``--set``.
        data: folder of official files; makes the source ``official``.
        limit: only the first so many test items.
        evaluators: further ones, beside the task's own.
        declared: those of ``settings`` that a study's definition makes part of its recipe.
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
    evaluators: tuple[str, ...] = ()
    device: str = "cpu"
    settings: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, str] = field(default_factory=dict)


RUNS = "runs.json"
"""In an output folder: what was asked of it, for `resume`."""


def read_run_requests(folder: Path) -> list[RunRequest]:
    """What was asked of an output folder, in order; empty without the file.

    Raises:
        UsageError: the file cannot be read.
    """
    path = folder / RUNS
    if not path.is_file():
        return []
    try:
        return TypeAdapter(list[RunRequest]).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(f"{path}: cannot be read ({first}); delete it, finished cells are kept") from error


def write_run_requests(folder: Path, requests: Sequence[RunRequest]) -> None:
    """Replace `runs.json`."""
    content = TypeAdapter(list[RunRequest]).dump_json(list(requests), indent=1)
    write_atomically(folder / RUNS, content + b"\n")


@dataclass(frozen=True)
class Study:
    """A grid of models × seeds on one task under one budget.

    Attributes:
        stands_for: what was asked for by the name that its row has; two may be one model here.
        not_citable_because: reasons that hold for every cell.
    """

    request: RunRequest
    task: Part[TaskSpec]
    prepared: Prepared
    budget: Budget
    models: tuple[ResolvedModel, ...]
    stands_for: Mapping[str, str]
    cells: tuple[CellPlan, ...]
    not_citable_because: tuple[str, ...]

    def reasons(self) -> list[str]:
        """Why cells must not be cited: what holds for all, and what for those of some model."""
        own = [reason for cell in self.cells for reason in from_files(cell.identity)]
        return list(dict.fromkeys([*self.not_citable_because, *own]))

    def prepared_for(self, augmentations: int) -> Prepared:
        """The puzzles as a model with its own A sees them."""
        if augmentations == self.budget.augmentations:
            return self.prepared
        return self.prepared.for_budget(augmentations)

    def identity(self) -> dict[str, Any]:
        """What every cell of an output folder has in common, for `study.json`."""
        data = self.cells[0].identity.data
        return {
            "task": self.task.spec.name,
            "scale": self.request.scale,
            "source": data.kind,
            "fingerprints": data.fingerprints,
            "task_seed": data.task_seed,
            "limit": data.limit,
            "budget": self.budget.model_dump(mode="json"),
            "settings": {
                key: value
                for key, value in sorted(self.request.settings.items())
                if key not in OPERATION_KEYS
            },
        }


@dataclass(frozen=True)
class SortedSettings:
    """The pairs of ``--set``, sorted by what they belong to."""

    budget: dict[str, str]
    study: dict[str, str]
    evaluation: dict[str, str]
    operation: dict[str, str]
    training: dict[str, str]
    task: dict[str, str]


def sort_settings(settings: Mapping[str, str], spec: TaskSpec) -> SortedSettings:
    """The pairs of ``--set`` by what they belong to.

    Raises:
        UsageError: a key belongs to nothing; the nearest is suggested.
    """
    groups: dict[str, Sequence[str]] = {
        "budget": BUDGET_KEYS,
        "study": STUDY_KEYS,
        "evaluation": EVALUATION_KEYS,
        "operation": OPERATION_KEYS,
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
    return SortedSettings(**found)


def _margin(text: str | None) -> float | None:
    """``--set margin=2``, in percentage points, as a share."""
    if text is None:
        return None
    try:
        margin = float(text)
    except ValueError:
        raise UsageError(f"--set margin={text}: not a number of percentage points") from None
    if not 0 < margin < 100:
        raise UsageError(f"--set margin={text}: must be above 0 and below 100 percentage points")
    return margin / 100


def interval_of(settings: Mapping[str, str]) -> Interval:
    """When a cell in training sets itself down; ``none`` switches a rule off.

    Raises:
        UsageError: a value is neither a number above 0 nor ``none``.
    """
    found: dict[str, Any] = {}
    for key in OPERATION_KEYS:
        text = settings.get(key)
        if text is None:
            continue
        name = key.removeprefix("checkpoint_")
        if text == "none":
            found[name] = None
        elif name == "steps":
            found[name] = whole_number(key, text)
        else:
            try:
                found[name] = float(text)
            except ValueError:
                raise UsageError(f"--set {key}={text}: not a number of seconds, nor none") from None
            if not 0 < found[name] < float("inf"):
                raise UsageError(f"--set {key}={text}: must be above 0")
    return Interval(**found)


def build_request(spec: TaskSpec, request: RunRequest, progress: Progress = silent) -> BuildRequest:
    """What the task is asked to build; ``--data`` means its official files."""
    sorted_settings = sort_settings(request.settings, spec)
    source = request.source or ("official" if request.data else spec.sources[0])
    if request.data is not None and source != "official":
        raise UsageError(f"--data goes with --source official, not with --source {source}")
    if source == "official" and source in spec.sources and request.data is None:
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


def plan(host: Host, request: RunRequest, progress: Progress = silent, at_most: int | None = None) -> Study:
    """Work out every cell of a request; builds or reads the puzzles, trains nothing.

    ``at_most`` puzzles of each split are enough, where only their shape matters.

    Raises:
        UsageError: an unknown name, key or value; the nearest is suggested.
        DataError: a data file is missing or wrong; names it.
    """
    task = host.tasks.get(request.task)
    settings = sort_settings(request.settings, task.spec)
    scale = scale_of(task.spec, request.scale)
    prepared_request = replace(build_request(task.spec, request, progress), at_most=at_most)
    evaluators = evaluators_of(host, task, request.evaluators)
    # What can be checked without the puzzles is checked before they are made for minutes.
    for model in request.models:
        host.models.get(parse_variant(model).name)
    augmentations = request.augmentations or scale.augmentations
    prepared = prepare(task, prepared_request).for_budget(augmentations)
    evaluation = _evaluation(request, scale, settings.evaluation, prepared)
    models, stands_for = _models(host, request, scale, prepared, settings.training)
    budget = _budget(request, scale, settings.budget, models, prepared)
    for count in {budget.augmentations, *(model.augmentations or 1 for model in models)}:
        _check_augmentations(task.spec, prepared, count)
    data = data_record(prepared, prepared_request, request.limit, task.spec.cluster)
    common = _Common(request, task, evaluators, prepared, data, budget, evaluation, settings.study)
    cells = tuple(_cell(common, model, seed) for seed in request.seeds for model in models)
    declared = sort_settings(request.declared, task.spec)
    recipe = _budget(replace(request, augmentations=None), scale, declared.budget, models, prepared)
    changed = {key: value for key, value in settings.training.items() if declared.training.get(key) != value}
    reasons = (
        *_reasons(request, budget, recipe, changed, prepared),
        *_evaluation_reasons(evaluation, scale, budget.augmentations),
    )
    return Study(request, task, prepared, budget, models, stands_for, cells, reasons)


def _models(
    host: Host, request: RunRequest, scale: Scale, prepared: Prepared, overrides: Mapping[str, str]
) -> tuple[tuple[ResolvedModel, ...], dict[str, str]]:
    """The different models that were asked for, and by which row each of the words is answered."""
    found: dict[str, ResolvedModel] = {}
    stands_for: dict[str, str] = {}
    usual = request.augmentations or scale.augmentations
    for text in request.models:
        model = resolve_model(host, text, prepared.info, overrides, (usual, scale.augmentations))
        same = repr((model.part.full_name, model.config, model.training, model.augmentations))
        kept = found.setdefault(same, model)  # trm and trm-mlp may be one and the same here
        stands_for[text] = str(kept.asked)
    return tuple(found.values()), stands_for


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
    from ..training.costs import count_flops

    assert first.part.spec.build is not None  # resolve_model made sure
    per_step = count_flops(
        first.part.spec.build(first.config, prepared.info), prepared.info.cells
    ).training_step
    if not per_step:
        raise UsageError(f"--match flops: the first model, {first.name}, uses none; name another one first")
    return supervision_steps * per_step


@dataclass(frozen=True)
class _Evaluation:
    """How the test split is answered."""

    votes: int | None
    puzzle_ids: PuzzleIds


def _evaluation(
    request: RunRequest, scale: Scale, settings: Mapping[str, str], prepared: Prepared
) -> _Evaluation:
    """What was asked for, else the scale's; ``--limit`` holds for votes too unless they are given.

    There is a vote for a variant at most, and no more variants at evaluation than in training.
    """
    most = request.augmentations or scale.augmentations
    asked = whole_number("votes", settings["votes"]) if "votes" in settings else None
    votes = votes_of(request.task, scale.votes, asked, most, request.limit)
    which = puzzle_ids_of(settings.get("puzzle_ids", PuzzleIds.OWN))
    if "puzzle_ids" in settings and prepared.identities is None:
        raise UsageError(f"--set puzzle_ids={which}: the puzzles of task {request.task!r} have no identity")
    return _Evaluation(votes, which)


def votes_of(
    task: str, usual: int | None, asked: int | None, most: int | None, limit: int | None
) -> int | None:
    """Votes to a test item: those asked for, else the usual ones as far as there are variants and a limit.

    Raises:
        UsageError: the task is not answered by vote, or has no more than ``most`` variants to vote.
    """
    if asked is None:
        return usual if usual is None else min(usual, most or usual, limit or usual)
    if usual is None:
        raise UsageError(f"votes={asked}: task {task!r} is answered once, not by vote")
    if most is not None and asked > most:
        raise UsageError(f"votes={asked}: there are only the A = {most} variants of --augmentations to vote")
    return asked


def _evaluation_reasons(evaluation: _Evaluation, scale: Scale, augmentations: int) -> list[str]:
    """Why answers must not be cited as those of the scale's protocol."""
    reasons = []
    usual = None if scale.votes is None else min(scale.votes, augmentations)
    if evaluation.votes != usual:
        reasons.append(f"changed protocol: {evaluation.votes} votes instead of {usual}")
    if evaluation.puzzle_ids is not PuzzleIds.OWN:
        reasons.append(f"changed protocol: {evaluation.puzzle_ids.value} puzzle ids at evaluation")
    return reasons


def _check_augmentations(spec: TaskSpec, prepared: Prepared, count: int) -> None:
    whole = AugmentationRequest(prepared.info, prepared.read("train"), prepared.identities, training=True)
    most = spec.augmentation(whole).max_variants
    if count < 1 or (most is not None and count > most):
        raise UsageError(
            f"--augmentations {count}: task {spec.name!r} has 1 to {most or 'any number of'} variants"
        )


def evaluators_of(host: Host, task: Part[TaskSpec], further: Sequence[str]) -> list[Part[EvaluatorSpec]]:
    """The evaluators of a task, and the further ones that were asked for.

    Of a name that is claimed twice, the task's own or ours is meant.

    Raises:
        UsageError: an unknown evaluator, or one that was made for other tasks.
    """
    prefer = (task.plugin.distribution, OWN_DISTRIBUTION)
    parts = [host.evaluators.get(name, prefer) for name in task.spec.evaluators]
    for name in further:
        part = host.evaluators.get(name, prefer)
        if part.spec.tasks and task.spec.name not in part.spec.tasks:
            raise UsageError(f"evaluator {name!r} fits {', '.join(part.spec.tasks)}, not {task.spec.name!r}")
        if part not in parts:
            parts.append(part)
    return parts


@dataclass(frozen=True)
class _Common:
    """What the cells of a study share."""

    request: RunRequest
    task: Part[TaskSpec]
    evaluators: Sequence[Part[EvaluatorSpec]]
    prepared: Prepared
    data: DataRecord
    budget: Budget
    evaluation: _Evaluation
    settings: Mapping[str, str]


def data_record(prepared: Prepared, built: BuildRequest, limit: int | None, cluster: str) -> DataRecord:
    """Which puzzles are meant, as a cell's identity holds it."""
    source = prepared.source
    return DataRecord(
        kind=source.kind,
        summary=source.summary,
        files=[asdict(file) for file in source.files],
        notes=list(source.notes),
        fingerprints=prepared.fingerprints,
        counts=prepared.counts,
        task_seed=built.seed,
        limit=limit,
        cluster=cluster,
    )


def part_record(kind: str, part: Part[Any]) -> PartRecord:
    """A plugin's part, as a cell's identity holds it."""
    plugin, own = part.plugin, part.plugin.distribution == OWN_DISTRIBUTION
    return PartRecord(
        kind=kind,
        name=part.spec.name,
        distribution=plugin.distribution,
        version=plugin.version,
        api_version=part.spec.api_version,
        file=Path(plugin.file).name if plugin.file else None,
        code=None if own or plugin.file else provenance.plugin_fingerprint(plugin.module),
    )


def _cell(common: _Common, model: ResolvedModel, seed: int) -> CellPlan:
    task, settings, device = common.task.spec, common.settings, common.request.device
    budget, votes = common.budget, common.evaluation.votes
    if model.augmentations is not None:
        budget = budget.model_copy(update={"augmentations": model.augmentations})
        votes = None if votes is None else min(votes, model.augmentations)
    identity = CellIdentity(
        task=task.name,
        task_version=task.version,
        scale=common.request.scale,
        cells=common.prepared.info.cells,
        primary=task.primary,
        evaluators=[part.spec.name for part in common.evaluators],
        model=model.name,
        architecture=model.config.model_dump(mode="json"),
        training=model.training.model_dump(mode="json"),
        budget=budget,
        votes=votes,
        puzzle_ids=common.evaluation.puzzle_ids,
        margin=_margin(settings.get("margin")),
        data=common.data,
        seed=seed,
        device=device,
        threads=whole_number("threads", settings.get("threads", "1")),
        deterministic=truth("deterministic", settings.get("deterministic", str(device == "cpu"))),
        parts=[
            part_record("task", common.task),
            part_record("model", model.part),
            *(part_record("evaluator", part) for part in common.evaluators),
        ],
    )
    return named_cell(identity, str(model.asked), model.notes)


def named_cell(identity: CellIdentity, asked: str, notes: tuple[str, ...] = ()) -> CellPlan:
    """The cell of an identity, in a folder that says model and seed and holds a hash of the rest."""
    name = f"{_folder_name(identity.model)}-s{identity.seed}-{identity_hash(identity)}"
    return CellPlan(name, asked, identity, notes)


def from_files(identity: CellIdentity) -> list[str]:
    """Why a cell must not be cited some part of which no distribution installed."""
    return [
        f"{part.kind} {part.name} comes from the file {part.file}, not from an installed distribution"
        for part in identity.parts
        if part.file
    ]


def identity_hash(identity: CellIdentity) -> str:
    """Eight hexadecimal digits for everything that was asked for.

    The versions of the distributions are in ``parts``, the data is in ``fingerprints``; names of
    files are left out, so that the same data under another name is the same data. Code of ours that
    changed without a new version is not seen here, that of a plugin is; a table that mixes cells of
    two states of our code says so.
    """
    content = identity.model_dump(mode="json")
    content["data"].pop("files")
    content["data"].pop("notes")
    content["data"].pop("summary")
    content["data"].pop("cluster")
    content.pop("margin")
    for part in content["parts"]:
        part.pop("api_version")
        part.pop("file")  # its content is in the version
        if part["code"] is None:
            part.pop("code")
    newer = {"votes": None, "puzzle_ids": PuzzleIds.OWN, "steps": None, "halting": False, "weights": None}
    for key, usual in newer.items():  # than the first results, whose names stay as they are
        if content[key] == usual:
            content.pop(key)
    if not content["training"].get("graph"):
        content["training"].pop("graph", None)
    return hashlib.sha256(repr(_sorted(content)).encode()).hexdigest()[:8]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return [_sorted(inner) for inner in value]
    return value


def _folder_name(model: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_.=" else "_" for letter in model).strip("_")


def _reasons(
    request: RunRequest, budget: Budget, recipe: Budget, training: Mapping[str, str], prepared: Prepared
) -> tuple[str, ...]:
    """Why the cells must not be cited as runs of the scale's recipe."""
    reasons = list(prepared.source.caveats)
    if request.limit is not None:
        reasons.append(f"--limit {request.limit}: only the first {request.limit} test items")
    if budget.amount < recipe.amount:
        unit = budget.match.value
        reasons.append(f"shortened recipe: {budget.amount:,.0f} {unit} instead of {recipe.amount:,.0f}")
    if budget.batch_size != recipe.batch_size:
        reasons.append(f"changed recipe: batch size {budget.batch_size} instead of {recipe.batch_size}")
    reasons += [f"changed recipe: {key}={value} for every model" for key, value in sorted(training.items())]
    if changed := provenance.code().get("changed"):
        reasons.append(f"the source tree differs from its commit in {len(changed)} file(s)")
    return tuple(reasons)

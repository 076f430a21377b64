"""A grid: the runs of one request, and what they share. Nothing is run here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..api.budget import Budget
from ..api.embedding_rows import PuzzleIds
from ..api.errors import PluginError, TrmBenchError, UsageError
from ..api.specs import BuildRequest, EvaluatorSpec, Progress, Scale, TaskSpec, no_progress
from ..data.prepare import Prepared, is_prepared, prepare, scale_of, usual_scale
from ..host.host import OWN_DISTRIBUTION, Host, Part
from ..store.folders import Output, RunFolder
from ..training.group import check_processes
from .job import Job, PlannedRun
from .models import ResolvedModel
from .request import Request
from .settings import BUDGET_KEYS, Settings, read_settings

STAND_INS = 8
"""Puzzles of a split that are enough where only their shape matters."""


@dataclass(frozen=True)
class Context:
    """Everything that the runs of a grid share.

    Attributes:
        declared: the settings that a study makes part of its recipe.
        scale: its name; ``size`` is what the task says of it.
        evaluators: the task's own, then the requested ones.
        prepared: the puzzles, without rows of the puzzle embedding (see `Prepared.for_budget`).
        missing_source: the source that they should come from and that was not downloaded; they are a few
            others of the same shape. None where they are as requested.
    """

    request: Request
    settings: Settings
    declared: Settings
    task: Part[TaskSpec]
    scale: str
    evaluators: tuple[Part[EvaluatorSpec], ...]
    prepared: Prepared
    missing_source: str | None = None

    @property
    def size(self) -> Scale:
        """The task's scale."""
        return self.task.spec.scales[self.scale]

    @property
    def puzzles(self) -> str:
        """Where the puzzles come from, on one line."""
        if self.missing_source is None:
            return self.prepared.source.summary
        return (
            f"a few of source {self.task.spec.sources[0]} in place of those of source {self.missing_source}, "
            "which only a run or `trm-bench prepare` downloads"
        )

    @property
    def deterministic(self) -> bool:
        """Whether kernels must be deterministic."""
        wanted = self.settings.deterministic
        return self.request.device == "cpu" if wanted is None else wanted


@dataclass(frozen=True)
class Grid:
    """The runs of a request.

    Attributes:
        jobs: the processes that carry the runs out.
        budget: of training; None where weights are evaluated.
        models: the models that are trained.
        resolved: each requested name to the name in the table; two may be one model here.
        left_out: what was requested and is not planned, and why.
        broken: what a model raised while it was planned, by its name, or as requested where it has no runs.
    """

    context: Context
    jobs: tuple[Job, ...]
    budget: Budget | None = None
    models: tuple[ResolvedModel, ...] = ()
    resolved: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    broken: Mapping[str, PluginError] = field(default_factory=dict)

    @property
    def without_runs(self) -> dict[str, PluginError]:
        """The broken models of which not even a run could be planned."""
        planned = {run.description.model for run in self.runs}
        return {name: error for name, error in self.broken.items() if name not in planned}

    @property
    def runs(self) -> tuple[PlannedRun, ...]:
        """Every run, in the order of the table."""
        return tuple(run for job in self.jobs for run in job.runs)

    @property
    def task(self) -> TaskSpec:
        """The task."""
        return self.context.task.spec

    def all_reasons(self) -> list[str]:
        """Why runs may not be cited."""
        return list(dict.fromkeys(reason for run in self.runs for reason in run.reasons))

    def reasons_by_models(self) -> list[str]:
        """The same, each with the models of which it is true where it is not of all."""
        models: dict[str, dict[str, None]] = {}
        for run in self.runs:
            for reason in run.reasons:
                models.setdefault(reason, {})[run.description.model] = None
        every = len({run.description.model for run in self.runs})
        return [
            reason if len(names) == every else f"{', '.join(names)}: {reason}"
            for reason, names in models.items()
        ]

    def common(self) -> dict[str, Any]:
        """Return what every run of an output folder has in common, for `grid.json`."""
        identity, request = self.runs[0].identity, self.context.request
        return {
            "task": self.task.name,
            "scale": self.context.scale,
            "source": self.runs[0].description.source_kind,
            "fingerprints": identity.fingerprints,
            "task_seed": identity.task_seed,
            "split": identity.split,
            "limit": identity.limit,
            **(
                {"evaluated": True}
                if self.budget is None
                else {
                    "budget": self.budget.model_dump(mode="json"),
                    "settings": {
                        key: str(value)
                        for key, value in sorted(self.context.settings.values().items())
                        if key in request.settings and self._changes(key, value)
                    },
                }
            ),
        }

    def _changes(self, key: str, value: object) -> bool:
        """Whether a setting is another one than would hold without it; the budget is kept by itself."""
        context, recipes = self.context, [model.replaced for model in self.models]
        if key in BUDGET_KEYS:
            return False
        if key in context.settings.training:
            values = {value, *(recipe[key] for recipe in recipes if key in recipe)}
            return len({context.request.precision if one == "auto" else one for one in values}) > 1
        usual = {"deterministic": context.request.device == "cpu", "votes": context.size.votes}
        return value != {**dict(Settings()), **usual, "puzzle_ids": PuzzleIds.OWN}.get(key)

    def missing(self, output: Output, force: bool = False, repeated: Collection[str] = ()) -> list[Job]:
        """The jobs without the runs that are done already and not being ``repeated``."""
        jobs = []
        for job in self.jobs:
            todo = tuple(
                run
                for run in job.runs
                if force or run.name in repeated or not is_done(output.run(run.name), job)
            )
            if todo:
                jobs.append(replace(job, runs=todo))
        return jobs


def is_done(folder: RunFolder, job: Job) -> bool:
    """Whether a run is done, and with these very weights: training again gives others under the same name.

    Raises:
        TrmBenchError: the folder has the name of a run and holds another one.
    """
    if not folder.is_done():
        return False
    if (held := folder.manifest().run) != folder.folder.name:
        raise TrmBenchError(f"{folder.folder}: holds run {held}; give the folder that name back")
    return job.stored is None or folder.manifest().tensors_sha256 == job.stored.tensors


def context_of(
    host: Host,
    request: Request,
    task: str,
    scale: str | None,
    progress: Progress = no_progress,
    at_most: int | None = None,
    fetch: bool = True,
) -> Context:
    """Check a request and build or read its puzzles.

    ``at_most`` puzzles of each split are enough, where only their shape matters. With it, or without
    ``fetch``, nothing is downloaded that the request does not name: where the scale has a source of its own
    whose puzzles are not in the cache, a few of the task's first source replace them.

    Raises:
        UsageError: an unknown name, key or value; the nearest is suggested.
        DataError: a data file is missing or wrong; names it.
    """
    part = host.tasks.get(task)
    scale = scale or usual_scale(part.spec)
    scale_of(part.spec, scale)
    settings = read_settings(request.settings, part.spec.options)
    if settings.execution_config().graph and request.device != "cuda":
        raise UsageError(f"setting graph=true goes with --device cuda, not with --device {request.device}")
    batch = None if request.weights else settings.batch_size or part.spec.scales[scale].batch_size
    check_processes(settings.execution_config().processes, batch, request.device)
    evaluators = evaluators_of(host, part, request.evaluators)
    build = replace(build_request(part.spec, request, scale, settings, progress), at_most=at_most)
    declared = read_settings(request.declared, part.spec.options)
    missing = None
    if not (fetch and at_most is None) and _needs_download(part, request, build):
        missing, build = build.source, _replacement(part.spec, build)
    return Context(request, settings, declared, part, scale, evaluators, prepare(part, build), missing)


def _needs_download(part: Part[TaskSpec], request: Request, build: BuildRequest) -> bool:
    """Whether the scale's own source is meant, which is not the task's first, and not in the cache."""
    named = request.source is not None or request.reads_files
    return not named and build.source != part.spec.sources[0] and not is_prepared(part, build)


def _replacement(spec: TaskSpec, build: BuildRequest) -> BuildRequest:
    """A request for puzzles of the same shape that need no download; options are those of another source."""
    few = build.at_most or STAND_INS
    counted = spec.scales[build.scale].epochs is not None  # the budget depends on their number
    return replace(build, source=spec.sources[0], options={}, at_most=None if counted else few)


def build_request(
    spec: TaskSpec, request: Request, scale: str, settings: Settings, progress: Progress = no_progress
) -> BuildRequest:
    """The request to the task's `build`; ``--data`` means its official files.

    Raises:
        UsageError: source and folder do not go together.
    """
    usual = spec.scales[scale].source or spec.sources[0]
    source = request.source or ("official" if request.reads_files else usual)
    if request.reads_files and source != "official":
        option = "--data" if request.data is not None else "--train" if request.train else "--test"
        raise UsageError(f"{option} goes with --source official, not with --source {source}")
    if source == "official" and source in spec.sources and not request.reads_files:
        raise UsageError(
            "--source official needs --data DIR, a folder with the train and test files, or --train FILE "
            "and --test FILE"
        )
    return BuildRequest(
        scale=scale,
        seed=settings.task_seed,
        source=source,
        folder=request.data,
        options=settings.task,
        progress=progress,
        train=request.train,
        test=request.test,
        training=not request.weights,
    )


def evaluators_of(
    host: Host, task: Part[TaskSpec], requested: Sequence[str] = ()
) -> tuple[Part[EvaluatorSpec], ...]:
    """The evaluators of a task, and the further ones that were requested.

    Of a name that is claimed twice, the task's own or ours is meant.

    Raises:
        UsageError: an unknown evaluator, one that was made for other tasks, or two of one name.
    """
    prefer = (task.plugin.distribution, OWN_DISTRIBUTION)
    parts = [host.evaluators.get(name, prefer) for name in task.spec.evaluators]
    for name in requested:
        part = host.evaluators.get(name, prefer)
        if part.spec.tasks and task.spec.name not in part.spec.tasks:
            raise UsageError(f"evaluator {name!r} fits {', '.join(part.spec.tasks)}, not {task.spec.name!r}")
        if part in parts:
            continue
        if (same := next((one for one in parts if one.spec.name == part.spec.name), None)) is not None:
            raise UsageError(
                f"evaluator {part.full_name}: runs keep scores by name, and {same.full_name} has the same; "
                "choose one of them"
            )
        parts.append(part)
    return tuple(parts)


def votes_of(
    task: str, usual: int | None, requested: int | None, most: int | None, limit: int | None
) -> int | None:
    """Votes per test item: the requested ones, else the usual ones within augmentations and limit.

    Raises:
        UsageError: the task has no votes, or no more than ``most`` augmentations to vote.
    """
    if requested is None:
        return usual if usual is None else min(usual, most or usual, limit or usual)
    if usual is None:
        raise UsageError(f"votes={requested}: task {task!r} has one prediction per puzzle and no votes")
    if most is not None and requested > most:
        raise UsageError(f"votes={requested}: there are only A = {most} augmentations to vote")
    return requested

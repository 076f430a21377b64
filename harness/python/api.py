"""`trm_bench.run`, `evaluate`, `resume`, `load_results`, `compare`: the command line as functions.

None of them ends the process. They print only with ``progress=True``, to stderr.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Unpack

from ..api.budget import Match
from ..api.cores import available_cores
from ..api.errors import UsageError
from ..api.rollouts import Rollouts
from ..data.prepare import usual_scale
from ..host.host import host
from ..planning.decidable import Power, power_of_grid, power_of_study
from ..planning.evaluation_mode import EvaluationMode, parse_rollouts, parse_steps
from ..planning.grid import Grid
from ..planning.looks import plan_looks
from ..planning.request import Request, Value, read_requests
from ..planning.settings import parse_seeds, read_settings, texts_of
from ..planning.study import leaves
from ..report.compare import compare_folders, compare_models
from ..report.read import read_folders
from ..report.table import Pair
from ..running.queue import Queue, read_queue
from ..running.runner import Execution, check_room
from ..store.records import ScoredSplit, Status
from ..training.gpus import Gpu, Gpus, Placement, choose_device
from .grids import (
    PlannedStudy,
    carry_out,
    console_of,
    find_definition,
    moved,
    plan_quietly,
    plan_study,
    refuse_missing_device,
    results_of,
    resumable,
    run_study,
)
from .looks import carry_out_seeds, until_decided
from .options import (
    CommonOptions,
    EvaluateOptions,
    Names,
    PathLike,
    RunOptions,
    count_of,
    names_of,
    path_of,
    paths_of,
    settings_of,
)
from .results import Results

DEFAULT_SEEDS = "0-4"
MOST_SEEDS = "0-9"
"""With --until-decided."""


@dataclass(frozen=True)
class Call:
    """A call of `run` that has been checked and planned, before anything is run.

    Attributes:
        execution: how it will be carried out.
        folder: output folder.
        grid: what is run; None for a study.
        study: the study that is run; None for models.
    """

    execution: Execution
    folder: Path
    grid: Grid | None = None
    study: PlannedStudy | None = None

    @property
    def grids(self) -> Mapping[str | None, tuple[Grid, Path]]:
        """Every grid with its folder, by the name that a study gives it."""
        if self.study is not None:
            return {name: (grid, self.folder / name) for name, grid in self.study.grids.items()}
        assert self.grid is not None
        return {None: (self.grid, self.folder)}

    @property
    def power(self) -> Power:
        """What the tests of the plan can decide."""
        if self.study is not None:
            return power_of_study(self.study.definition, self.study.grids)
        assert self.grid is not None
        return power_of_grid(self.grid, self.folder)

    def carry_out(self) -> Results:
        """Run what is planned."""
        assert not self.execution.dry
        if line := self.power.describe():
            self.execution.tell(line)
        if self.study is not None:
            statuses = run_study(self.execution, self.study)
        else:
            assert self.grid is not None
            statuses = carry_out_seeds(self.execution, self.grid, self.folder)
        results = results_of([self.folder], statuses)
        for grid, _ in self.grids.values():
            results.failed |= {name: str(error) for name, error in grid.without_runs.items()}
        return results


def execution_of(options: CommonOptions, placement: Placement, force: bool = False) -> Execution:
    """How the runs of a call are carried out."""
    jobs, gpus = count_of(options, "jobs"), placement.gpus
    usual = available_cores() if placement.kind == "cpu" else 1
    places: tuple[Gpu | None, ...] = gpus[:jobs] or (None,) * (jobs or usual)
    queue, command = queue_of_call(options), options.get("command", ())
    execution = Execution(host(), console_of(options), places, force, command, queue=queue)
    for problem in host().problems():
        execution.tell(f"problem with a plugin: {problem}")
    if gpus:
        fewer = f" instead of --jobs {jobs}" if jobs is not None and jobs > len(gpus) else ""
        execution.tell(f"one run at a time on each GPU{fewer}: {', '.join(map(str, places))}")
    return execution


def queue_of_call(options: CommonOptions) -> Queue | None:
    """The runner that a call names with ``on``; None for processes of this one."""
    on = options.get("on")
    return None if on is None else read_queue(host(), str(on))


def placement_of(options: CommonOptions) -> Placement:
    """The device, and the GPUs, that a call names; that of a runner elsewhere need not be on this machine.

    Raises:
        UsageError: the device is not that of the runner.
    """
    queue, device = queue_of_call(options), options.get("device")
    if queue is None or queue.device is None:
        return choose_device(device, options.get("gpus"))
    _refuse_gpus_of(queue, options.get("gpus"))
    if device not in (None, "auto", queue.device):
        raise UsageError(
            f"--device {device}: the settings of --on {options.get('on')} give the runs {queue.device}; put "
            "that right in its file, or leave --device out"
        )
    return Placement(queue.device)


def _refuse_gpus_of(queue: Queue, gpus: Gpus | None) -> None:
    if gpus is not None:
        raise UsageError(f"--gpus {gpus}: {queue.spec.name} chooses them; leave it out")


def request_of(options: CommonOptions, kind: Any, device: str) -> Request:
    """Options that all kinds of calls have.

    Raises:
        UsageError: one of them has a value that it cannot have.
    """
    for name in ("scale", "source", "output"):
        if options.get(name) == "":  # e.g. a variable of the shell that is not set
            raise UsageError(f"--{name} is empty: give a value, or leave it out")
    return Request(
        scale=options.get("scale"),
        source=options.get("source"),
        data=path_of(options.get("data")),
        train=paths_of(options.get("train")),
        test=paths_of(options.get("test")),
        limit=count_of(options, "limit"),
        evaluators=names_of(options.get("evaluators", ())),
        device=device,
        settings=settings_of(options, kind),
    )


def prepare_run(
    models: Names = (), task: str | None = None, *, dry: bool = False, **options: Unpack[RunOptions]
) -> Call:
    """Check and plan a call of `run`; makes or reads the puzzles and runs nothing.

    With ``dry``, for `verbs.dry_run` alone, no puzzles are downloaded: others of the same shape replace them.

    Raises:
        UsageError: a name, value or combination is wrong; says what and what to do.
        UnavailableError: the device is missing, or a data file.
    """
    placement, seeds = placement_of(options), options.get("seeds")
    request = request_of(options, RunOptions, placement.kind)
    request = replace(request, seeds=() if seeds is None else parse_seeds(seeds))
    study, folder = options.get("study"), path_of(options.get("output"))
    execution = replace(execution_of(options, placement, bool(options.get("force"))), dry=dry)
    if study is not None:
        _refuse_decided(study, {"models": models, "task": task, **options})
        if options.get("until_decided"):
            raise UsageError(
                "--until-decided cannot be combined with --study, which declares its seeds; name --models "
                "and --task"
            )
        if "margin" in request.settings:
            raise UsageError(
                "--set margin cannot be combined with --study: its file declares the margin, or none"
            )
        planned = plan_study(execution, find_definition(host(), study), request, folder)
        for one in planned.grids.values():
            check_room(execution, one)
        return Call(execution, planned.folder, study=planned)
    request = training_request(request, models, task, options)
    if options.get("until_decided"):
        request = until_decided(request, execution)
    grid = plan_quietly(execution, request)
    check_room(execution, grid)
    if request.until_decided:
        plan_looks(grid)  # refuses what cannot be decided, before anything is written
    return Call(execution, folder or Path("results") / f"{grid.task.name}-{request.scale}", grid)


def training_request(
    request: Request, models: Names, task: str | None, options: Mapping[str, Any]
) -> Request:
    """The request with models, task, scale, seeds and budget; nothing is built yet.

    Raises:
        UsageError: a name, value or setting is wrong.
    """
    names = names_of(models)
    if not names:
        raise UsageError("--models is missing or names no model; see trm-bench list models")
    if not task:
        raise UsageError("--task is missing; see trm-bench list tasks")
    spec = host().tasks.get(task).spec
    read_settings(request.settings, spec.options)  # before minutes are spent on puzzles
    return replace(
        request,
        models=names,
        task=task,
        scale=request.scale or usual_scale(spec),
        seeds=request.seeds or parse_seeds(MOST_SEEDS if options.get("until_decided") else DEFAULT_SEEDS),
        augmentations=count_of(options, "augmentations"),
        match=_match(options.get("match")),
        baseline=str(options.get("baseline") or ""),
    )


def _match(name: str | None) -> Match:
    if name is not None and name not in tuple(Match):
        raise UsageError(f"--match {name}: choose one of {', '.join(Match)}")
    return Match(name or Match.STEPS)


def _refuse_decided(study: PathLike, options: Mapping[str, object]) -> None:
    for option in ("models", "task", "match", "augmentations", "baseline"):
        if options.get(option) not in (None, (), ""):
            raise UsageError(f"--{option} cannot be combined with --study; study {study} sets it")


def run(models: Names = (), task: str | None = None, **options: Unpack[RunOptions]) -> Results:
    """Train and evaluate models on a task, or run a study. Finished runs in the output folder are reused.

    Every run has a process of its own.

    Args:
        models: names by comma or in a list, with options in brackets, e.g. ``trm[cycles=2],transformer``.
        task: name of the task.
        **options: see `RunOptions`; any other keyword is a setting, e.g. ``steps=200`` or ``lr=1e-3``.

    Raises:
        UsageError: a name, value or combination is wrong; nothing has been written.
        UnavailableError: the device, a file or a writable folder is missing.
        KeyboardInterrupt: the runs that were active have saved a checkpoint.
    """
    return prepare_run(models, task, **options).carry_out()


def evaluate(weights: PathLike | Sequence[PathLike], **options: Unpack[EvaluateOptions]) -> Results:
    """Evaluate saved weights on the test or validation set, with any number of supervision steps.

    Args:
        weights: files, runs or output folders; each file of external weights is a row.
        **options: see `EvaluateOptions`; any other keyword is a setting.

    Raises:
        UsageError: what is unknown about the weights and must be given, or does not fit.
        NothingToReport: there are no trained weights.
        UnavailableError: a path does not exist, or a device is missing.
        DataError: a file is not what it should be.
    """
    paths = [weights] if isinstance(weights, str | Path) else list(weights)
    placement, model = placement_of(options), options.get("model")
    request = request_of(options, EvaluateOptions, placement.kind)
    modes, settings = _modes(options, request.settings)
    request = replace(
        request,
        models=() if model is None else (model,),
        task=options.get("task"),
        weights=tuple(map(Path, paths)),
        weights_key=options.get("weights_key"),
        as_seeds=bool(options.get("as_seeds")),
        split=_split(options.get("split")),
        modes=modes,
        settings=settings,
    )
    execution = execution_of(options, placement)
    grid = plan_quietly(execution, request)
    ending = "evaluated" if request.split == "test" else f"evaluated-{request.split}"
    usual = Path("results") / f"{grid.task.name}-{grid.context.scale}-{ending}"
    folder = path_of(options.get("output")) or usual
    return results_of([folder], carry_out(execution, grid, folder))


def _rollouts(options: EvaluateOptions) -> list[Rollouts | None]:
    """Every number of rollouts with every noise."""
    lists = {key: value for key in ("rollouts", "noise") if (value := options.get(key)) is not None}
    keys = ("noise_on", "noise_seed", "select")
    named = {key: value for key in keys if (value := options.get(key)) is not None}
    found = [
        parse_rollouts({**dict(zip(lists, values, strict=True)), **named}, "--")
        for values in product(*map(texts_of, lists.values()))
    ]
    return list(dict.fromkeys(found))


def _split(name: str | None) -> ScoredSplit:
    if name in (None, "test"):
        return "test"
    if name == "validation":
        return "validation"
    raise UsageError(f"--split {name}: choose test or validation")


def _modes(
    options: EvaluateOptions, settings: Mapping[str, Value]
) -> tuple[tuple[EvaluationMode, ...], dict[str, Value]]:
    """Every depth, once more with halting where that is wanted, and the settings that are no modes."""
    own = {key: value for key, value in settings.items() if key in ("votes", "puzzle_ids")}
    typed, steps = read_settings(own), options.get("steps")
    texts = [] if steps is None else texts_of(steps)
    depths: list[int | None] = [*dict.fromkeys(parse_steps(text, "--steps") for text in texts)]
    modes = tuple(
        EvaluationMode(depth, halts, typed.votes, typed.puzzle_ids, several)
        for several in _rollouts(options)
        for halts in ((False, True) if options.get("halting") else (False,))
        for depth in depths or [None]
    )
    return modes, {key: value for key, value in settings.items() if key not in own}


def resume(
    folder: PathLike,
    *,
    data: PathLike | None = None,
    jobs: int | None = None,
    gpus: Gpus | None = None,
    on: PathLike | None = None,
    progress: bool = False,
    command: tuple[str, ...] = (),
) -> Results:
    """Continue the runs into an output folder, each from its last checkpoint.

    Args:
        folder: output folder of `run`.
        data: where the official files are now, if they have been moved.
        jobs: as for `run`.
        gpus: as for `run`; they need not be those that the runs were started on.
        on: as for `run`; it need not be where the runs were started.
        progress: as for `run`.
        command: as for `run`.

    Raises:
        UsageError: the folder belongs to a study, which is resumed by running it again.
        UnavailableError: the folder, or a device or file that the runs need, is not here; nothing is written.
        NothingToReport: no run into the folder is known.
    """
    root = Path(folder)
    known = [(leaf, request) for leaf in leaves([root]) for request in read_requests(leaf)]
    known = [(leaf, moved(leaf, request, path_of(data))) for leaf, request in resumable(root, known)]
    options: CommonOptions = {"jobs": jobs, "on": on, "progress": progress, "command": command}
    queue = queue_of_call(options)
    elsewhere = None if queue is None else queue.device
    if queue is not None and elsewhere is not None:
        _refuse_gpus_of(queue, gpus)
    for leaf, request in known:
        if elsewhere is None:
            refuse_missing_device(leaf, request)
        elif request.device != elsewhere:
            raise UsageError(f"--on {on}: gives {elsewhere}, and the runs in {leaf} are for {request.device}")
    _refuse_idle_gpus(root, gpus, [request for _, request in known])
    planned = []
    for leaf, request in known:
        mine = gpus if request.device == "cuda" else None
        placement = Placement(elsewhere) if elsewhere else choose_device(request.device, mine)
        execution = execution_of(options, placement)
        planned.append((execution, plan_quietly(execution, request), leaf))
    statuses: dict[str, Status] = {}
    for execution, grid, leaf in planned:
        statuses |= carry_out_seeds(execution, grid, leaf)
    return results_of([root], statuses)


def _refuse_idle_gpus(folder: Path, gpus: Gpus | None, requests: Sequence[Request]) -> None:
    if gpus is not None and all(request.device != "cuda" for request in requests):
        raise UsageError(f"--gpus {gpus}: the runs in {folder} are for {requests[0].device}; leave it out")


def load_results(*folders: PathLike) -> Results:
    """The results in one or several output folders.

    Raises:
        UsageError: no folder is named, or the definition of a study cannot be read.
        UnavailableError: a folder does not exist, or holds no runs.
    """
    if not folders:
        raise UsageError("load_results: name at least one output folder")
    return Results(read_folders([Path(folder) for folder in folders]))


def compare(a: PathLike, b: PathLike, *folders: PathLike, problems: list[str] | None = None) -> list[Pair]:
    """Compare two models of some output folders, or (without folders) two output folders.

    Name a model as typed, as in the table or as resolved; ``trm @ steps=16`` is an evaluation of its weights.

    Return a pair for each task and scale; `trm_bench.sentences` makes sentences of it. Files that cannot be
    read, runs that are left out, and why a comparison may not be cited are added to ``problems``; without it
    they are warnings.

    Raises:
        UsageError: a model is in none of the folders (the nearest is suggested).
        UnavailableError: a folder does not exist, or holds no runs.
        NothingToReport: there is no finished run.
        TrmBenchError: the two were tested on different items; names them.
    """
    told: list[str] = [] if problems is None else problems
    try:
        return _compare(a, b, folders, told)
    finally:
        for problem in told if problems is None else ():
            warnings.warn(problem, stacklevel=2)


def _compare(a: PathLike, b: PathLike, folders: Sequence[PathLike], told: list[str]) -> list[Pair]:
    if folders:
        return compare_models(str(a), str(b), [Path(folder) for folder in folders], told)
    if not (Path(a).is_dir() and Path(b).is_dir()):
        raise UsageError(f"compare {a} {b}: name the output folders to look in, or two folders to compare")
    return compare_folders(Path(a), Path(b), told)

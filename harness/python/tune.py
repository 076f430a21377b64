"""`trm_bench.tune`: training settings and options of models, tried and chosen on validation alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ..api.errors import UsageError
from ..api.text import plural
from ..data.overlap import VALIDATION
from ..data.prepare import Prepared
from ..host.host import host
from ..planning.grid import Grid, context_of
from ..planning.identity import identity_hash
from ..planning.models import parse_variant
from ..planning.settings import parse_seeds
from ..planning.tune import MOST_RUNS, Axes, Candidate, candidates_of, read_axes, recipe_of, recipe_text
from ..report.pairs import mixed_code
from ..report.read import Run, read_folders
from ..report.tuning import Setting, Standing, Tried, judge
from ..running.progress import counted
from ..store.folders import write_atomically
from .api import Call, execution_of, placement_of, request_of, training_request
from .frames import frame
from .grids import plan_quietly
from .options import Names, TuneOptions, count_of, path_of

if TYPE_CHECKING:
    import pandas as pd

TUNE_SEEDS = "0-2"
TUNING, RECIPE = "tuning.json", "recipe.yaml"
"""In the output folder: everything that was tried, and the best settings in the form of a recipe file."""
COLUMNS: Mapping[str, str] = {
    "model": "as typed",
    "setting": "values of the grid",
    "score": "mean of the primary metric on validation over the finished seeds, 0 to 1",
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
    "seed_min": "lowest score of a seed",
    "seed_max": "highest score of a seed",
    "seeds": "finished seeds",
    "standing": "best, undecided, worse, scores 0 or failed",
    "p": "of the difference from the best, Holm-adjusted over the model's settings",
}


@dataclass(frozen=True)
class TunedModel:
    """One model and its settings.

    Attributes:
        model: as typed.
        resolved: the model that it resolves to.
        settings: in the order of the grid.
        recipe: the best setting as the sections of a recipe file; empty where there is none.
    """

    model: str
    resolved: str
    settings: tuple[Setting, ...]
    recipe: Mapping[str, Mapping[str, Any]]

    @property
    def best(self) -> Setting | None:
        """The setting with the highest mean; None where none is done, or all score 0."""
        return next((one for one in self.settings if one.standing is Standing.BEST), None)

    @property
    def undecided(self) -> tuple[Setting, ...]:
        """The settings whose difference from the best is within the noise."""
        return tuple(one for one in self.settings if one.standing is Standing.UNDECIDED)


@dataclass(frozen=True)
class Tuning:
    """What `tune` has found; test puzzles have no part in it.

    Attributes:
        folder: output folder.
        title: task, scale, source and numbers of puzzles.
        conditions: the budget of every run.
        task, scale: their names.
        metric: the primary metric; ``heading`` is what its column is called.
        seeds: of every setting.
        axes: the grid.
        tries: settings requested for each model; None for the whole grid.
        shuffle: seed by which they were drawn, where they are fewer.
        models: in the order in which they were named.
        earlier: other settings that were tried in the folder before, as they were requested.
        notes: what must be printed with the table.
        failed: why each run that did not finish did not, by name.
    """

    folder: Path
    title: str
    conditions: str
    task: str
    scale: str
    metric: str
    heading: str
    seeds: tuple[int, ...]
    axes: Axes
    tries: int | None
    shuffle: int
    models: tuple[TunedModel, ...]
    earlier: tuple[str, ...]
    notes: tuple[str, ...]
    failed: Mapping[str, str]

    @property
    def recipes(self) -> str:
        """`recipe.yaml`: a YAML document for each model, in the form of a recipe file."""
        return "---\n".join(self._recipe(model) for model in self.models if model.best is not None)

    def _recipe(self, model: TunedModel) -> str:
        best = model.best
        assert best is not None
        named = model.model if model.model == model.resolved else f"{model.model} ({model.resolved})"
        lines = [
            f"# {named}: best of {plural(len(model.settings), 'setting')} on validation, "
            f"{plural(len(self.seeds), 'seed')} each",
            *(f"# undecided between it and {one.label}" for one in model.undecided),
            *(f"# {note}" for note in _tried_before(self.earlier)),
        ]
        return "\n".join([*lines, recipe_text(self.task, self.scale, model.recipe)])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per model and setting. Columns: `COLUMNS`."""
        return frame([_row(model, one) for model in self.models for one in model.settings], COLUMNS)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, as in `tuning.json`."""
        return {**asdict(self), "folder": str(self.folder), "recipes": self.recipes}


def _row(model: TunedModel, setting: Setting) -> dict[str, Any]:
    scores = [seed.score for seed in setting.seeds if seed.score is not None]
    summary = setting.summary
    return {
        "model": model.model,
        "setting": setting.label,
        "score": summary.mean if summary else None,
        "low": summary.low if summary else None,
        "high": summary.high if summary else None,
        "seed_min": min(scores, default=None),
        "seed_max": max(scores, default=None),
        "seeds": len(scores),
        "standing": setting.standing.value,
        "p": setting.p,
    }


@dataclass(frozen=True)
class TuneCall:
    """A call of `tune` that has been checked and planned, before anything is run.

    Attributes:
        call: its runs, as those of a call of `run`.
        axes, tries, shuffle: see `Tuning`.
        candidates: every setting of every model.
    """

    call: Call
    axes: Axes
    tries: int | None
    shuffle: int
    candidates: tuple[Candidate, ...]

    @property
    def grid(self) -> Grid:
        """Its runs."""
        assert self.call.grid is not None  # only a study has several
        return self.call.grid

    def carry_out(self) -> Tuning:
        """Run what is planned, choose, and write `tuning.json` and `recipe.yaml`."""
        results = self.call.carry_out()
        # By identity: another recipe gives the same run another name, and one of the two is read.
        runs = {identity_hash(run.manifest.identity): run for run in read_folders([self.call.folder]).runs}
        tuning = self._tuning(runs, results.failed)
        content = json.dumps(tuning.as_dict(), indent=1) + "\n"
        write_atomically(self.call.folder / TUNING, content.encode())
        write_atomically(self.call.folder / RECIPE, tuning.recipes.encode())
        return tuning

    def _tuning(self, runs: Mapping[str, Run], failed: Mapping[str, str]) -> Tuning:
        grid, spec = self.grid, self.grid.task
        context, prepared = grid.context, grid.context.prepared
        assert grid.budget is not None  # of training
        models = tuple(self._tuned(model, runs) for model in dict.fromkeys(c.model for c in self.candidates))
        scored, limit = prepared.counts["validation"], context.request.limit
        scored = scored if limit is None else min(limit, scored)
        counts = f"{prepared.counts['train']:,} train, {scored:,} validation"
        headings = {part.spec.name: part.spec.heading for part in context.evaluators}
        tried = {identity_hash(run.identity) for run in grid.runs}
        mine = [runs[one] for one in tried if one in runs]
        others = [run.manifest for one, run in runs.items() if one not in tried]
        earlier = tuple(sorted({manifest.description.requested for manifest in others}))
        return Tuning(
            folder=self.call.folder,
            title=f"{spec.name} · {context.scale} · {prepared.source.summary} · {counts}",
            conditions=grid.budget.describe(),
            task=spec.name,
            scale=context.scale,
            metric=spec.primary,
            heading=headings[spec.primary] or f"{spec.primary} %",
            seeds=context.request.seeds,
            axes=self.axes,
            tries=self.tries,
            shuffle=self.shuffle,
            models=models,
            earlier=earlier,
            notes=(*_notes(self, models, mine), *_of_puzzles(prepared), *_tried_before(earlier)),
            failed=failed,
        )

    def _tuned(self, model: str, runs: Mapping[str, Run]) -> TunedModel:
        tries = [self._tried(one, runs) for one in self.candidates if one.model == model]
        settings = judge(tries, self.grid.task.primary)
        tuned = TunedModel(model, self._resolved(model), settings, {})
        if tuned.best is None:
            return tuned
        row = self.grid.resolved[tuned.best.variant]
        chosen = next(one for one in self.grid.models if str(one.requested) == row)
        return replace(tuned, recipe=recipe_of(chosen, self.grid.context.settings.training))

    def _resolved(self, model: str) -> str:
        """The name of the model that its settings are of; an option may choose between two."""
        rows = {self.grid.resolved[one.variant] for one in self.candidates if one.model == model}
        names = {one.part.spec.name for one in self.grid.models if str(one.requested) in rows}
        return ", ".join(sorted(names)) or model

    def _tried(self, candidate: Candidate, runs: Mapping[str, Run]) -> Tried:
        grid = self.grid
        row = grid.resolved[candidate.variant]  # two settings may be one model here
        planned = {
            run.identity.seed: runs.get(identity_hash(run.identity))
            for run in grid.runs
            if run.description.requested == row
        }
        missing = dict.fromkeys(grid.context.request.seeds)
        broken = grid.broken.get(candidate.variant)
        return Tried(
            candidate.values, candidate.variant, planned or missing, "" if broken is None else str(broken)
        )


def _notes(call: TuneCall, models: Sequence[TunedModel], runs: Sequence[Run]) -> list[str]:
    """What a reader must know before taking a setting over."""
    seeds, most = len(call.grid.context.request.seeds), max(len(model.settings) for model in models)
    notes = [
        "scored on the validation puzzles; the test set was not read. The score of the best of several "
        "settings is too high on average, as it was chosen by it: cite the test score of a run"
    ]
    if seeds == 1:
        notes.append(
            "one seed a setting: nothing is known of how its score scatters between seeds; undecided is by "
            "the puzzles alone (exact McNemar test, Holm over the settings of a model)"
        )
    else:
        scatter = ", and two seeds say little of how a score scatters" if seeds == 2 else ""
        notes.append(
            f"{seeds} seeds a setting{scatter}; undecided: not told apart from the best (crossed test over "
            "seeds and puzzles, Holm over the settings of a model)"
        )
    points = math.prod(map(len, call.axes.values()))
    if call.tries is not None and call.tries < points:
        notes.append(
            f"{call.tries} of the {points:,} settings of the grid, drawn with --shuffle {call.shuffle}"
        )
    notes += [_smaller(call, model, most) for model in models if len(model.settings) < most]
    notes += [
        f"{model.model}: {key}={value} is at the edge of the grid"
        for model in models
        for key, value in _edges(call, model)
    ]
    notes += [
        f"failed: {setting.variant}, seed {seed.seed}: {seed.reason or seed.status}"
        for model in models
        for setting in model.settings
        for seed in setting.seeds
        if seed.status != "done"
    ]
    return notes + mixed_code(runs)


def _of_puzzles(prepared: Prepared) -> list[str]:
    """What keeps the validation puzzles from being as many as they seem, or unseen."""
    return [note for note in prepared.source.notes if VALIDATION in note]


def _tried_before(earlier: Sequence[str]) -> list[str]:
    """That the best was chosen among more settings than this table has."""
    if not earlier:
        return []
    shown = ", ".join(earlier[:3]) + (", …" if len(earlier) > 3 else "")
    return [
        f"{plural(len(earlier), 'other setting')} had been tried in this folder before ({shown}); name them "
        "in the grid as well, so that they count as tries"
    ]


def _smaller(call: TuneCall, model: TunedModel, most: int) -> str:
    absent = [key for key in call.axes if key not in model.settings[0].values]
    why = f": it has no option {', '.join(absent)}" if absent else ""
    return f"{model.model}: {plural(len(model.settings), 'setting')}, others have {most}{why}"


def _edges(call: TuneCall, model: TunedModel) -> list[tuple[str, str]]:
    """The best setting's values that are the lowest or highest of three or more numbers."""
    if model.best is None:
        return []
    edges = []
    for key, value in model.best.values.items():
        try:
            numbers = [float(text) for text in call.axes[key]]
        except ValueError:
            continue
        if len(numbers) > 2 and float(value) in (min(numbers), max(numbers)):
            edges.append((key, value))
    return edges


def prepare_tune(
    models: Names,
    task: str | None,
    grid: Mapping[str, object] | Iterable[str],
    *,
    dry: bool = False,
    **options: Unpack[TuneOptions],
) -> TuneCall:
    """Check and plan a call of `tune`; makes or reads the puzzles and runs nothing.

    Raises:
        UsageError: a name, value or combination is wrong; says what and what to do.
        UnavailableError: the device is missing, or a data file.
    """
    axes, tries, shuffle = read_axes(grid), count_of(options, "tries"), _shuffle(options.get("shuffle", 0))
    placement = placement_of(options)
    request = request_of(options, TuneOptions, placement.kind)
    seeds = options.get("seeds")
    request = replace(request, seeds=parse_seeds(TUNE_SEEDS if seeds is None else seeds), split="validation")
    request = training_request(request, models, task, options)
    execution = replace(execution_of(options, placement, bool(options.get("force"))), dry=dry)
    plugins, names = host(), tuple(dict.fromkeys(request.models))
    for name in names:
        plugins.models.get(parse_variant(name).name)
    assert request.task is not None  # `training_request` has made sure
    with counted(execution.out) as progress:
        context = context_of(plugins, request, request.task, request.scale, progress, fetch=not dry)
    overrides = context.settings.training
    candidates = candidates_of(plugins, context.prepared.info, names, axes, tries, shuffle, overrides)
    runs = len(candidates) * len(request.seeds)
    if tries is None and runs > MOST_RUNS:
        raise UsageError(
            f"--grid: {runs:,} runs ({plural(len(candidates), 'setting')} × "
            f"{plural(len(request.seeds), 'seed')}), more than {MOST_RUNS}; draw N settings for each model "
            "with --tries N, or leave values out"
        )
    request = replace(request, models=tuple(one.variant for one in candidates))
    planned = plan_quietly(execution, request)
    folder = path_of(options.get("output")) or Path("results") / f"{planned.task.name}-{request.scale}-tune"
    return TuneCall(Call(execution, folder, planned), axes, tries, shuffle, tuple(candidates))


def _shuffle(seed: object) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"--shuffle {seed}: not a whole number from 0")
    return seed


def tune(
    models: Names,
    task: str,
    grid: Mapping[str, object] | Iterable[str],
    **options: Unpack[TuneOptions],
) -> Tuning:
    """Try settings of models and choose on the validation puzzles; the test set is never read.

    Every model is tried with the same settings under the same budget. The runs are ordinary ones, scored on
    validation: finished ones in the output folder are reused, so that a search that was stopped continues.

    Args:
        models: names by comma or in a list, with options in brackets that hold for every setting.
        task: name of the task.
        grid: values by training setting or option, e.g. ``{"lr": [0.001, 0.002]}``, or texts such as
            ``lr=0.001,0.002``.
        **options: see `TuneOptions`; any other keyword is a setting for every run, e.g. ``steps=200``.

    Raises:
        UsageError: a name, value or combination is wrong; nothing has been written.
        UnavailableError: the device, a file or a writable folder is missing.
        KeyboardInterrupt: the runs that were active have saved a checkpoint.
    """
    return prepare_tune(models, task, grid, **options).carry_out()

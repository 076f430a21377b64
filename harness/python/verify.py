"""Check results that somebody else made: files, names, scores, puzzles, and on request the training."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ..api.errors import NothingToReport, TrmBenchError, UsageError
from ..api.text import plural
from ..data.prepare import file_sha256
from ..host.calls import plugins_aside
from ..host.host import Host, host
from ..inference.scoring import score
from ..planning.grid import Context, context_of
from ..planning.identity import PROCEDURE, part_identity
from ..planning.job import Job, PlannedRun
from ..planning.request import REQUESTS, Request
from ..report.looks import reasons_of
from ..report.read import Reading, Run, read_folders
from ..running.processes import run_jobs
from ..running.progress import GridProgress
from ..running.ranks import places_of
from ..store.checked import DamagedResult, read_stamped
from ..store.folders import GRID, WEIGHTS, RunFolder
from ..store.records import Manifest, Status
from ..training.config import ExecutionConfig
from ..training.gpus import Gpu, visible_gpus
from .grids import console_of
from .options import PathLike, paths_of
from .recount import Recount, other_extras, regrouped, wrongly_citable

NO_PREDICTIONS = "no predictions kept; scores not recomputed"
OUTCOMES = {
    "bit": "retrained to the bit",
    "rounding": "retrained within rounding",
    "different": "retrained with a difference",
    "failed": "not retrained",
}


@dataclass(frozen=True)
class Verification:
    """What was checked of some folders.

    Attributes:
        problems: what is wrong, each with the file or run.
        unchecked: what could not be checked, and why.
        runs, consistent: finished runs, and those among them without a problem.
        recomputed: runs of which a score was computed again from the stored predictions.
        retrained: by run, how it came out when it was trained again, see `OUTCOMES`.
        details: by run that was trained again, the largest differences.
        remarks: see `Results.remarks`.
    """

    problems: tuple[str, ...]
    unchecked: tuple[str, ...]
    runs: int
    consistent: int
    recomputed: int
    retrained: Mapping[str, str]
    details: Mapping[str, str]
    remarks: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong and nothing came out different."""
        again = {"bit", "rounding"}.issuperset(self.retrained.values())
        return self.runs == self.consistent and again and not self.problems

    def __str__(self) -> str:
        """A sentence that may be quoted."""
        kinds = list(self.retrained.values())
        again = [
            f"{kinds.count(kind)} of {len(kinds)} {text}" for kind, text in OUTCOMES.items() if kind in kinds
        ]
        verdict = "verified" if self.ok else "NOT verified"
        whole = f"{verdict}: {self.consistent} of {plural(self.runs, 'run')} consistent"
        if self.recomputed < self.runs:
            whole += f", scores of {self.recomputed} recomputed"
        left = [f"{plural(len(self.unchecked), 'point')} not checked"] if self.unchecked else []
        return "; ".join([whole, *again, *left])


def verify(
    *folders: str | Path,
    data: str | Path | None = None,
    train: PathLike | Sequence[PathLike] | None = None,
    test: PathLike | Sequence[PathLike] | None = None,
    retrain: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> Verification:
    """Check everything that a reader of somebody else's folders can check.

    Checksums of every file; names against identities; numbers of lines; fingerprints of the puzzles, rebuilt
    where their source allows it; scores, halting steps and clusters recomputed from stored predictions and
    puzzles; parameters and FLOPs counted again; planned looks made again.

    Args:
        folders: output folders, or folders of studies.
        data: folder of the official files, for runs on them.
        train: files that they were trained on, instead of what the folder holds.
        test: files that they were tested on, likewise.
        retrain: train N finished runs again, drawn at random, from their manifests alone.
        seed: of the draw.
        progress: print what is done and an estimate, to stderr.

    Raises:
        UnavailableError: a folder does not exist, or holds no runs.
        NothingToReport: no run is finished.
        UsageError: ``data``, ``train`` or ``test`` is given, and no run reads files.
    """
    if not (isinstance(retrain, int) and 0 <= retrain <= 1000):
        raise UsageError(f"--retrain {retrain}: not a whole number from 0 to 1,000")
    reading = read_folders([Path(folder) for folder in folders])
    done = [run for run in reading.runs if run.samples is not None]
    if not done:
        raise NothingToReport(f"nothing to verify: {'; '.join(reading.problems) or 'no finished run'}")
    official = Request(data=None if data is None else Path(data), train=paths_of(train), test=paths_of(test))
    _refuse_idle_files(official, done)
    checks = _Checks(host(), official)
    wrong = {run.path: checks.problems_of(run) for run in done}
    again = _train_again(checks, done, retrain, seed, console_of({"progress": progress})) if retrain else {}
    return Verification(
        problems=tuple(_problems(reading, wrong)),
        unchecked=tuple(checks.not_checked()),
        runs=len(done) + sum(run.status == "damaged" for run in reading.runs),
        consistent=sum(not mine for mine in wrong.values()),
        recomputed=checks.recomputed,
        retrained={name: outcome for name, (outcome, _) in again.items()},
        details={name: detail for name, (_, detail) in again.items()},
        remarks=reading.remarks,
    )


def _problems(reading: Reading, wrong: Mapping[Path, Sequence[str]]) -> Iterator[str]:
    """Everything that is wrong with some folders; ``wrong`` has what was found in single runs."""
    yield from reading.problems
    for place in dict.fromkeys(run.where.parent for run in reading.runs if run.where != Path()):
        yield from _stamps(place)
    yield from (f"{path}: {one}" for path, mine in wrong.items() for one in mine)
    yield from _looks(reading.runs)


def _refuse_idle_files(official: Request, runs: Sequence[Run]) -> None:
    given = next(
        (path for path in (official.data, *official.train, *official.test) if path is not None), None
    )
    if given is not None and all(run.manifest.description.source_kind != "official" for run in runs):
        raise UsageError(f"{given}: these runs read no files; leave it out")


class _Checks:
    """The checks of single runs; puzzles are rebuilt once for all runs that share them."""

    def __init__(self, plugins: Host, official: Request):
        self.host, self.official = plugins, official
        self.unchecked: list[str] = []
        self.missing: dict[str, list[Path]] = {}
        self.recomputed = 0
        self.recount = Recount(plugins)
        self._context = cache(self._build)

    def not_checked(self) -> list[str]:
        """A line for each thing that could not be checked."""
        lines = list(dict.fromkeys(self.unchecked))
        for what, runs in self.missing.items():
            more = ", …" if len(runs) > 1 else ""
            lines.append(f"{what} ({plural(len(runs), 'run')}: {runs[0]}{more})")
        return lines

    def problems_of(self, run: Run) -> list[str]:
        """What is wrong with a finished run, beyond what reading it has found."""
        folder, manifest = RunFolder(run.where), run.manifest
        context = self.context(manifest)
        same = context is not None and context.prepared.fingerprints == manifest.identity.fingerprints
        caveats = context.prepared.source.caveats if context is not None and same else ()
        problems = [*self._weights(folder, manifest), *wrongly_citable(manifest, caveats)]
        if context is None:
            return problems
        if context.prepared.fingerprints != manifest.identity.fingerprints:
            if renamed := _renamed(context, manifest):  # the names of items have the file's in them
                self.unchecked.append(renamed)
                return problems
            return [*problems, "the puzzles that its source gives are not those it was run on"]
        with plugins_aside():
            return [
                *problems,
                *self._recounted(context, manifest),
                *self._rescored(context, folder, manifest),
            ]

    def _recounted(self, context: Context, manifest: Manifest) -> list[str]:
        """Costs that are not those of its model."""
        name = manifest.identity.part("model").full_name
        try:
            if self.recount.installed(manifest):
                budget = manifest.identity.budget
                prepared = context.prepared.for_budget(1 if budget is None else budget.augmentations)
                return self.recount.problems(prepared.info, manifest)
            why = "another version is installed"
        except Exception as error:  # a plugin's code, or none of that name
            why = str(error)
        self.unchecked.append(f"parameters and FLOPs of {name}: not counted ({why})")
        return []

    def _weights(self, folder: RunFolder, manifest: Manifest) -> list[str]:
        path = Path(manifest.weights_file) if manifest.weights_file else folder.folder / WEIGHTS
        if not manifest.weights_sha256 or (path.is_file() and file_sha256(path) == manifest.weights_sha256):
            return []
        if path.is_file() and not manifest.weights_file:
            return [f"{WEIGHTS} is not the file that was evaluated"]
        # Weights that lie elsewhere may have been replaced since.
        what = "weights that were evaluated are gone" if manifest.weights_file else "no weights kept"
        self.missing.setdefault(what, []).append(path if manifest.weights_file else folder.folder)
        return []

    def context(self, manifest: Manifest) -> Context | None:
        """Task, scale and puzzles of a run; None, and a line in `unchecked`, where they cannot be rebuilt."""
        identity, described = manifest.identity, manifest.description
        options = {**described.task_options, "task_seed": identity.task_seed}
        task = identity.part("task").full_name
        found = self._context(task, identity.scale, described.source_kind, tuple(sorted(options.items())))
        return found if isinstance(found, Context) else None

    def _build(
        self, task: str, scale: str, source: str, options: tuple[tuple[str, Any], ...]
    ) -> Context | None:
        files = self.official if source == "official" else Request()
        request = replace(files, source=source, settings=dict(options))
        try:
            return context_of(self.host, request, task, scale)
        except TrmBenchError as error:
            self.unchecked.append(
                f"puzzles of {task} at {scale}: not rebuilt ({error}); scores not recomputed"
            )
            return None

    def _rescored(self, context: Context, folder: RunFolder, manifest: Manifest) -> list[str]:
        """Differences between the stored scores and those of the stored predictions."""
        info, identity = context.prepared.info, manifest.identity
        puzzles = context.prepared.read(identity.split).take(slice(0, identity.limit))
        stored = folder.records()
        if [record["item"] for record in stored] != puzzles.ids.tolist():
            return [f"its {identity.split} items are not those of its puzzles"]
        problems = regrouped(stored, puzzles)
        if not manifest.predictions_sha256:
            self.missing.setdefault(NO_PREDICTIONS, []).append(folder.folder)
            return problems
        try:
            predictions = folder.predictions()
        except DamagedResult:
            return problems  # named by the reading
        if (held := len(predictions.tokens)) != len(puzzles):
            return [*problems, f"it holds predictions for {held} items, not for {len(puzzles)}"]
        features = context.prepared.features() if identity.split == "test" else {}
        features = {name: column[: len(puzzles)] for name, column in features.items()}
        counted = False
        for scorer in manifest.scored_by:
            try:
                part = self.host.evaluators.get(scorer.full_name)
                if part_identity("evaluator", part) != scorer:
                    self.unchecked.append(f"{scorer.full_name}: another version is installed; not recomputed")
                    continue
                again = score([part.spec], info, puzzles, predictions, features)
            except Exception as error:  # plugins' code, or more votes than a run keeps
                self.unchecked.append(f"{scorer.name}: not recomputed ({error})")
                continue
            counted = True
            pairs = zip(stored, again, strict=True)
            wrong = [
                old["item"] for old, new in pairs if old["scores"][scorer.name] != new.scores[scorer.name]
            ]
            problems += other_extras(stored, again)
            if wrong:
                problems.append(
                    f"{scorer.name} of {plural(len(wrong), 'item')} is not that of its prediction: {wrong[0]}"
                )
        self.recomputed += counted
        return list(dict.fromkeys(problems))


def _renamed(context: Context, manifest: Manifest) -> str:
    """That the files are the right ones and have other names; empty where they are not, or have not."""
    here = {file.sha256: file.name for file in context.prepared.source.files}
    there = {file["sha256"]: file["name"] for file in manifest.description.files}
    if here.keys() != there.keys() or here == there:
        return ""
    names = ", ".join(f"{here[key]} was {name}" for key, name in there.items() if here[key] != name)
    return f"puzzles: not rebuilt, since their files had other names ({names}); rename them"


def _looks(runs: Sequence[Run]) -> list[str]:
    """Planned looks of an output folder that are not what its runs give."""
    groups: dict[Path, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.folder, []).append(run)
    return [f"{place}: {reason}" for place, mine in groups.items() for reason in reasons_of(mine)]


def _stamps(folder: Path) -> list[str]:
    """What is wrong with an output folder's own files that no table reads."""
    problems = []
    for path in (folder / GRID, folder / REQUESTS):
        if path.exists():
            try:
                read_stamped(path)
            except DamagedResult as error:
                problems.append(str(error))
    return problems


def _train_again(
    checks: _Checks, runs: Sequence[Run], count: int, seed: int, out: Console
) -> dict[str, tuple[str, str]]:
    """Train runs drawn at random again, and compare: how each came out, and a sentence."""
    trained = [run for run in runs if not run.manifest.weights_file and run.manifest.ledger.optimiser_steps]
    drawn = random.Random(seed).sample(trained, min(count, len(trained)))
    if len(drawn) < count:
        checks.unchecked.append(
            f"--retrain {count}: only {plural(len(drawn), 'finished run')} can be trained"
        )
    outcomes = {}
    for run in drawn:
        if (made_by := run.manifest.identity.procedure) != PROCEDURE:
            outcomes[run.name] = "failed", _another_procedure(made_by)
            continue
        context = checks.context(run.manifest)
        if context is None:
            outcomes[run.name] = "failed", "its puzzles cannot be rebuilt, so it cannot be trained again"
            continue
        ledger = run.manifest.ledger
        work = (ledger.training_flops, ledger.inference_flops_per_puzzle * run.manifest.samples)
        with tempfile.TemporaryDirectory() as scratch:
            job = _job(checks.host, context, run, Path(scratch))
            with plugins_aside(), GridProgress(out, {run.name: work}, 1) as watch:
                place = _place(run.manifest.identity.device, job.execution.processes)
                ended = run_jobs([job], checks.host, watch, [place])
            again = RunFolder(job.folder / run.name)
            if ended[run.name] is not Status.DONE:
                outcomes[run.name] = "failed", f"it failed: {again.manifest().error}"
            else:
                outcomes[run.name] = _compared(RunFolder(run.where), again)
    return outcomes


def _another_procedure(version: int) -> str:
    return (
        f"trained by version {version} of the training procedure; this program has version {PROCEDURE} and "
        "cannot repeat it"
    )


def _place(device: str, processes: int) -> Gpu | None:
    return next(iter(places_of(visible_gpus() if device == "cuda" else (), processes)), None)


def _job(plugins: Host, context: Context, run: Run, folder: Path) -> Job:
    """The job that a manifest describes, scored by those of its evaluators that are installed."""
    manifest, identity = run.manifest, run.manifest.identity
    installed = {part.full_name for part in plugins.evaluators.parts}
    scored_by = tuple(part for part in manifest.scored_by if part.full_name in installed)
    planned = PlannedRun(run.name, identity, manifest.description, scored_by)
    count = 1 if identity.budget is None else identity.budget.augmentations
    execution = ExecutionConfig(**manifest.execution)
    return Job((planned,), context.prepared.for_budget(count), execution, folder=folder, fresh=True)


def _compared(old: RunFolder, new: RunFolder) -> tuple[str, str]:
    """Whether two trainings of one run came out the same, and by how much they differ."""
    before, after = old.manifest(), new.manifest()
    names = [name for name in before.evaluators if name in after.evaluators]
    scores = [
        np.array([[record["scores"][name] for name in names] for record in folder.records()])
        for folder in (old, new)
    ]
    first, second = (folder.predictions() for folder in (old, new))
    same = np.array_equal(first.tokens, second.tokens) and np.array_equal(scores[0], scores[1])
    if same and before.tensors_sha256 == after.tensors_sha256:
        return "bit", "predictions, scores and weights are the same to the bit"
    changed = int((scores[0] != scores[1]).any(axis=1).sum())
    means = 100 * float(np.abs(scores[0].mean(axis=0) - scores[1].mean(axis=0)).max(initial=0))
    weights = _weight_difference(old, new)
    text = f"{plural(changed, 'test item')} scored otherwise, mean scores differ by up to {means:.2f} points"
    if weights is None:
        return "different" if changed else "rounding", f"{text}; the weights are not there to be compared"
    text += f"; weights differ by up to {weights:.1e} of the largest"
    return ("rounding" if not changed and weights <= ROUNDING else "different"), text


ROUNDING = 1e-3
"""Largest difference of two weights, by the largest of their tensor, that rounding explains."""


def _weight_difference(old: RunFolder, new: RunFolder) -> float | None:
    from safetensors.numpy import load_file

    paths = [folder.folder / WEIGHTS for folder in (old, new)]
    if not all(path.is_file() for path in paths):
        return None
    first, second = (load_file(path) for path in paths)
    if first.keys() != second.keys():
        return float("inf")
    return max(
        float(np.abs(first[name].astype(float) - second[name].astype(float)).max(initial=0))
        / (float(np.abs(first[name]).max(initial=0)) or 1.0)
        for name in first
    )

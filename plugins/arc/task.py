"""The tasks arc-agi-1 and arc-agi-2: their three splits, the same way from every source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...harness.api.errors import DataError, UsageError
from ...harness.api.puzzles import Identities, PuzzleSet, TaskData, TaskInfo
from ...harness.api.randomness import hashed, named_seed
from ...harness.api.specs import BuildRequest
from .choose import Chosen, choose
from .grids import MAX_SIDE, VOCAB_SIZE, to_canvases
from .scales import SHAPES, Shape
from .symmetry import orbit_of
from .tasks import ArcTask, Pair, find_leaks


def build(name: str, request: BuildRequest) -> TaskData:
    """The three splits of a scale of the task ``name``.

    Raises:
        UsageError: an option has no such value, or does not fit the source.
        DataError: a file is missing or wrong, or a training task gives an evaluation task away.
    """
    shape = SHAPES[name][request.scale]
    transductive = _truth(request.options.get("transductive", "true"))
    chosen = _labelled(choose(name, request), transductive)
    return _splits(name, request, _small_enough(chosen, shape, request), shape, transductive)


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise UsageError(f"--set transductive={text}: write true or false")
    return text == "true"


def _labelled(chosen: Chosen, transductive: bool) -> Chosen:
    """The source says what was trained on."""
    label = " + evaluation demonstrations (transductive)" if transductive else " alone (not transductive)"
    return replace(chosen, source=replace(chosen.source, summary=chosen.source.summary + label))


def _small_enough(chosen: Chosen, shape: Shape, request: BuildRequest) -> Chosen:
    """The tasks whose grids fit the canvas, and stand-ins for evaluation tasks where the scale has them."""
    if shape.side == MAX_SIDE:
        return chosen
    training, concepts, evaluation = (
        tuple(task for task in tasks if task.largest_side <= shape.side)
        for tasks in (chosen.training, chosen.concepts, chosen.evaluation)
    )
    summary = f"{chosen.source.summary}, grids up to {shape.side}x{shape.side}"
    if shape.stand_ins and chosen.known:  # of a set of one's own the tasks are taken as they are
        order = _shuffled(training, "stand-ins", request.seed)
        stand_ins, training = order[: shape.stand_ins], tuple(order[shape.stand_ins :])
        evaluation = (*evaluation, *stand_ins)
        again = {leak.training for leak in find_leaks((*training, *concepts), evaluation)}
        training, concepts = (
            tuple(task for task in tasks if task.id not in again) for tasks in (training, concepts)
        )
        summary += f", {len(stand_ins)} of {len(evaluation)} test tasks are training tasks"
    for role, tasks in (("training", training), ("evaluation", evaluation)):
        if not tasks and (role == "evaluation" or request.training):
            raise DataError(
                f"no {role} task has all its grids within {shape.side}x{shape.side}; use --scale lite"
            )
    caveats = (*chosen.source.caveats, *_left_out(chosen, shape.side))
    source = replace(chosen.source, summary=summary, caveats=caveats)
    return replace(
        chosen, training=_sorted(training), concepts=concepts, evaluation=_sorted(evaluation), source=source
    )


def _left_out(chosen: Chosen, side: int) -> list[str]:
    """How many tasks of a set of one's own do not fit the canvas; of a public one, the scale says it."""
    sets = {"evaluation": chosen.evaluation, "training": (*chosen.training, *chosen.concepts)}
    counts = {role: sum(task.largest_side > side for task in tasks) for role, tasks in sets.items()}
    named = [f"{count} of {len(sets[role])} {role}" for role, count in counts.items() if count]
    if chosen.known or not named:
        return []
    return [f"{' and '.join(named)} tasks are larger than {side}x{side} and left out; --scale lite takes all"]


def _sorted(tasks: Sequence[ArcTask]) -> tuple[ArcTask, ...]:
    return tuple(sorted(tasks, key=lambda task: task.id))


def _shuffled(tasks: Sequence[ArcTask], purpose: str, seed: int) -> list[ArcTask]:
    keys = hashed(named_seed("ARC", purpose, seed), np.arange(len(tasks)))
    return [tasks[place] for place in np.argsort(keys, kind="stable").tolist()]


def _splits(name: str, request: BuildRequest, chosen: Chosen, shape: Shape, transductive: bool) -> TaskData:
    tasks = _sorted((*chosen.training, *chosen.concepts, *chosen.evaluation))
    orbits = [orbit_of(task) for task in tasks]
    identities = Identities(
        np.array([task.id for task in tasks]),
        np.array([orbit.count for orbit in orbits], np.int64),
        np.array([orbit.to_text() for orbit in orbits]),
    )
    place = {task.id: row for row, task in enumerate(tasks)}
    held_out = {task.id for task in _shuffled(chosen.training, "validation", request.seed)[: shape.held_out]}
    trained_on = _sorted((*chosen.training, *chosen.concepts))
    train = [pair for task in trained_on for pair in _pairs(task, test=task.id not in held_out)]
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

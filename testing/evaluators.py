"""Conformance checks of evaluators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..harness.api.errors import UsageError
from ..harness.api.puzzles import TaskData
from ..harness.api.specs import BuildRequest, EvaluatorSpec, Sample
from ..harness.host.host import host
from .findings import Check, Finding, Wrong, require, run_checks
from .tasks import ITEMS, answered
from .tiny import TINY_TASK

_EVALUATE = "`evaluate`"


@dataclass(frozen=True)
class Subject:
    """An evaluator on puzzles of a task that it fits."""

    spec: EvaluatorSpec
    data: TaskData
    votes: bool

    def samples(self, answers: str = "targets", order: Sequence[int] | None = None) -> Sequence[Sample]:
        """Its samples for predictions that are the targets, ``mixed`` with inputs, or all ``changed``."""
        from ..harness.inference.scoring import read_only  # needs scipy

        puzzles = self.data.test.take(slice(0, ITEMS))
        if order is not None:
            puzzles = puzzles.take(np.asarray(order))
        given = puzzles.targets.copy()
        if answers == "mixed":
            wrong = np.isin(puzzles.ids, self.data.test.ids[: len(puzzles) // 2])
            given[wrong] = puzzles.inputs[wrong]
        if answers == "changed":
            given = (puzzles.targets % (self.data.info.vocab_size - 1) + 1).astype(np.uint8)
        predictions = answered(puzzles, given, self.votes)
        with read_only(puzzles, predictions):
            return list(self.spec.evaluate(self.data.info, puzzles, predictions))


def check_evaluator(evaluator: str | EvaluatorSpec, task: str | None = None) -> tuple[Finding, ...]:
    """Check an evaluator on the puzzles of a task.

    Args:
        evaluator: its name, or a spec that is not registered.
        task: by default the first that it names, else `TINY_TASK`.

    Raises:
        UsageError: a name is not known.
        NotConforming: a check failed; names each of them.
    """
    name = evaluator if isinstance(evaluator, str) else evaluator.name
    return require(f"evaluator {name}", find_in_evaluator(evaluator, task))


def find_in_evaluator(evaluator: str | EvaluatorSpec, task: str | None = None) -> tuple[Finding, ...]:
    """As `check_evaluator`, but failures are findings too."""
    spec = host().evaluators.get(evaluator).spec if isinstance(evaluator, str) else evaluator
    name = task or (spec.tasks[0] if spec.tasks else None)
    task_spec = TINY_TASK if name is None else host().tasks.get(name).spec
    if spec.tasks and task_spec.name not in spec.tasks:
        raise UsageError(f"evaluator {spec.name!r} fits {', '.join(spec.tasks)}, not {task!r}")
    scale = "mini" if "mini" in task_spec.scales else next(iter(task_spec.scales))
    data = task_spec.build(BuildRequest(scale, 0, task_spec.sources[0]))
    return run_checks(CHECKS, Subject(spec, data, task_spec.scales[scale].votes is not None))


def _one_each(subject: Subject) -> str:
    samples, puzzles = subject.samples(), subject.data.test.take(slice(0, ITEMS))
    if [sample.item for sample in samples] != puzzles.ids.tolist():
        raise Wrong(f"{len(samples)} samples for {len(puzzles)} puzzles, or in another order")
    if [sample.cluster for sample in samples] != puzzles.clusters.tolist():
        raise Wrong("Sample.cluster must be that of the puzzle: the intervals depend on it")
    return f"{len(samples)} samples of task {subject.data.info.task}"


def _bounded(subject: Subject) -> None:
    for answers in ("targets", "mixed"):
        for sample in subject.samples(answers):
            if not 0 <= sample.score <= 1:
                raise Wrong(f"item {sample.item}: score {sample.score} is not from 0 to 1")


def _right(subject: Subject) -> None:
    scores = [sample.score for sample in subject.samples()]
    if min(scores) < 1:
        raise Wrong(f"the task's own targets score {min(scores):g} to {max(scores):g}; expected 1")


def _refuses(subject: Subject) -> None:
    right, mixed = ([s.score for s in subject.samples(answers)] for answers in ("targets", "mixed"))
    if min(right) < 1 or min(mixed) < 1:  # of right answers that are not, another check speaks
        return
    if min(sample.score for sample in subject.samples("changed")) >= 1:  # an input may keep what is asked
        raise Wrong("with predictions replaced by inputs, or every token changed, scores are no lower")


def _alone(subject: Subject) -> None:
    count = min(len(subject.data.test), ITEMS)
    order = list(range(count))[::-1]
    for answers in ("targets", "mixed"):
        forward, back = subject.samples(answers), subject.samples(answers, order)
        if [s.score for s in forward] != [s.score for s in back][::-1]:
            raise Wrong("an item's score changes with the other items")


def _again(subject: Subject) -> None:
    if subject.samples("mixed") != subject.samples("mixed"):
        raise Wrong("the same predictions were scored in two ways")


def _numbers(subject: Subject) -> None:
    for sample in subject.samples("mixed"):
        for name, value in sample.extras.items():
            if not np.isfinite(value):
                raise Wrong(f"item {sample.item}: extra {name} is {value}")


CHECKS: list[tuple[Check, Callable[[Subject], str | None]]] = [
    (Check("it gives one sample per test item, in their order", _EVALUATE, essential=True), _one_each),
    (Check("scores are from 0 to 1", _EVALUATE), _bounded),
    (Check("the target scores 1", _EVALUATE), _right),
    (Check("wrong predictions score less", _EVALUATE), _refuses),
    (Check("items are scored each for itself", _EVALUATE), _alone),
    (Check("the same predictions get the same scores", _EVALUATE), _again),
    (Check("extras are finite numbers", _EVALUATE), _numbers),
]

"""One puzzle: the answer to it after every supervision step, and what is known of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..api.embedding_rows import BLANK
from ..api.puzzles import PAD, TaskInfo, Tokens
from ..api.reasoner import Output, Reasoner, halt_decision
from ..api.specs import Obeys, Question, TaskSpec
from ..data.prepare import Prepared
from ..training.device import autocast
from .inference import Answering

BLANK_IDENTITY = "the puzzle has no trained identity: its vector is blank, expect little"


@dataclass(frozen=True)
class Step:
    """What a model answers after one supervision step.

    Attributes:
        number: of the step, from 1.
        answer: (L,) token codes.
        halt_probability: sigmoid of the halt logit; None for a model without one.
        wants_to_halt: whether the model's own halting rule says stop here. No step is skipped for it.
    """

    number: int
    answer: Tokens
    halt_probability: float | None
    wants_to_halt: bool


def trace(
    model: Reasoner, question: Question, row: int, how: Answering, steps: int | None = None
) -> list[Step]:
    """Answer one puzzle; leaves the model in its mode.

    Args:
        model: with its weights, on the device.
        question: the puzzle.
        row: of the puzzle embedding.
        how: device and precision.
        steps: supervision steps; the model's own number where None.
    """
    inputs = torch.from_numpy(question.inputs.astype(np.int64)).to(how.device)
    ids = torch.tensor([row], device=how.device)
    training = model.training
    model.eval()
    found = []
    try:
        with torch.inference_mode(), autocast(how.device, how.precision):
            state = model.initial_state(1)
            for number in range(1, 1 + (steps or model.supervision_steps)):
                state, output = model(state, inputs, ids)
                found.append(_step(number, model, output))
    finally:
        model.train(training)
    return found


def _step(number: int, model: Reasoner, output: Output) -> Step:
    answer = output.logits[0].argmax(-1).to(torch.uint8).cpu().numpy()
    halt = None if output.q_halt is None else output.q_halt[0].float().cpu().double().sigmoid().item()
    return Step(number, answer, halt, bool(halt_decision(model.halting, output)[0]))


def wrong_cells(question: Question, answer: Tokens) -> list[int]:
    """The cells of an answer (L,) that are not as in the truth; none where that is not known."""
    if question.targets is None:
        return []
    target = question.targets[0]
    cells: list[int] = np.flatnonzero((target != PAD) & (target != answer)).tolist()
    return cells


def changed_cells(steps: Sequence[Step], place: int) -> list[int]:
    """The cells of ``steps[place]`` that are not as they were a step before; none of the first."""
    if place == 0:
        return []
    cells: list[int] = np.flatnonzero(steps[place].answer != steps[place - 1].answer).tolist()
    return cells


@dataclass(frozen=True)
class Row:
    """The row of the puzzle embedding that a puzzle is answered with.

    Attributes:
        number: of the row.
        identity: the name that it belongs to; None for a task without identities, or where none was named.
        blank: whether the task has identities and this puzzle no trained one.
    """

    number: int
    identity: str | None = None
    blank: bool = False


def puzzle_row(prepared: Prepared, name: str | None) -> Row:
    """The row of an identity as it is, not of a variant; the blank one where it was not trained on."""
    rows, identities = prepared.rows, prepared.identities
    if rows is None or identities is None:
        return Row(0)
    place = np.flatnonzero(identities.names == (name or ""))
    number = int(rows.of(place, np.zeros(1, np.int64))[0]) if place.size else BLANK
    return Row(number, name, number == BLANK)


@dataclass(frozen=True)
class Solved:
    """One question and all that is to be said of it.

    Attributes:
        question: as it was typed.
        row: of the puzzle embedding.
        steps: the answers.
        obeys: what the task says of the last answer.
        wrong: cells of the last answer that differ; None where the truth is not known.
    """

    question: Question
    row: Row
    steps: Sequence[Step]
    obeys: Obeys
    wrong: int | None

    @property
    def right(self) -> bool | None:
        """Whether the last answer is the true one; None where that is not known."""
        if self.obeys.right is not None or self.wrong is None:
            return self.obeys.right
        return self.wrong == 0


def judged(spec: TaskSpec, info: TaskInfo, question: Question, row: Row, steps: Sequence[Step]) -> Solved:
    """The last answer held against the truth, where that is known, and against the task's rules."""
    last = steps[-1].answer
    obeys = Obeys(None, "no rule to check: the task names none")
    if spec.rules is not None:
        obeys = spec.rules(info, question, last)
    wrong = None if question.targets is None else len(wrong_cells(question, last))
    return Solved(question, row, steps, obeys, wrong)


def verdict(solved: Solved) -> list[str]:
    """What is known of the last answer, in a sentence a line."""
    truth, obeys, wrong = solved.question.truth, solved.obeys, solved.wrong
    differ = f"{wrong} cell{'s' * (wrong != 1)} differ{'s' * (wrong == 1)} from {truth}"
    if solved.right:
        lines = [f"solved: equals {truth}"]
    elif solved.right is None:
        lines = ["the true answer is not known"]
    elif obeys.ok:
        lines = [f"solved another way: {differ}"]
    else:
        lines = [f"wrong: {differ}"]
    said = {True: f"obeys the rules: {obeys.words}", False: f"breaks the rules: {obeys.words}"}
    lines.append(obeys.words if obeys.ok is None else said[obeys.ok])
    stops = [step.number for step in solved.steps if step.wants_to_halt]
    if stops:
        lines.append(f"its own rule would have stopped after step {stops[0]} of {len(solved.steps)}")
    return lines

"""One puzzle: the prediction after every supervision step, and what is known of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..api.embedding_rows import BLANK
from ..api.puzzles import PAD, PuzzleSet, TaskInfo, Tokens
from ..api.reasoner import Reasoner
from ..api.specs import Puzzle, RuleCheck, TaskSpec
from ..data.prepare import Prepared
from .inference import Depths, InferenceConfig, infer

BLANK_IDENTITY = "the puzzle has no trained identity, so its puzzle embedding is blank: expect little"


@dataclass(frozen=True)
class Step:
    """The prediction after one supervision step.

    Attributes:
        number: of the step, from 1.
        tokens: (L,) token codes.
        halt_probability: sigmoid of the halt logit; None for a model without one.
        stops: whether the model's own rule would have stopped here first. No step is skipped for it.
    """

    number: int
    tokens: Tokens
    halt_probability: float | None
    stops: bool


def trace(
    model: Reasoner, puzzle: Puzzle, row: int, config: InferenceConfig, steps: int | None = None
) -> list[Step]:
    """Predict one puzzle; leaves the model in its mode.

    Args:
        model: with its weights, on the device.
        puzzle: to predict.
        row: of the puzzle embedding.
        config: device and precision.
        steps: supervision steps; the model's own number where None.
    """
    name, blank = np.array(["puzzle"]), np.zeros_like(puzzle.inputs)
    puzzles = PuzzleSet(puzzle.inputs, blank, name, name, np.array([row], np.int32))
    depths = Depths(tuple(range(1, 1 + (steps or model.supervision_steps))))
    found: list[Step] = []
    stopped = False
    for number, read in enumerate(infer(model, puzzles, config, depths), start=1):
        probability = float(read.predictions.halt_probability[0])
        stops = bool(read.stopped[0]) and not stopped
        stopped = stopped or stops
        halt = None if np.isnan(probability) else probability
        found.append(Step(number, read.predictions.tokens[0], halt, stops))
    return found


def wrong_cells(puzzle: Puzzle, tokens: Tokens) -> list[int]:
    """The cells of a prediction (L,) that differ from the solution; empty where that is unknown."""
    if puzzle.targets is None:
        return []
    target = puzzle.targets[0]
    cells: list[int] = np.flatnonzero((target != PAD) & (target != tokens)).tolist()
    return cells


def changed_cells(steps: Sequence[Step], place: int) -> list[int]:
    """The cells of ``steps[place]`` that differ from the step before; empty for the first."""
    if place == 0:
        return []
    cells: list[int] = np.flatnonzero(steps[place].tokens != steps[place - 1].tokens).tolist()
    return cells


@dataclass(frozen=True)
class EmbeddingRow:
    """The row of the puzzle embedding that a puzzle is predicted with.

    Attributes:
        number: of the row.
        identity: the name that it belongs to; None for a task without identities, or where none was named.
        blank: whether the task has identities and this puzzle no trained one.
    """

    number: int
    identity: str | None = None
    blank: bool = False


def puzzle_row(prepared: Prepared, name: str | None) -> EmbeddingRow:
    """The row of an identity as it is, not of an augmentation; the blank one where it was not trained on."""
    rows, identities = prepared.rows, prepared.identities
    if rows is None or identities is None:
        return EmbeddingRow(0)
    place = np.flatnonzero(identities.names == (name or ""))
    number = int(rows.of(place, np.zeros(1, np.int64))[0]) if place.size else BLANK
    return EmbeddingRow(number, name, number == BLANK)


@dataclass(frozen=True)
class Solved:
    """One puzzle and everything that is known about its prediction.

    Attributes:
        puzzle: as it was typed.
        row: of the puzzle embedding.
        steps: the predictions.
        check: what the task's rules say of the last one.
        wrong: number of cells of the last one that differ; None where the solution is unknown.
    """

    puzzle: Puzzle
    row: EmbeddingRow
    steps: Sequence[Step]
    check: RuleCheck
    wrong: int | None

    @property
    def correct(self) -> bool | None:
        """Whether the last prediction is the solution; None where that is unknown."""
        if self.check.correct is not None or self.wrong is None:
            return self.check.correct
        return self.wrong == 0


def judged(
    spec: TaskSpec, info: TaskInfo, puzzle: Puzzle, row: EmbeddingRow, steps: Sequence[Step]
) -> Solved:
    """Compare the last prediction with the solution, where it is known, and with the task's rules."""
    last = steps[-1].tokens
    check = RuleCheck(None, "no rule to check: the task has none")
    if spec.check_rules is not None:
        check = spec.check_rules(info, puzzle, last)
    wrong = None if puzzle.targets is None else len(wrong_cells(puzzle, last))
    return Solved(puzzle, row, steps, check, wrong)


def verdict(solved: Solved) -> list[str]:
    """Sentences about the last prediction, one a line."""
    truth, check, wrong = solved.puzzle.truth, solved.check, solved.wrong
    differ = f"{wrong} cell{'s' * (wrong != 1)} differ{'s' * (wrong == 1)} from {truth}"
    if solved.correct:
        lines = [f"solved: equals {truth}"]
    elif solved.correct is None:
        lines = ["the solution is unknown"]
    elif check.valid:
        lines = [f"solved another way: {differ}"]
    else:
        lines = [f"wrong: {differ}"]
    rules = {True: f"obeys the rules: {check.reason}", False: f"breaks the rules: {check.reason}"}
    lines.append(check.reason if check.valid is None else rules[check.valid])
    stops = [step.number for step in solved.steps if step.stops]
    if stops:
        lines.append(f"its own rule would have stopped after step {stops[0]} of {len(solved.steps)}")
    return lines

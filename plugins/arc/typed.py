"""An ARC task from a file of its own, and what can be said of a prediction for it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from ...harness.api.errors import DataError, UsageError
from ...harness.api.puzzles import TaskInfo, Tokens
from ...harness.api.reading import unique
from ...harness.api.specs import Puzzle, RuleCheck
from .grids import Grid, cropped, to_canvases
from .tasks import Asked, read_asked

WHERE = "the ARC task"
NO_RULE = "no rule to check: ARC predictions can only be compared with the true grid"


def parse(text: str, info: TaskInfo) -> Sequence[Puzzle]:
    """A question for each test input of a task in its JSON form; outputs of test pairs may be left out.

    Raises:
        UsageError: it is no such task, or a grid is too large for the canvas.
    """
    try:
        content = json.loads(text, object_pairs_hook=unique)
        asked = read_asked(content, WHERE)
    except DataError as error:
        raise UsageError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{WHERE} cannot be read as JSON ({error})") from error
    for index, one in enumerate(asked):
        for part, grid in (("input", one.input), ("output", one.output)):
            _require_room(grid, f"{WHERE}, test {index}, {part}", info)
    return [
        _question(one, f"ARC task, test {number} of {len(asked)}", info)
        for number, one in enumerate(asked, 1)
    ]


def check_rules(info: TaskInfo, puzzle: Puzzle, tokens: Tokens) -> RuleCheck:
    """No more than whether the grid that is read off the prediction is the true one, where that is known."""
    grid = cropped(tokens[None], info.height)[0]
    where = "read off the prediction"
    read = f"the {_size(grid)} grid {where}" if grid.size else "the prediction, which holds no grid,"
    if puzzle.targets is None:
        return RuleCheck(None, f"{NO_RULE}, which is not in the file")
    truth = cropped(puzzle.targets, info.height)[0]
    if np.array_equal(grid, truth):
        return RuleCheck(None, f"{NO_RULE}; {read} is that grid", correct=True)
    size = f", which is {_size(truth)}" if grid.shape != truth.shape else ""
    return RuleCheck(None, f"{NO_RULE}; {read} is not that grid{size}", correct=False)


def _question(one: Asked, title: str, info: TaskInfo) -> Puzzle:
    targets = None if one.output is None else to_canvases([one.output], info.height)
    inputs = to_canvases([one.input], info.height)
    return Puzzle(inputs, targets, None, f"{title}, {_size(one.input)} grid", truth="the true grid")


def _require_room(grid: Grid | None, where: str, info: TaskInfo) -> None:
    if grid is not None and max(grid.shape) > info.height:
        canvas = f"{info.height}×{info.width} canvas of {info.task} at {info.scale}"
        raise UsageError(f"{where}: a {_size(grid)} grid does not fit the {canvas}")


def _size(grid: Grid) -> str:
    return f"{grid.shape[0]}×{grid.shape[1]}"

"""The tasks maze-hard and maze-unique and their evaluators. Importing it imports neither torch nor numba."""

from __future__ import annotations

from ...harness.api.hookspecs import hookimpl
from ...harness.api.specs import EvaluatorSpec, TaskSpec
from .evaluate import EVALUATORS
from .task import TASK
from .unique import TASK as UNIQUE_TASK


@hookimpl
def trm_bench_register_tasks() -> list[TaskSpec]:
    """Maze-Hard and Maze-Unique."""
    return [TASK, UNIQUE_TASK]


@hookimpl
def trm_bench_register_evaluators() -> list[EvaluatorSpec]:
    """Valid path and shortest path."""
    return EVALUATORS

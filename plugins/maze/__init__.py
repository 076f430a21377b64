"""The task maze-hard and its evaluators. Importing this imports neither torch nor numba."""

from __future__ import annotations

from ...harness.api.hookspecs import hookimpl
from ...harness.api.specs import EvaluatorSpec, TaskSpec
from .evaluate import EVALUATORS
from .task import TASK


@hookimpl
def trm_bench_register_tasks() -> list[TaskSpec]:
    """Maze-Hard."""
    return [TASK]


@hookimpl
def trm_bench_register_evaluators() -> list[EvaluatorSpec]:
    """Valid path and shortest path."""
    return EVALUATORS

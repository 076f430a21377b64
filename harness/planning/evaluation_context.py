"""On which puzzles stored weights are evaluated, and how: as requested, else as they were trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..api.errors import UsageError
from ..api.specs import Progress, TaskSpec, no_progress
from ..host.host import Host
from ..training.config import AT_EVALUATION, TrainingConfig
from .grid import Context, context_of
from .job import StoredWeights
from .request import Request
from .settings import BUDGET_KEYS

DEFAULT = "the default"
"""In place of an option of the task that some weights were trained without."""


def evaluation_context(
    host: Host,
    request: Request,
    weights: Sequence[StoredWeights],
    progress: Progress = no_progress,
    fetch: bool = True,
) -> Context:
    """Task, scale, source and settings of an evaluation: as requested, else as in training; see `context_of`.

    Raises:
        UsageError: the weights differ in one of them, or do not say it.
    """
    origins = [stored.origin for stored in weights if stored.origin is not None]
    task = _the_one("--task", request.task, [origin.identity.part("task").full_name for origin in origins])
    if task is None:
        raise UsageError("--task is missing: external weights do not say what they were trained on")
    spec = host.tasks.get(task).spec
    scale = _the_one("--scale", request.scale, [origin.identity.scale for origin in origins])
    kept = _kept_settings(request, [origin.identity.task_seed for origin in origins], "task_seed")
    options = [origin.description.task_options for origin in origins]
    for key in dict.fromkeys(key for one in options for key in one):
        kept |= _kept_settings(request, [one.get(key, DEFAULT) for one in options], key)
    source = request.source
    if source is None and not request.reads_files:
        source = _the_one("--source", None, [origin.description.source_kind for origin in origins])
    if source == "official" and not request.reads_files:
        raise UsageError(
            "the weights were trained on official puzzles: give the folder of their files with --data, or "
            "the puzzles to evaluate on with --test FILE, or write --source hub"
        )
    settings = {**kept, **request.settings}
    _refuse_training(request)
    completed = replace(request, source=source, settings=settings)
    context = context_of(host, completed, task, scale or _usual_scale(spec), progress, fetch=fetch)
    if not context.prepared.counts[request.split]:
        raise UsageError(f"--split {request.split}: these data have no {request.split} puzzles")
    return context


def _the_one(option: str, requested: str | None, values: Sequence[str]) -> str | None:
    if requested is not None:
        return requested
    kinds = list(dict.fromkeys(values))
    if len(kinds) > 1:
        raise UsageError(f"weights of several kinds ({', '.join(kinds)}); choose one with {option}")
    return kinds[0] if kinds else None


def _kept_settings(request: Request, values: Sequence[Any], key: str) -> dict[str, Any]:
    """A setting of the puzzles as in training, where it is not requested.

    Raises:
        UsageError: the weights were trained with several of its values, which are other puzzles.
    """
    kinds = sorted({repr(value): value for value in values}.values(), key=lambda value: value == DEFAULT)
    if key in request.settings or not kinds:
        return {}
    if len(kinds) > 1:
        several = ", ".join(map(str, kinds))
        raise UsageError(
            f"the weights were trained with several values of {key} ({several}); choose the puzzles to "
            f"evaluate on with --set {key}={kinds[0]}, or name weights of one"
        )
    return {} if kinds[0] == DEFAULT else {key: kinds[0]}


def _refuse_training(request: Request) -> None:
    """Weights are trained already.

    Raises:
        UsageError: a setting is one of training, or of a training budget.
    """
    for key, value in request.settings.items():
        training = key in TrainingConfig.model_fields and key not in AT_EVALUATION
        if training or key in (*BUDGET_KEYS, "compile", "graph", "validations"):
            raise UsageError(f"setting {key}={value}: the weights are trained already")


def _usual_scale(spec: TaskSpec) -> str:
    """External weights are most often of the published size."""
    return "paper" if "paper" in spec.scales else next(iter(spec.scales))

"""What of a study cannot be had at a scale or with its models, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..api.errors import UsageError, nearest
from ..api.reasoner import Reasoner
from ..api.specs import TaskSpec
from .evaluation_mode import EvaluationMode, obstacle
from .grid import Grid
from .models import parse_variant
from .study import StudyDefinition, subject

PUBLISHED = "paper"


def check_scales(study: StudyDefinition, spec: TaskSpec, scale: str, file: str) -> None:
    """Whether a study may be run at a scale; ``file`` is where it is declared, for the message.

    At `PUBLISHED`, whose runs are compared with published ones, noise has to be declared for that scale: σ is
    chosen on validation puzzles, and those of a smaller scale say nothing about it.

    Raises:
        UsageError: the study names a scale that the task does not have, or is not for this one.
    """
    shares = {f"grids.{name}.share": grid.share for name, grid in study.grids.items()}
    for place, scales in {"scales": study.scales or (), **shares}.items():
        for name in scales:
            if name not in spec.scales:
                raise UsageError(
                    f"study {study.name}: {place}: task {spec.name!r} has no scale {name!r}; "
                    f"{nearest(name, spec.scales)}"
                )
    if study.scales is not None and scale not in study.scales:
        raise UsageError(
            f"study {study.name}: is for scale {', '.join(study.scales)}, not for {scale}: its models and "
            f"evaluations have numbers of that scale; copy {file}, change them, and write scales: [{scale}] "
            "into the copy"
        )
    if scale == PUBLISHED and study.scales is None:
        _refuse_undeclared_noise(study)


def _refuse_undeclared_noise(study: StudyDefinition) -> None:
    for text in study.evaluations:
        rollouts = EvaluationMode.parse(text).rollouts
        if rollouts is not None and rollouts.noise:
            raise UsageError(
                f"study {study.name}: evaluations: {text}: this σ is not declared for scale {PUBLISHED}; "
                "choose one there with evaluate --split validation, and write "
                f"scales: [{PUBLISHED}] into the study's file"
            )


def twins(grids: Mapping[str, Grid]) -> list[str]:
    """A line for each grid that has the same runs as one before it."""
    seen: dict[frozenset[str], str] = {}
    lines = []
    for name, grid in grids.items():
        first = seen.setdefault(frozenset(run.name for run in grid.runs), name)
        if first != name:
            lines.append(
                f"grid {name} has the same runs as {first} here: they are trained twice and count once, and "
                f"the questions of {name} have no answer"
            )
    return lines


def check_evaluations(
    study: StudyDefinition, name: str, grid: Grid, modes: Sequence[EvaluationMode]
) -> list[str]:
    """What the models of a grid cannot do; they skip it.

    Raises:
        UsageError: a contrast asks for it, or no model of the grid can do it.
    """
    if not modes:
        return []
    models, left_out = _trained(grid), []
    for mode in modes:
        unable = {model: why for model, shapes in models.items() if (why := obstacle(mode, shapes))}
        _refuse_questions(study, name, grid, mode, unable)
        problems = [f"{model} @ {mode.label}: {why}" for model, why in unable.items()]
        if problems and len(problems) == len(models):
            raise UsageError(f"study {study.name}: evaluations: {problems[0]}")
        left_out += problems
    return left_out


def _trained(grid: Grid) -> dict[str, Reasoner]:
    """The models that will have weights, by their row, without their numbers."""
    assert grid.budget is not None  # of training
    info = grid.context.prepared.for_budget(grid.budget.augmentations).info
    return {
        str(model.requested): model.shapes(info)
        for model in grid.models
        if model.part.spec.trained and model.name not in grid.broken
    }


def _refuse_questions(
    study: StudyDefinition, name: str, grid: Grid, mode: EvaluationMode, unable: dict[str, str]
) -> None:
    rows = {str(parse_variant(text)): row for text, row in grid.resolved.items()}
    for number, contrast in enumerate(study.contrasts, start=1):
        if contrast.grid not in (None, name):
            continue
        for side in (subject(contrast.a), subject(contrast.b)):
            row = rows[side.model]
            if side.evaluation == mode.label and row in unable:
                raise UsageError(f"study {study.name}: contrast {number}: {side}: {unable[row]}")

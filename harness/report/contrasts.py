"""The answers of a study: one sentence for each of its questions, claiming no more than the numbers do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..planning.models import parse_variant
from ..planning.study import Contrast, Declared, StudyDefinition, evaluated_folder, grid_folder, subject
from ..store.records import NO_WEIGHTS
from .pairs import (
    INCOMPLETE,
    Family,
    compare,
    enough_seeds,
    judged,
    model_key,
    not_citable,
    same_results,
    without_test,
)
from .read import Run
from .table import Answer, Pair, StudyAnswers
from .words import answer


def answered(folder: Path, declared: Declared, runs: Sequence[Run]) -> StudyAnswers:
    """Every question of a study in every grid that asks it, as one family."""
    study = declared.study
    asked = [_asked(folder, declared, runs, contrast, grid) for contrast, grid in questions_of(study)]
    found = [_compared(one, _margin_of(study)) for one in asked]
    tested = [place for place, outcome in enumerate(found) if isinstance(outcome, Pair)]
    pairs = judged(_family(asked, found))
    members = dict(zip(tested, pairs, strict=True))
    answers = tuple(
        _answer(declared, one, members.get(place, outcome))
        for place, (one, outcome) in enumerate(zip(asked, found, strict=True))
    )
    tests = max((pair.family.tests for pair in pairs if pair.family is not None), default=0)
    return StudyAnswers(study.name, study.asks, study.source, declared.scale, answers, tests)


def family_of(folder: Path, declared: Declared, runs: Sequence[Run]) -> Family:
    """Every pair that a study's questions test; ``runs`` are those of its folder, read alone."""
    study = declared.study
    asked = [_asked(folder, declared, runs, contrast, grid) for contrast, grid in questions_of(study)]
    return _family(asked, [_compared(one, _margin_of(study)) for one in asked])


def _margin_of(study: StudyDefinition) -> float | None:
    return None if study.margin is None else study.margin / 100


def _family(asked: Sequence[Asked], found: Sequence[Pair | str]) -> Family:
    tested = [(one, pair) for one, pair in zip(asked, found, strict=True) if isinstance(pair, Pair)]
    return Family(
        tuple(pair for _, pair in tested),
        tuple(same_results(one.left, one.right) for one, _ in tested),
        waiting=sum(isinstance(outcome, str) and outcome.startswith(NOT_TESTED) for outcome in found),
        never=tuple(
            same_results(one.left, one.right)
            for one, _ in tested
            if one.complete and not enough_seeds(one.left, one.right)
        ),
    )


def questions_of(study: StudyDefinition) -> list[tuple[Contrast, str]]:
    """Every question with each grid that asks it."""
    return [
        (contrast, grid)
        for grid in study.grids
        for contrast in study.contrasts
        if contrast.grid in (None, grid)
    ]


NOT_TESTED = "Not tested"
"""How the answer to a question begins that has no runs yet, and may become a test."""
Side = tuple[str, list[Run], bool]
"""The requested name of a side of a question, its runs, and whether they are all that were trained for it."""


@dataclass(frozen=True)
class Asked:
    """A question of a study in one grid, and the runs that answer it."""

    contrast: Contrast
    grid: str
    a: str
    left: list[Run]
    b: str
    right: list[Run]
    complete: bool


def _asked(folder: Path, declared: Declared, runs: Sequence[Run], contrast: Contrast, grid: str) -> Asked:
    (a, left, ours), (b, right, theirs) = _sides(folder, declared, runs, contrast, grid)
    return Asked(contrast, grid, a, left, b, right, ours and theirs)


def _answer(declared: Declared, one: Asked, outcome: Pair | str) -> Answer:
    contrast = one.contrast
    if isinstance(outcome, str):
        return Answer(contrast.asks, one.grid, None, f"{contrast.asks} {outcome}")
    sentence = answer(contrast.asks, outcome, _name(declared, contrast.a), _name(declared, contrast.b))
    reasons = not_citable([*one.left, *one.right])
    return Answer(
        contrast.asks, one.grid, outcome, sentence + (f" NOT CITABLE: {reasons}." if reasons else "")
    )


def _sides(
    folder: Path, declared: Declared, runs: Sequence[Run], contrast: Contrast, grid: str
) -> list[Side]:
    """Both sides of a question in a grid."""
    here = (grid_folder(folder, grid), evaluated_folder(folder, grid))
    sides = []
    for text in (contrast.a, contrast.b):
        named = subject(text)
        kept = declared.resolved.get(grid, {}).get(named.model, named.model)
        requested = f"{kept} @ {named.evaluation}" if named.evaluation else kept
        mine = [run for run in runs if run.folder in here and run.manifest.description.requested == requested]
        trained = [run for run in runs if run.folder in here and run.manifest.description.requested == kept]
        seeds, evaluated = ({run.manifest.identity.seed for run in one} for one in (trained, mine))
        # Weights of a training that failed were not evaluated, and their seed is in no folder of evaluations.
        sides.append((requested, mine, seeds <= evaluated))
    return sides


def _compared(one: Asked, margin: float | None) -> Pair | str:
    """The pair of a question, or a sentence that says why there is none."""
    if one.a == one.b:
        return f"Nothing to compare: at this scale {one.contrast.a} and {one.contrast.b} are both {one.a}."
    for name, side in ((one.a, one.left), (one.b, one.right)):
        if not any(run.samples is not None for run in side):
            return f"{NOT_TESTED}: no finished run of {name}."
        if len({model_key(run.manifest) for run in side}) > 1:
            return f"{NOT_TESTED}: the runs of {name} were made with several settings or on several devices."
    pair = compare(one.a, one.left, one.b, one.right, margin)
    if not one.complete:
        reasons = not_citable([*one.left, *one.right], incomplete=True)
        pair = replace(without_test(pair, INCOMPLETE), not_citable=reasons)
    for name, side in ((one.a, one.left), (one.b, one.right)):
        if all(run.manifest.weights == NO_WEIGHTS for run in side):
            return without_test(pair, f"{name} is not trained, and part of no test")
    return pair


def _name(declared: Declared, text: str) -> str:
    """A side of a contrast by the study's own label, where it has one."""
    named = subject(text)
    labels = {str(parse_variant(model)): label for model, label in declared.study.labels.items()}
    model = labels.get(named.model, named.model)
    return f"{model} @ {named.evaluation}" if named.evaluation else model

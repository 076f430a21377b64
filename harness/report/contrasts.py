"""The answers of a study: one sentence for each of its questions, claiming no more than the numbers do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..planning.models import parse_variant
from ..planning.study import Contrast, Declared, evaluated_folder, grid_folder, subject
from ..stats.rules import Kind
from ..stats.tests import Verdict, holm
from .pairs import compare, judged, mixed_code, model_key
from .read import Run
from .table import Answer, Pair, StudyAnswers
from .words import p_words, points


def answered(folder: Path, declared: Declared, runs: Sequence[Run]) -> StudyAnswers:
    """Every question of a study in every grid that asks it, adjusted over all of them."""
    study = declared.study
    questions = [
        (contrast, grid)
        for grid in study.grids
        for contrast in study.contrasts
        if contrast.grid in (None, grid)
    ]
    reserved: dict[int, str] = {}
    found = []
    for place, (contrast, grid) in enumerate(questions):
        sides = _sides(folder, declared, runs, contrast, grid)
        found.append(_compared(contrast, sides))
        if not isinstance(found[-1], str) and (reasons := _not_citable([*sides[0][1], *sides[1][1]])):
            reserved[place] = f" NOT CITABLE: {reasons}."
    adjusted = holm([pair.difference.p if isinstance(pair, Pair) else None for pair in found])
    answers = []
    for place, ((contrast, grid), outcome, p) in enumerate(zip(questions, found, adjusted, strict=True)):
        pair = judged(outcome, p) if isinstance(outcome, Pair) else None
        names = _name(declared, contrast.a), _name(declared, contrast.b)
        sentence = f"{contrast.asks} {outcome}" if pair is None else _sentence(contrast.asks, pair, *names)
        answers.append(Answer(contrast.asks, grid, pair, sentence + reserved.get(place, "")))
    return StudyAnswers(study.name, study.asks, study.source, declared.scale, tuple(answers))


Side = tuple[str, list[Run]]
"""The requested name of a side of a question, and its runs."""


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
        sides.append((requested, mine))
    return sides


def _not_citable(runs: Sequence[Run]) -> str:
    """Why runs must not be cited, or not together; empty where they may."""
    reasons = [reason for run in runs for reason in run.manifest.not_citable_because]
    return "; ".join(dict.fromkeys([*reasons, *mixed_code(runs)]))


def _compared(contrast: Contrast, sides: Sequence[Side]) -> Pair | str:
    """The pair of a question, or a sentence that says why there is none."""
    (a, left), (b, right) = sides
    if a == b:
        return f"Nothing to compare: at this scale {contrast.a} and {contrast.b} are both {a}."
    for name, side in sides:
        if not any(run.samples is not None for run in side):
            return f"Not tested: no finished run of {name}."
        if len({model_key(run.manifest) for run in side}) > 1:
            return f"Not tested: the runs of {name} were made with several settings or on several devices."
    return compare(a, left, b, right)


ANSWERS = {
    Verdict.A_BETTER: "Yes",
    Verdict.B_BETTER: "No, the other way round",
    Verdict.UNDECIDED: "Undecided",
}


def _name(declared: Declared, text: str) -> str:
    """A side of a contrast by the study's own label, where it has one."""
    named = subject(text)
    labels = {str(parse_variant(model)): label for model, label in declared.study.labels.items()}
    model = labels.get(named.model, named.model)
    return f"{model} @ {named.evaluation}" if named.evaluation else model


def _sentence(asks: str, pair: Pair, a: str, b: str) -> str:
    """The question, yes or no or undecided, and the numbers behind it."""
    difference = pair.difference
    numbers = f"{a} minus {b} is {points(difference.delta, True)} points"
    if difference.kind is not Kind.CROSSED or pair.holm_p is None:
        return f"{asks} Not tested ({pair.note}): {numbers}."
    assert difference.low is not None  # a crossed test has an interval
    assert difference.high is not None
    numbers += f" (95 % CI {points(difference.low, True)} to {points(difference.high, True)}"
    numbers += f", Holm's {p_words(pair.holm_p)})"
    if pair.verdict is Verdict.UNDECIDED and pair.detectable is not None:
        numbers += f"; differences below {points(pair.detectable)} points were not detectable (80 % power)"
    note = f"; {pair.note}" if pair.note else ""
    return f"{asks} {ANSWERS[pair.verdict]}: {numbers}{note}."

"""How the settings of a search fared on validation: each one's score, and which may be the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..stats.interval import ScoreSummary, score_interval
from ..stats.rules import ALPHA, Kind
from ..stats.scores import ItemScores, align
from ..stats.tests import Difference, McNemar, crossed_test, holm, mcnemar
from .pairs import scores_of
from .read import Run
from .table import SeedResult


class Standing(StrEnum):
    """What the scores say of a setting."""

    BEST = "best"
    """The highest mean of those whose every seed is done."""
    UNDECIDED = "undecided"
    """Its difference from the best is within the noise."""
    WORSE = "worse"
    ZERO = "scores 0"
    """So does every other setting: there is no best to compare with."""
    FAILED = "failed"
    """A seed is not done: it diverged, failed, or was stopped."""


@dataclass(frozen=True)
class Setting:
    """One setting of one model.

    Attributes:
        values: by option of the grid, as typed.
        variant: the model with them, as ``--models`` takes it.
        seeds: every requested seed, finished or not.
        summary: the primary metric over the finished seeds, 0 to 1; None where none is finished.
        standing: next to the other settings of the model.
        p: of the difference from the best, Holm-adjusted over the model's settings; None without a test.
    """

    values: Mapping[str, str]
    variant: str
    seeds: tuple[SeedResult, ...]
    summary: ScoreSummary | None
    standing: Standing
    p: float | None

    @property
    def complete(self) -> bool:
        """Whether every seed is done."""
        return self.standing is not Standing.FAILED

    @property
    def label(self) -> str:
        """``lr=0.001, weight_decay=0.1``."""
        return ", ".join(f"{key}={value}" for key, value in self.values.items())


@dataclass(frozen=True)
class Tried:
    """A setting and its runs, by seed; None where there is no such run."""

    values: Mapping[str, str]
    variant: str
    runs: Mapping[int, Run | None]
    reason: str = ""

    @property
    def finished(self) -> list[Run]:
        """Its finished runs."""
        return [run for run in self.runs.values() if run is not None and run.samples is not None]

    @property
    def complete(self) -> bool:
        """Whether every seed is done."""
        return len(self.finished) == len(self.runs)


def judge(tries: Sequence[Tried], metric: str) -> tuple[Setting, ...]:
    """The settings of one model, in the order given.

    The best is the one with the highest mean of those whose every seed is done, the first of equal ones;
    there is none where all score 0. A setting is undecided where the test of its difference from the best, at
    5 % after Holm's adjustment, does not tell the two apart: the crossed test, or with one seed the exact
    McNemar test, which knows the puzzles alone.
    """
    scores = [scores_of(one.finished, metric) if one.finished else None for one in tries]
    complete = [score for one, score in zip(tries, scores, strict=True) if score is not None and one.complete]
    # Rounded: the order in which seeds are added up must not tell equal means apart.
    best = max(complete, key=lambda score: round(float(score.means().mean()), 12), default=None)
    if best is not None and not best.scores.any():
        best = None
    tests = [
        None if best is None or score is None or score is best or not one.complete else _tested(best, score)
        for one, score in zip(tries, scores, strict=True)
    ]
    adjusted = holm([None if test is None else test.p for test in tests])
    return tuple(
        Setting(
            one.values,
            one.variant,
            tuple(_seed(seed, run, one.reason, metric) for seed, run in one.runs.items()),
            None if score is None else score_interval(score.means(), items=len(score.items)),
            _standing(one, score is best, best is None, p, test),
            p,
        )
        for one, score, p, test in zip(tries, scores, adjusted, tests, strict=True)
    )


def _standing(
    tried: Tried, best: bool, nothing: bool, p: float | None, test: Difference | McNemar | None
) -> Standing:
    if not tried.complete:
        return Standing.FAILED
    if best:
        return Standing.BEST
    if nothing:
        return Standing.ZERO
    # Without any variance there is no p, such as where the best solves every puzzle and the other none.
    plain = isinstance(test, Difference) and test.kind is Kind.DEGENERATE and test.delta != 0
    return Standing.WORSE if plain or (p is not None and p < ALPHA) else Standing.UNDECIDED


def _tested(best: ItemScores, other: ItemScores) -> Difference | McNemar:
    first, second = (scores.means() for scores in align(best, other))
    return mcnemar(first[0], second[0]) if len(first) == 1 else crossed_test(first, second)


def _seed(seed: int, run: Run | None, reason: str, metric: str) -> SeedResult:
    if run is None:
        return SeedResult(seed, "", None, "failed" if reason else "missing", reason or "there is no such run")
    scores = scores_of([run], metric) if run.samples is not None else None
    mean = None if scores is None else float(scores.means().mean())
    return SeedResult(seed, run.name, mean, run.status, run.reason)

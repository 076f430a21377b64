"""Tables whose seeds were added by planned looks: their verdicts are those of the looks, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose

from ..api.errors import TrmBenchError
from ..api.text import plural
from ..planning.looks import LOOKS, Look, Looks, Test
from ..stats.looks import Decision, interval
from ..stats.rules import ALPHA
from ..stats.tests import InFamily, verdict
from .pairs import compare, without_test
from .read import Run
from .table import Pair
from .words import p_words

SAME = 1e-6
"""Relative: numbers of a look that differ by less are the same, computed by other versions of a library."""


@dataclass(frozen=True)
class Looked:
    """What planned looks say of a table's runs.

    Attributes:
        looks: the plan and the looks that were made; None where that is not known.
        runs: of each model, in the order of the plan.
        problem: why nothing is tested; empty where the looks hold.
        damaged: whether the runs may not be cited for it.
    """

    looks: Looks | None = None
    runs: Mapping[str, Sequence[Run]] = field(default_factory=dict)
    problem: str = ""
    damaged: bool = False

    @property
    def reasons(self) -> list[str]:
        """Why the runs may not be cited."""
        return [self.problem] if self.damaged else []

    def note(self, pairs: Sequence[Pair]) -> str:
        """What a reader must know about the seeds of a table with these pairs, which `judged` made."""
        if self.looks is None or self.problem:
            return f"{EXPLORATORY}: {self.problem}"
        reused = len(self.looks.reused)
        before = f"; {plural(reused, 'run')} had been finished before they were planned" if reused else ""
        each = "".join(f"; {pair.a} − {pair.b} {_outcome(pair.note)}" for pair in pairs)
        return (
            f"seeds until decided: {_planned(self.looks)}; {_so_far(self.looks)}{each}{before}. Each "
            "difference is that of the look that is named here, with p and intervals adjusted for all looks; "
            "scores are of all seeds"
        )

    def judged(self, a: str, left: Sequence[Run], b: str, right: Sequence[Run]) -> Pair:
        """Two models of the table as the looks judge them.

        Raises:
            TrmBenchError: they were tested on different items.
        """
        if self.looks is None or self.problem:
            return without_test(compare(a, left, b, right), f"{EXPLORATORY}: {self.problem}")
        names = _model(left), _model(right)
        decisions = self.looks.decisions
        decision = decisions.get(names) or decisions.get(names[::-1])
        if decision is None:
            return without_test(compare(a, left, b, right), f"{EXPLORATORY}: none of the planned tests")
        first, second = (self.runs[name][: decision.seeds] for name in names)
        return _as_decided(compare(a, first, b, second), decision, self.looks)


EXPLORATORY = "exploratory, seeds are added by looks at the results"


def looks_of(runs: Sequence[Run]) -> Looked | None:
    """The looks at the runs of a table; None where its seeds were not added by any."""
    if not any(run.looks or run.manifest.description.looks for run in runs):
        return None
    if any(run.manifest.weights_file for run in runs):
        return Looked(problem="these evaluate the weights of such runs, too")
    for run in runs:
        if isinstance(run.looks, str):
            return Looked(problem=run.looks, damaged=True)
    looks = next((run.looks for run in runs if run.looks is not None), None)
    if not isinstance(looks, Looks):
        return Looked(problem=f"the folder has no {LOOKS}, which records the looks", damaged=True)
    planned = {name for names in looks.runs.values() for name in names}
    if others := [run.name for run in runs if run.name not in planned or run.looks != looks]:
        return Looked(problem=f"runs that they do not plan are shown, too, such as {others[0]}")
    if any(tuple(run.manifest.description.looks) not in ((), looks.looks) for run in runs):
        return Looked(problem=f"{LOOKS} plans other looks than the runs were made for", damaged=True)
    if not looks.made:
        return Looked(problem="none has been made yet; run the same command again")
    by_name = {run.name: run for run in runs}
    in_order = {
        model: [by_name[name] for name in names if name in by_name] for model, names in looks.runs.items()
    }
    if missing := _missing(looks, by_name, looks.made[-1].seeds):
        return Looked(problem=f"a run of a look, {missing}, is not finished, cannot be read or is not shown")
    changed = _changed(looks, by_name)
    return Looked(looks, in_order, changed, damaged=bool(changed))


def reasons_of(runs: Sequence[Run]) -> list[str]:
    """Why the runs of a table may not be cited for what their looks say."""
    looked = looks_of(runs)
    return [] if looked is None else looked.reasons


def next_look(looks: Looks, runs: Sequence[Run]) -> Looks:
    """Make the next look at finished runs.

    Raises:
        TrmBenchError: one of them cannot be read.
    """
    by_name = {run.name: run for run in runs}
    if missing := _missing(looks, by_name, looks.seeds):
        raise TrmBenchError(f"no look at {looks.seeds} seeds was made: the run {missing} cannot be read")
    return _with_look(looks, by_name)


def look_line(looks: Looks) -> str:
    """What the last look found, on one line."""
    look, count = looks.made[-1], len(looks.made)
    found = [
        f"{test.a} − {test.b} {'decided' if test.decided else 'undecided'} ({_numbers(test.p, test.level)})"
        for test in look.tests
    ]
    tests = plural(len(looks.open_tests), "test")
    after = "all tests are decided" if not looks.open_tests else f"the next one is at {looks.seeds} seeds"
    if looks.open_tests and looks.over:
        after = f"it was the last one, {tests} undecided"
    return f"look {count} of {len(looks.looks)}, {look.seeds} seeds: {', '.join(found)}; {after}"


def _numbers(p: float | None, level: float) -> str:
    return "no test" if p is None else f"{p_words(p)}, level {_percent(level)}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _planned(looks: Looks) -> str:
    *first, last = map(str, looks.looks)
    return f"looks planned at {', '.join(first)} and {last} seeds"


def _so_far(looks: Looks) -> str:
    seeds = looks.made[-1].seeds
    return f"stopped at {seeds}" if looks.over else f"{seeds} so far, and incomplete"


def _model(runs: Sequence[Run]) -> str:
    return runs[0].manifest.description.model


def _missing(looks: Looks, runs: Mapping[str, Run], seeds: int) -> str:
    """The first run of a look that is not finished, by name."""
    needed = [name for model in looks.models for name in looks.runs[model][:seeds]]
    return next((name for name in needed if name not in runs or runs[name].samples is None), "")


def _with_look(looks: Looks, runs: Mapping[str, Run]) -> Looks:
    seeds = looks.looks[len(looks.made)]

    def first(model: str) -> list[Run]:
        return [runs[name] for name in looks.runs[model][:seeds]]

    found = {(a, b): compare(a, first(a), b, first(b)).difference for a, b in looks.open_tests}
    return looks.with_look({test: (one.delta, one.p) for test, one in found.items()})


def _changed(looks: Looks, runs: Mapping[str, Run]) -> str:
    """Where a look that is recorded differs from what its runs give; empty where none does."""
    again = looks.model_copy(update={"made": ()})
    for made in looks.made:
        if again.over:
            return f"{LOOKS} has looks after the last one"
        again = _with_look(again, runs)
        if not _same(made, again.made[-1]):
            return f"the look at {made.seeds} seeds in {LOOKS} is not what its runs give"
    return ""


def _same(made: Look, again: Look) -> bool:
    def facts(look: Look) -> list[tuple[Test, bool, bool]]:
        return [((one.a, one.b), one.decided, one.p is None) for one in look.tests]

    def numbers(look: Look) -> list[float]:
        return [value for one in look.tests for value in (one.delta, one.p or 0.0, one.level)]

    return (
        made.seeds == again.seeds
        and facts(made) == facts(again)
        and all(
            isclose(a, b, rel_tol=SAME, abs_tol=1e-12)
            for a, b in zip(numbers(made), numbers(again), strict=True)
        )
    )


def _as_decided(pair: Pair, decision: Decision, looks: Looks) -> Pair:
    """The pair of a look's runs, as the looks judge it.

    Its own interval and p are those that it would have as the only test, at the same looks: p is scaled so
    that 5 % is the level. What would help is left out, because nothing may be added any more.
    """
    note = "; ".join(filter(None, (pair.note, _what_became(pair, decision, looks))))
    pair = replace(pair, shares=None, parts=None, note=note)
    if pair.equivalence is not None:  # its error is not spent over looks
        pair = replace(pair, equivalence=replace(pair.equivalence, p=None))
    measured, ends = pair.difference, interval(pair.difference, decision)
    if measured.error is None or measured.p is None or ends is None:
        return pair
    alone = looks.plan.level(decision.look)
    half = measured.error.half_width(alone)
    difference = replace(
        measured,
        low=measured.delta - half,
        high=measured.delta + half,
        p=_scaled(measured.p, alone),
    )
    family = InFamily(
        tests=len(looks.tests),
        level=decision.level,
        p=_scaled(measured.p, decision.level),
        low=ends[0],
        high=ends[1],
        decidable=measured.error.decidable(decision.level),
    )
    return replace(pair, difference=difference, family=family, verdict=verdict(difference, family))


def _scaled(p: float, level: float) -> float:
    return min(1.0, p * ALPHA / level)


def _what_became(pair: Pair, decision: Decision, looks: Looks) -> str:
    outcome = "decided" if decision.decided else "undecided"
    numbers = _numbers(pair.difference.p, decision.level)
    return f"{_planned(looks)}; {outcome} at {decision.seeds} ({numbers})"


def _outcome(note: str) -> str:
    return note.rpartition("; ")[2]

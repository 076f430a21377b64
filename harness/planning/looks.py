"""Looks at the results that are planned before the first run: `looks.json` of an output folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from pydantic import ValidationError

from ..api.errors import UsageError
from ..api.text import plural
from ..stats.looks import Decision, Plan, decide
from ..store.checked import DamagedResult, read_stamped, stamped
from ..store.folders import Output, write_atomically
from ..store.records import Frozen
from .grid import Grid

LOOKS = "looks.json"
MOST_TESTS = 3
"""Without a baseline: among more tests hardly a study stops before its last look (docs/calibration.md)."""

Test = tuple[str, str]
"""The names of two models, A and B."""


class LookedTest(Frozen):
    """A test that a look made, A minus B; ``p`` is unadjusted and held to ``level``."""

    a: str
    b: str
    delta: float
    p: float | None
    level: float
    decided: bool


class Look(Frozen):
    """A look: the tests that none before it had decided, on the first ``seeds`` runs of each model."""

    seeds: int
    tests: tuple[LookedTest, ...]


class Looks(Frozen):
    """The plan, and the looks that were made.

    Attributes:
        looks: numbers of seeds at which to look.
        alpha: error of all tests over all looks.
        metric: that is tested.
        models: that are trained, by name, in order.
        baseline: the one that all others are compared with; empty for every pair.
        runs: names of the runs of every model, by model, in the order of seeds.
        reused: runs of the first look that were finished before this was planned.
        made: the looks, in order.
    """

    looks: tuple[int, ...]
    alpha: float
    metric: str
    models: tuple[str, ...]
    baseline: str
    runs: dict[str, tuple[str, ...]]
    reused: tuple[str, ...] = ()
    made: tuple[Look, ...] = ()

    @property
    def plan(self) -> Plan:
        """The looks as statistics know them."""
        return Plan(self.looks, self.alpha)

    @property
    def tests(self) -> list[Test]:
        """The tests of the family, in order."""
        if self.baseline:
            return [(model, self.baseline) for model in self.models if model != self.baseline]
        return list(combinations(self.models, 2))

    @property
    def open_tests(self) -> list[Test]:
        """Those that no look has decided."""
        decided = {(test.a, test.b) for look in self.made for test in look.tests if test.decided}
        return [test for test in self.tests if test not in decided]

    @property
    def over(self) -> bool:
        """Whether all are decided, or the last look was made."""
        return bool(self.made) and (not self.open_tests or len(self.made) == len(self.looks))

    @property
    def seeds(self) -> int:
        """Of each model at the next look, or at the last one that was made."""
        return self.looks[len(self.made) - 1 if self.over else len(self.made)]

    @property
    def decisions(self) -> dict[Test, Decision]:
        """What became of each test; empty before the first look."""
        return self._decided(self._p_values) if self.made else {}

    def with_look(self, differences: Mapping[Test, tuple[float, float | None]]) -> Looks:
        """With the next look, which found Δ and p of the open tests."""
        of_look = [differences[test][1] if test in differences else None for test in self.tests]
        decisions = self._decided([*self._p_values, of_look])
        tests = tuple(
            LookedTest(
                a=test[0],
                b=test[1],
                delta=differences[test][0],
                p=differences[test][1],
                level=decisions[test].level,
                decided=decisions[test].decided,
            )
            for test in self.open_tests
        )
        look = Look(seeds=self.looks[len(self.made)], tests=tests)
        return self.model_copy(update={"made": (*self.made, look)})

    @property
    def _p_values(self) -> list[list[float | None]]:
        """Of each look, of each test; None for those that an earlier one decided."""
        made = [{(test.a, test.b): test.p for test in look.tests} for look in self.made]
        return [[of_look.get(test) for test in self.tests] for of_look in made]

    def _decided(self, p_values: list[list[float | None]]) -> dict[Test, Decision]:
        return dict(zip(self.tests, decide(self.plan, p_values), strict=True))


def plan_looks(grid: Grid) -> Looks:
    """The looks at a grid whose request is to run until all tests are decided.

    Raises:
        UsageError: there is nothing to decide, or too many tests.
        PluginError: a model has no runs.
    """
    for error in grid.without_runs.values():
        raise error
    trained = [model for model in grid.models if model.part.spec.trained]
    described, plan = grid.runs[0].description, Plan()
    runs = {
        model.name: tuple(run.name for run in grid.runs if run.description.model == model.name)
        for model in grid.models
    }
    looks = Looks(
        looks=plan.seeds,
        alpha=plan.alpha,
        metric=described.primary,
        models=tuple(model.name for model in trained),
        baseline=next((one.name for one in trained if str(one.requested) == described.baseline), ""),
        runs=runs,
    )
    if not looks.tests:
        raise UsageError("--until-decided: there is nothing to decide; name two models that are trained")
    if not looks.baseline and len(looks.tests) > MOST_TESTS:
        raise UsageError(
            f"--until-decided: {len(looks.tests)} tests, every pair of {len(trained)} models, and at most "
            f"{MOST_TESTS} without a baseline: name fewer models, or the one that the others are compared "
            "with as --baseline"
        )
    return looks


def check_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds of the last look, and no others.

    Raises:
        UsageError: they are fewer or more.
    """
    looks = Plan().seeds
    if len(seeds) != looks[-1]:
        raise UsageError(
            f"--seeds with {plural(len(seeds), 'seed')}: --until-decided looks at "
            f"{', '.join(map(str, looks))} seeds; name {looks[-1]}, or leave --seeds out"
        )
    return seeds


def first_seeds(grid: Grid, seeds: int) -> Grid:
    """The grid with the first N seeds of its request."""
    wanted = grid.context.request.seeds[:seeds]
    return replace(grid, jobs=tuple(job for job in grid.jobs if job.run.identity.seed in wanted))


def read_looks(folder: Path) -> Looks | None:
    """The looks of an output folder; None without the file.

    Raises:
        DamagedResult: the file is there and cannot be read, or was changed since it was written.
    """
    path = folder / LOOKS
    if not path.exists():
        return None
    try:
        return Looks.model_validate(read_stamped(path))
    except ValidationError as error:
        raise DamagedResult(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error


def write_looks(folder: Path, looks: Looks) -> None:
    """Replace `looks.json`."""
    write_atomically(folder / LOOKS, stamped(looks.model_dump(mode="json")))


def claim_looks(folder: Path, grid: Grid) -> Looks:
    """Write the plan into an output folder before its first run, or read how far it is.

    Raises:
        UsageError: the folder has another plan, or results that were looked at before this one.
        DamagedResult: its plan cannot be read.
    """
    planned, present = plan_looks(grid), read_looks(folder)
    if present is None:
        reused = _reused(folder, planned, grid.runs[0].description.baseline)
        planned = planned.model_copy(update={"reused": reused})
        write_looks(folder, planned)
        return planned
    ours, theirs = (one.model_dump(exclude={"reused", "made"}) for one in (planned, present))
    if different := [name for name in ours if ours[name] != theirs[name]]:
        raise UsageError(
            f"--output {folder}: {LOOKS} there plans other {', '.join(different)}, and a plan of looks is "
            "kept to its end; choose another folder"
        )
    return present


def _reused(folder: Path, planned: Looks, baseline: str) -> tuple[str, ...]:
    """The finished runs of a folder, all of them of the first look.

    Raises:
        UsageError: there are others, or they were to be compared otherwise.
    """
    first = {name for names in planned.runs.values() for name in names[: planned.looks[0]]}
    done = [run for run in Output(folder).runs() if run.is_done()]
    if more := [run.name for run in done if run.name not in first]:
        raise UsageError(
            f"--output {folder}: already looked at: it has {plural(len(more), 'finished run')} beyond the "
            f"first look, such as {more[0]}; choose another folder, or leave --until-decided out"
        )
    if other := [run.name for run in done if run.manifest().description.baseline != baseline]:
        raise UsageError(
            f"--output {folder}: {other[0]} and others there were finished with another --baseline, or with "
            "none; choose another folder"
        )
    return tuple(run.name for run in done)

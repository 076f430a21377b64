"""What the tests of a plan can decide, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from pathlib import Path

from ..api.text import plural
from ..stats.looks import Plan
from ..stats.power import decidable_from_scatter
from ..stats.rules import METHOD_SEEDS
from ..store.folders import Output
from ..store.records import NO_WEIGHTS
from .grid import Grid
from .study import StudyDefinition, subject

SCATTER = 0.1
"""Standard deviation of the scores of a model's runs that a plan is judged by: usual at `mini`."""
TOO_LITTLE = 0.5
"""Differences that must be larger than this are a reason to warn."""


@dataclass(frozen=True)
class Power:
    """The family of tests of a plan.

    Attributes:
        tests: m, if all runs finish.
        seeds: of each model, or of the one with the fewest.
        looks: seeds at which looks are planned, the last of them ``seeds``; empty for none.
        decidable: the smallest true difference, 0 to 1, that the first of them decides with 80 % power where
            runs scatter by `SCATTER`; None where there are no tests, or too few seeds for any.
    """

    tests: int
    seeds: int
    looks: tuple[int, ...] = ()

    @property
    def decidable(self) -> float | None:
        """See the class."""
        if not self.tests or self.seeds < METHOD_SEEDS:
            return None
        level = Plan(self.looks).level(len(self.looks) - 1, self.tests) if self.looks else None
        return decidable_from_scatter(self.seeds, self.tests, SCATTER, level)

    def describe(self) -> str:
        """One line; empty where nothing is compared."""
        if not self.tests:
            return ""
        at = f" at most, with looks at {', '.join(map(str, self.looks))}" if self.looks else ""
        design = f"{plural(self.seeds, 'seed')}{at}, {plural(self.tests, 'test')}"
        if self.decidable is None:
            return f"{design}: nothing is decided; a claim about methods needs {METHOD_SEEDS} seeds"
        which = (
            "no difference is"
            if self.decidable > 1
            else f"differences from {100 * self.decidable:.0f} points on are"
        )
        few = "; take more seeds, or --baseline" if self.decidable > TOO_LITTLE else ""
        return (
            f"{design}: where the runs of a model scatter by {100 * SCATTER:.0f} points, {which} decided "
            f"(80 % power){few}"
        )


def power_of_grid(grid: Grid, folder: Path) -> Power:
    """Every pair of trained models is a test, or with a baseline every other model against it.

    Finished runs of the output folder are in the same table, and take part in its tests. A grid that is
    scored on validation puzzles has none: they are there to choose by.
    """
    request = grid.context.request
    if request.split != "test":
        return Power(0, len(request.seeds))
    there = [run.manifest() for run in Output(folder).runs() if run.is_done()]
    seeds: dict[str, set[int]] = {}
    known = [(run.description, run.identity.seed) for run in grid.runs]
    known += [(run.description, run.identity.seed) for run in there]
    for described, seed in known:
        seeds.setdefault(described.model, set()).add(seed)
    baselines = {described.baseline for described, _ in known}
    trained = {model.name for model in grid.models if model.part.spec.trained}
    trained |= {run.description.model for run in there if run.weights != NO_WEIGHTS}
    agreed = len(baselines) == 1 and "" not in baselines
    tests = len(trained) - 1 if agreed else comb(len(trained), 2)
    fewest = min((len(seeds[name]) for name in trained if name in seeds), default=len(request.seeds))
    return Power(max(tests, 0), fewest, Plan().seeds if request.until_decided else ())


def power_of_study(study: StudyDefinition, grids: Mapping[str, Grid]) -> Power:
    """Every question in every grid that asks it, where its sides are different models there."""
    asked = set()
    for name, grid in grids.items():
        kept = {str(subject(text)): row for text, row in grid.resolved.items()}
        fixed = {str(model.requested) for model in grid.models if not model.part.spec.trained}
        for contrast in study.contrasts:
            a, b = (subject(side) for side in (contrast.a, contrast.b))
            rows = frozenset((kept.get(side.model, side.model), side.evaluation) for side in (a, b))
            counts = len(rows) == 2 and not {row for row, _ in rows} & fixed
            if contrast.grid in (None, name) and counts:
                asked.add((name, rows))  # once, also where it is asked the other way round
    return Power(len(asked), min((len(grid.context.request.seeds) for grid in grids.values()), default=0))

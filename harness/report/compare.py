"""Two models, two variants or two result folders side by side, from their records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..api.budget import described
from ..api.errors import NothingToReport, UsageError, nearest
from ..planning.study import leaves
from ..stats.power import equivalence, seeds_to_see, variance_shares
from ..stats.stats import (
    ItemScores,
    Kind,
    align,
    cell_interval,
    crossed_test,
    mcnemar,
    minimum_detectable,
    paired_test,
)
from ..store.records import CellIdentity
from .pairs import INCOMPLETE, model_key, same_weights, scores_of, untested
from .read import Run, read_runs
from .words import Comparison


def compare_models(a: str, b: str, folders: Sequence[Path], problems: list[str]) -> list[Comparison]:
    """Two models of some result folders, one comparison for each task and scale that has both.

    A model is named as it was asked for (``trm``) or as it is called in the table (``trm-mlp``).

    Raises:
        NothingToReport: no folder has a finished cell.
        UsageError: a model is in none of them (the nearest is suggested), or not on a common task.
        TrmBenchError: the two were tested on different items; names them.
    """
    runs = _some_done(read_runs(leaves(folders), problems), folders)
    first, second = (_of_model(runs, name) for name in (a, b))
    tasks = dict.fromkeys(_task(run.manifest.identity) for run in runs)
    found = [
        _compare(a, left, b, right)
        for task in tasks
        if (left := _of_task(first, task)) and (right := _of_task(second, task))
    ]
    if not found:
        raise UsageError(f"{a} and {b} were not run on a common task and scale")
    return found


def compare_folders(a: Path, b: Path, problems: list[str]) -> list[Comparison]:
    """The models that two folders have in common, or the only one of each.

    Raises:
        NothingToReport: one of them has no finished cell.
        UsageError: they have several models each and none in common.
        TrmBenchError: the two were tested on different items; names them.
    """
    first, second = (_some_done(read_runs(leaves([folder]), problems), [folder]) for folder in (a, b))
    left, right = (dict.fromkeys(run.manifest.identity.model for run in runs) for runs in (first, second))
    if len(left) == len(right) == 1:
        pairs = [(next(iter(left)), next(iter(right)))]
    else:
        pairs = [(name, name) for name in left if name in right]
    if not pairs:
        raise UsageError(f"{a} has {', '.join(left)}, {b} has {', '.join(right)}: no model in common")
    return [
        _compare(f"{one} in {a}", _of_model(first, one), f"{other} in {b}", _of_model(second, other))
        for one, other in pairs
    ]


def _some_done(runs: Sequence[Run], folders: Sequence[Path]) -> Sequence[Run]:
    if not any(run.samples is not None for run in runs):
        raise NothingToReport(f"no finished cell in {', '.join(map(str, folders))}")
    return runs


def _of_model(runs: Sequence[Run], name: str) -> list[Run]:
    found = [run for run in runs if name in (run.manifest.identity.model, run.manifest.asked)]
    if not found:
        known = {run.manifest.identity.model for run in runs} | {run.manifest.asked for run in runs}
        raise UsageError(f"no cell of model {name!r}; {nearest(name, known)}")
    return found


def _task(identity: CellIdentity) -> tuple[str, str]:
    return identity.task, identity.scale


def _of_task(runs: Sequence[Run], task: tuple[str, str]) -> list[Run]:
    return [run for run in runs if _task(run.manifest.identity) == task]


def _compare(a: str, left: Sequence[Run], b: str, right: Sequence[Run]) -> Comparison:
    identity = left[0].manifest.identity
    first, second = align(_scores(a, left), _scores(b, right))
    a_SC, b_SC = first.means(), second.means()
    paired = same_weights(left, right)
    difference = paired_test(a_SC, b_SC) if paired else crossed_test(a_SC, b_SC)
    if any(run.samples is None for run in (*left, *right)):
        difference = untested(difference, INCOMPLETE)
    crossed = difference.kind is Kind.CROSSED and difference.se is not None and difference.df is not None
    margin = identity.margin
    return Comparison(
        a=a,
        b=b,
        metric=f"{identity.task} at {identity.scale}, {identity.primary}",
        first=cell_interval(a_SC, items=len(first.items)),
        second=cell_interval(b_SC, items=len(second.items)),
        difference=difference,
        mcnemar=mcnemar(a_SC[0], b_SC[0]) if len(a_SC) == len(b_SC) == 1 else None,
        detectable=minimum_detectable(difference.se, difference.df) if crossed else None,  # type: ignore[arg-type]
        shares=None if paired else variance_shares(a_SC, b_SC),
        needed=None if paired else seeds_to_see(a_SC, b_SC, abs(difference.delta)),
        equivalence=equivalence(difference, margin) if margin is not None else None,
        differs=tuple(_differences([run.manifest.identity for run in (*left, *right)])),
    )


def _scores(name: str, runs: Sequence[Run]) -> ItemScores:
    """The finished seeds of one model.

    Raises:
        UsageError: the runs are of one name but not of one model.
        NothingToReport: none is finished.
    """
    if len({model_key(run.manifest) for run in runs}) > 1:
        raise UsageError(f"{name} was run with several settings in these folders; compare folders instead")
    scores = scores_of(runs, runs[0].manifest.identity.primary)
    if scores is None:
        raise NothingToReport(f"no finished cell of {name}")
    return scores


def _differences(identities: Sequence[CellIdentity]) -> list[str]:
    """In what the cells were not treated alike, beside their model and seed."""

    def values(name: str, each: Sequence[object]) -> list[str]:
        distinct = list(dict.fromkeys(map(str, each)))
        return [f"{name} {' and '.join(distinct)}"] if len(distinct) > 1 else []

    return [
        *values("budget", [described(one.budget) for one in identities]),
        *values("source", [one.data.summary for one in identities]),
        *values("training puzzles", [one.data.fingerprints["train"][:12] for one in identities]),
        *values("votes", [one.votes for one in identities]),
        *values("puzzle ids", [one.puzzle_ids.value for one in identities]),
        *values("device", [one.device for one in identities]),
    ]

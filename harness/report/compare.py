"""`trm-bench compare`: two models, two variants or two result folders, from their records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..api.errors import NothingToReport, UsageError, nearest
from ..planning.models import in_order
from ..planning.study import Declared, canonical_evaluation, declared_in, leaves
from ..stats.rules import Kind
from ..store.records import Manifest
from . import build, contrasts
from .looks import looks_of, reasons_of
from .notes import NOT_CITABLE
from .pairs import (
    Family,
    compare,
    judged,
    model_key,
    same_results,
    table_key,
    without_test,
)
from .read import Run, distinct_folders, read_runs
from .table import Pair


def compare_models(a: str, b: str, folders: Sequence[Path], problems: list[str]) -> list[Pair]:
    """Two models of some result folders, one comparison for each task and scale that has both.

    Name a model as typed (``trm``), as in the table (``TRM-MLP``) or as resolved (``trm-mlp``), and an
    evaluation of its weights as in the table (``trm @ steps=16``).

    Raises:
        NothingToReport: no folder has a finished run.
        UsageError: a model is in none of them (the nearest is suggested), or not on a common task.
        TrmBenchError: the two were tested on different items; names them.
    """
    runs = _read(folders, problems)
    first, second = (_of_model(runs, name) for name in (a, b))
    tasks = dict.fromkeys(_task(run.manifest) for run in runs)
    tables = _tables(runs, folders)
    problems += [f"{NOT_CITABLE}: {reason}" for group in tables for reason in reasons_of(group)]
    problems += [note for group in tables for note in build.study_notes(group)]
    families = [
        *(build.family_of(group) for group in tables),
        *(
            contrasts.family_of(folder, declared, read_runs(leaves([folder]), [], []))
            for folder, declared in _studies(folders)
        ),
    ]
    pairs = [
        _judged(_as(a, left), left, _as(b, right), right, families, tables)
        for task in tasks
        if (left := _of_task(first, task)) and (right := _of_task(second, task))
    ]
    problems += _not_citable(pairs)
    ours, theirs = ({_task(run.manifest) for run in runs} for runs in (first, second))
    for name, alone in ((a, ours - theirs), (b, theirs - ours)):
        problems += [f"{name} alone was run on {task} at {scale}; left out" for task, scale in sorted(alone)]
    if not pairs:
        raise UsageError(f"{a} and {b} were not run on a common task and scale")
    return pairs


def compare_folders(a: Path, b: Path, problems: list[str]) -> list[Pair]:
    """The models that two folders have in common, or the only one of each.

    Raises:
        NothingToReport: one of them has no finished run.
        UsageError: they have several models each and none in common.
        TrmBenchError: the two were tested on different items; names them.
    """
    first, second = (_read([folder], problems) for folder in (a, b))
    left, right = (dict.fromkeys(run.manifest.description.model for run in runs) for runs in (first, second))
    if len(left) == len(right) == 1:
        models = [(next(iter(left)), next(iter(right)))]
    else:
        models = [(name, name) for name in left if name in right]
    if not models:
        raise UsageError(f"{a} has {', '.join(left)}, {b} has {', '.join(right)}: no model in common")
    tables = [*_tables(first, [a]), *_tables(second, [b])]
    problems += [f"{NOT_CITABLE}: {reason}" for group in tables for reason in reasons_of(group)]
    if models[0][0] == models[0][1]:
        problems += [f"{name}: only in {a}; left out" for name in left if name not in right]
        problems += [f"{name}: only in {b}; left out" for name in right if name not in left]
    sides = [
        (f"{_as(one, left)} in {a}", left, f"{_as(other, right)} in {b}", right)
        for one, other in models
        for left, right in [(_of_model(first, one), _of_model(second, other))]
    ]
    names = tuple(same_results(left, right) for _, left, _, right in sides)
    pairs = judged(Family(tuple(_pair(*side) for side in sides), names))
    looked = [looks_of([*left, *right]) for _, left, _, right in sides]
    problems += _not_citable(pairs)
    return [
        pair if look is None else look.judged(*side)
        for pair, look, side in zip(pairs, looked, sides, strict=True)
    ]


def _not_citable(pairs: Sequence[Pair]) -> list[str]:
    """Each reason once: pairs on two tasks, made by two states of the code, are not mixed."""
    return [
        f"{NOT_CITABLE}: {reason}" for reason in dict.fromkeys(pair.not_citable for pair in pairs) if reason
    ]


def _studies(folders: Sequence[Path]) -> list[tuple[Path, Declared]]:
    return [(folder, declared) for folder in folders if (declared := declared_in(folder)) is not None]


def _tables(runs: Sequence[Run], folders: Sequence[Path]) -> list[list[Run]]:
    """The runs of each table; the tables of a study test nothing."""
    of_studies = set(leaves([folder for folder, _ in _studies(folders)]))
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.folder not in of_studies:
            groups.setdefault(table_key(run.manifest), []).append(run)
    return list(groups.values())


def _judged(
    a: str,
    left: Sequence[Run],
    b: str,
    right: Sequence[Run],
    families: Sequence[Family],
    tables: Sequence[Sequence[Run]],
) -> Pair:
    """The pair as the report has it, by planned looks or in its family."""
    pair, same, both = _pair(a, left, b, right), same_results(left, right), [*left, *right]
    keys = {run.key for run in both}
    together = next((table for table in tables if keys <= {run.key for run in table}), both)
    if (looked := looks_of(together)) is not None:
        return looked.judged(a, left, b, right)
    for family in families:
        if same in family.names:
            own = family.pairs[family.names.index(same)]
            # A study may know why, where these runs alone do not show it.
            if own.difference.kind is Kind.UNTESTED and pair.difference.kind is not Kind.UNTESTED:
                pair = replace(without_test(pair, own.note), not_citable=own.not_citable)
            pair = replace(pair, equivalence=own.equivalence)  # by the margin that the study declares
            with_it = replace(family, pairs=(*family.pairs, pair), names=(*family.names, same))
            return judged(with_it)[-1]
    return _exploratory(pair)


def _exploratory(pair: Pair) -> Pair:
    """A pair that is none of the tests of the folders it comes from: its numbers alone, and no verdict."""
    why = "exploratory: neither a pair of a table's family nor a question of a study"
    note = "; ".join(filter(None, (pair.difference.note, why)))
    return replace(pair, difference=replace(pair.difference, note=note), note=note)


def _read(folders: Sequence[Path], problems: list[str]) -> Sequence[Run]:
    """What cannot be read or is left out is added to ``problems``."""
    runs = read_runs(leaves(distinct_folders(folders, problems)), problems, problems)
    if not any(run.samples is not None for run in runs):
        raise NothingToReport(f"no finished run in {', '.join(map(str, folders))}")
    return runs


def _names(manifest: Manifest) -> tuple[str, str, str]:
    described = manifest.description
    return described.model, described.requested.partition(" @ ")[0], described.display_name


def _of_model(runs: Sequence[Run], name: str) -> list[Run]:
    """The runs of a row: ``trm``, or ``trm @ steps=16`` for an evaluation of it."""
    model, _, mode = (part.strip() for part in name.partition("@"))
    named = [run for run in runs if in_order(model) in map(in_order, _names(run.manifest))]
    if not named:
        known = {known for run in runs for known in _names(run.manifest)}
        raise UsageError(f"no run of model {model!r}; {nearest(model, known)}")
    modes = dict.fromkeys(run.manifest.evaluation for run in named)
    chosen = canonical_evaluation(mode) if mode else "" if "" in modes else None
    mine = [run for run in named if chosen is None or run.manifest.evaluation == chosen]
    if not mine:
        raise UsageError(f"no run of {name!r}; {nearest(mode, modes)}")
    return mine


def _as(name: str, runs: Sequence[Run]) -> str:
    """A model with how its weights were evaluated, as its row in a table says."""
    modes = {run.manifest.evaluation for run in runs}
    mode = modes.pop() if len(modes) == 1 else ""
    return f"{name} @ {mode}" if mode and "@" not in name else name


def _task(manifest: Manifest) -> tuple[str, str]:
    return manifest.identity.part("task").full_name, manifest.identity.scale


def _of_task(runs: Sequence[Run], task: tuple[str, str]) -> list[Run]:
    return [run for run in runs if _task(run.manifest) == task]


def _pair(a: str, left: Sequence[Run], b: str, right: Sequence[Run]) -> Pair:
    """Two models compared, not yet in a family.

    Raises:
        UsageError: the runs have one name but are not of one model.
        NothingToReport: none of a side is finished.
    """
    if both := {run.key for run in left} & {run.key for run in right}:
        shared = ", ".join(sorted(run.name for run in left if run.key in both))
        raise UsageError(f"{a} and {b} have runs in common, and nothing is compared with itself: {shared}")
    for name, runs in ((a, left), (b, right)):
        if len({(table_key(run.manifest), model_key(run.manifest)) for run in runs}) > 1:
            places = ", ".join(dict.fromkeys(str(run.folder) for run in runs))
            raise UsageError(
                f"{name} was run with several settings, budgets or evaluations in {places}; name one folder, "
                "or an evaluation with its model ('trm @ steps=16')"
            )
        if not any(run.samples is not None for run in runs):
            raise NothingToReport(f"no finished run of {name}")
    return compare(a, left, b, right)

"""From the runs that were read to their report, computed from the records alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from ..api.errors import NothingToReport
from ..planning.study import declared_in
from ..store.records import Manifest
from .commands import commands_of, unread_requests
from .contrasts import answered
from .looks import looks_of, reasons_of
from .notes import notes_of, notes_on_tests
from .overall import overall_of
from .pairs import (
    Family,
    compare,
    enough_seeds,
    judged,
    model_key,
    same_results,
    scores_of,
    table_key,
    weights_of,
)
from .read import Reading, Run
from .rows import distinct_names, row_of
from .table import Report, Row, Table


def build_report(reading: Reading) -> Report:
    """Every table of what was read.

    Raises:
        NothingToReport: there is no finished run.
    """
    runs = reading.runs
    if not any(run.samples is not None for run in runs):
        unfinished = [f"{run.name}: {run.status} {run.reason}".strip() for run in runs]
        found = "; ".join([*reading.problems, *unfinished]) or "no run was found"
        raise NothingToReport(f"nothing to report in {', '.join(map(str, reading.folders))}: {found}")
    # A study asks its own questions; every pair of its many models would be a family that was never declared.
    of_studies = [
        (group, declared.study.evaluation_labels)
        for declared, found_runs in reading.studies.values()
        for group in _groups(found_runs)
    ]
    tables = [_table(group, pairs=False, evaluations=labels) for group, labels in of_studies]
    tables += [_table(group, pairs=True) for group in _groups(reading.plain)]
    summaries, notes = overall_of(tables)
    return Report(
        tuple(tables),
        reading.problems,
        (*reading.remarks, *unread_requests(reading)),
        tuple(commands_of(reading)),
        tuple(summaries),
        tuple(answered(folder, declared, mine) for folder, (declared, mine) in reading.studies.items()),
        overall_notes=tuple(notes),
    )


def with_looks(reading: Reading) -> list[Run]:
    """Every run, with why it may not be cited for what the looks of its table say."""
    found = {
        id(run): reasons
        for group in _groups(reading.plain)
        if (reasons := reasons_of(group))
        for run in group
    }
    return [replace(run, reasons=(*run.reasons, *found.get(id(run), ()))) for run in reading.runs]


def _groups(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of each table, in the order in which they were found."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(table_key(run.manifest), []).append(run)
    return list(groups.values())


def family_of(runs: Sequence[Run]) -> Family:
    """Every pair that the table of these runs tests."""
    by_model, rows = _rows_of(runs)
    sides = list(_sides(by_model, rows))
    return Family(
        tuple(compare(a, left, b, right) for a, left, b, right in sides),
        tuple(same_results(left, right) for _, left, _, right in sides),
        waiting=sum(
            enough_seeds(by_model[a], by_model[b])
            for a, b in _compared(rows, by_model)
            if rows[a].summary is None or rows[b].summary is None
        ),
        never=tuple(
            same_results(left, right) for _, left, _, right in sides if not enough_seeds(left, right)
        ),
    )


def _sides(
    by_model: Mapping[str, list[Run]], rows: Mapping[str, Row]
) -> Iterator[tuple[str, list[Run], str, list[Run]]]:
    """Both rows of every test, by name, and their runs."""
    for a, b in _compared(rows, by_model):
        if rows[a].summary is not None and rows[b].summary is not None:
            yield rows[a].name, by_model[a], rows[b].name, by_model[b]


def _rows_of(runs: Sequence[Run]) -> tuple[dict[str, list[Run]], dict[str, Row]]:
    """The runs of each row of a table, and the row, by the model's key."""
    by_model: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.order):
        by_model.setdefault(model_key(run.manifest), []).append(run)
    primary = runs[0].manifest.description.primary
    evaluators = _evaluators(runs)
    rows = [row_of(group, scores_of(group, primary), evaluators) for group in by_model.values()]
    weights = [weights_of(group) for group in by_model.values()]
    return by_model, dict(zip(by_model, distinct_names(rows, weights), strict=True))


def _evaluators(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for run in runs for name in run.manifest.evaluators))


def _table(runs: Sequence[Run], pairs: bool, evaluations: Collection[str] = ()) -> Table:
    """``pairs``: whether its rows are compared; ``evaluations``: labels that the runs' study declares."""
    identity, described = runs[0].manifest.identity, runs[0].manifest.description
    looked = looks_of(runs) if pairs else None
    if looked is not None:
        runs = [replace(run, reasons=(*run.reasons, *looked.reasons)) for run in runs]
    by_model, rows = _rows_of(runs)
    if looked is not None:
        compared = [looked.judged(*sides) for sides in _sides(by_model, rows)]
    else:
        compared = judged(family_of(runs)) if pairs else []
    baseline = _baseline(rows, by_model) if pairs else ""
    tested = described.counts[identity.split]
    by_row = {rows[key].name: group for key, group in by_model.items()}
    return Table(
        task=identity.part("task").name,
        scale=identity.scale,
        source=described.source,
        train=described.counts["train"],
        test=tested if identity.limit is None else min(identity.limit, tested),
        budget=identity.budget,
        votes=identity.votes,
        puzzle_ids=identity.puzzle_ids,
        cluster=described.cluster,
        primary=described.primary,
        evaluators=_evaluators(runs),
        headings={key: value for run in runs for key, value in run.manifest.description.headings.items()},
        rows=tuple(rows.values()),
        pairs=tuple(compared),
        notes=(
            *notes_of(runs, list(rows.values()), by_row, not pairs, evaluations),
            *([] if looked is None else [looked.note(compared)]),
            *notes_on_tests(compared, described.cluster),
            *(_baseline_notes(rows, by_model) if pairs and looked is None else ()),
            *(_family_notes(runs) if compared else ()),
        ),
        split=identity.split,
        source_kind=described.source_kind,
        baseline=rows[baseline].name if baseline else "",
    )


def _baseline(rows: Mapping[str, Row], by_model: Mapping[str, Sequence[Run]]) -> str:
    """The row, by its key, that all runs declare as the one to compare with.

    Empty where they disagree, or where several rows, of several settings, have its name.
    """
    declared = {run.manifest.description.baseline for runs in by_model.values() for run in runs}
    named = [key for key, row in rows.items() if declared == {row.requested}]
    return named[0] if len(named) == 1 else ""


def _family_notes(runs: Sequence[Run]) -> list[str]:
    """Where the rows that make up a table's family were not put together by one command."""
    folders = dict.fromkeys(run.folder for run in runs)
    notes = (
        [f"the rows of {len(folders)} folders make up this table and its family"] if len(folders) > 1 else []
    )
    return notes + study_notes(runs)


def study_notes(runs: Sequence[Run]) -> list[str]:
    """That runs of one grid of a study are shown as a table with a family of its own."""
    folders = dict.fromkeys(run.folder for run in runs)
    studies = {
        declared.study.name: folder.parent
        for folder in folders
        if (declared := declared_in(folder.parent)) is not None
    }
    return [
        f"these runs belong to study {name}, which declares its own questions: its family is in the report "
        f"of {folder}, and the pairs here are exploratory"
        for name, folder in studies.items()
    ]


def _baseline_notes(rows: Mapping[str, Row], by_model: Mapping[str, Sequence[Run]]) -> list[str]:
    """Where some runs declare a baseline and the table tests every pair all the same."""
    declared = {run.manifest.description.baseline for runs in by_model.values() for run in runs} - {""}
    if not declared or _baseline(rows, by_model):
        return []
    names = ", ".join(sorted(declared))
    return [f"baseline {names}: not declared for all runs here before they were run, so every pair is tested"]


def _compared(rows: Mapping[str, Row], by_model: Mapping[str, Sequence[Run]]) -> Iterator[tuple[str, str]]:
    """The pairs that are tested; the score of a model that is not trained is known by construction."""
    keys, baseline = [key for key, row in rows.items() if not row.is_fixed], _baseline(rows, by_model)
    pairs = [(key, baseline) for key in keys if key != baseline] if baseline else combinations(keys, 2)
    weights = {key: weights_of(runs) for key, runs in by_model.items()}
    depths = {key: _depth(runs[0].manifest) for key, runs in by_model.items()}
    yield from ((a, b) for a, b in pairs if _worth_a_test(rows, weights, depths, a, b))


def _depth(manifest: Manifest) -> int:
    """Supervision steps that a puzzle may take at evaluation."""
    return manifest.identity.steps or manifest.description.supervision_steps


def _worth_a_test(
    rows: Mapping[str, Row], weights: Mapping[str, set[str]], depths: Mapping[str, int], a: str, b: str
) -> bool:
    """Whether two rows are worth a test: models evaluated alike, or one model with one thing changed.

    Of one model's depths, each is compared with the next: all pairs of them would be a family in which
    nothing can be decided. ``weights`` of the rows tell models of one name, with several recipes, apart;
    ``depths`` are those that were requested, whether finished or not.
    """

    def is_same_model(one: str, other: str) -> bool:
        known = weights[one] and weights[other]
        same = not known or bool(weights[one] & weights[other])
        return same and rows[one].display_name == rows[other].display_name

    first, second = rows[a], rows[b]
    if first.evaluation == second.evaluation:
        return True
    if not is_same_model(a, b):
        return False
    shallow, deep = sorted((depths[a], depths[b]))
    if first.halts != second.halts:
        return shallow == deep
    return not any(shallow < depth < deep for key, depth in depths.items() if is_same_model(key, a))

"""From the runs that were read to their report, computed from the records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from ..api.errors import NothingToReport
from ..stats.across_tasks import Overall, across_tasks
from ..stats.tests import holm
from .commands import commands_of
from .contrasts import answered
from .notes import advice, notes_of
from .pairs import compare, judged, model_key, scores_of, table_key
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
    of_studies = [group for _, found_runs in reading.studies.values() for group in _groups(found_runs)]
    tables = [_table(group, pairs=False) for group in of_studies]
    tables += [_table(group, pairs=True) for group in _groups(reading.plain)]
    tables = _adjusted(tables)
    return Report(
        tuple(tables),
        reading.problems,
        reading.remarks,
        tuple(commands_of(reading)),
        tuple(_overall(tables)),
        tuple(answered(folder, declared, mine) for folder, (declared, mine) in reading.studies.items()),
        tests=sum(pair.holm_p is not None for table in tables for pair in table.pairs),
    )


def _groups(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of each table, in the order in which they were found."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(table_key(run.manifest), []).append(run)
    return list(groups.values())


def _overall(tables: Sequence[Table]) -> list[Overall]:
    """Each model over all tasks, by the names that were typed; a task with two tables is left out."""
    tables = [table for table in tables if table.split == "test"]
    tasks = [table.task for table in tables]
    return across_tasks(
        [
            {
                row.name_over_tasks: [seed.score for seed in row.seeds if seed.score is not None]
                for row in table.rows
                if row.complete and names.count(row.name_over_tasks) == 1  # files of one model are no seeds
            }
            for table in tables
            for names in [[row.name_over_tasks for row in table.rows]]
            if tasks.count(table.task) == 1
        ]
    )


def _table(runs: Sequence[Run], pairs: bool) -> Table:
    identity, described = runs[0].manifest.identity, runs[0].manifest.description
    by_model: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.order):
        by_model.setdefault(model_key(run.manifest), []).append(run)
    scores = {key: scores_of(group, described.primary) for key, group in by_model.items()}
    evaluators = tuple(dict.fromkeys(name for run in runs for name in run.manifest.evaluators))
    unnumbered = [row_of(group, scores[key], evaluators) for key, group in by_model.items()]
    rows = dict(zip(by_model, distinct_names(unnumbered), strict=True))
    compared = [
        compare(rows[a].name, by_model[a], rows[b].name, by_model[b])
        for a, b in (combinations(rows, 2) if pairs else ())
        if scores[a] is not None and scores[b] is not None and _worth_a_test(rows, a, b)
    ]
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
        evaluators=evaluators,
        headings={key: value for run in runs for key, value in run.manifest.description.headings.items()},
        rows=tuple(rows.values()),
        pairs=tuple(compared),
        notes=tuple(notes_of(runs, list(rows.values()), by_row, declared=not pairs)),
        split=identity.split,
        source_kind=described.source_kind,
    )


def _worth_a_test(rows: Mapping[str, Row], a: str, b: str) -> bool:
    """Whether two rows are worth a test: models evaluated alike, or one model with one thing changed.

    Of one model's depths, each is compared with the next: all pairs of them would be a family in which
    nothing can be decided.
    """
    first, second = rows[a], rows[b]
    if first.evaluation == second.evaluation:
        return True
    if first.display_name != second.display_name:
        return False
    depths = [row.depth for row in rows.values() if row.display_name == first.display_name]
    shallow, deep = sorted((first.depth, second.depth))
    if first.halts != second.halts:
        return shallow == deep
    return not any(shallow < depth < deep for depth in depths)


def _adjusted(tables: Sequence[Table]) -> list[Table]:
    """Holm over the family: every pair of every table, on each task's primary metric."""
    adjusted = iter(holm([pair.difference.p for table in tables for pair in table.pairs]))
    judged_tables = [
        replace(table, pairs=tuple(judged(pair, next(adjusted)) for pair in table.pairs)) for table in tables
    ]
    return [replace(table, notes=(*table.notes, *advice(table))) for table in judged_tables]

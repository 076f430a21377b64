"""Each model over all tasks of a report: which tables and models are taken, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..stats.across_tasks import FEWEST_TASKS, Overall, across_tasks
from .table import Row, Table

Scores = Mapping[str, Sequence[float]]


def overall_of(tables: Sequence[Table]) -> tuple[list[Overall], list[str]]:
    """The models that every task has, and notes on what is left out; nothing under three tasks.

    A model counts by the name that was typed, which may be another model on each task (``trm``), or else by
    its own, where it was typed differently. A task with two tables is left out, and nothing is
    summarised over several scales.
    """
    tests = [table for table in tables if table.split == "test"]
    tasks = [table.task for table in tests]
    once = [table for table in tests if tasks.count(table.task) == 1]
    if len(once) < FEWEST_TASKS:
        return [], []
    scales = list(dict.fromkeys(table.scale for table in once))
    if len(scales) > 1:
        return [], [f"nothing is summarised over all tasks: the tables are of the scales {', '.join(scales)}"]
    by_typed = [_scores(table, typed=True) for table in once]
    by_name = [_scores(table, typed=False) for table in once]
    shared = set.intersection(*map(set, by_typed))
    taken = {
        row.name for table in once for row in table.rows if row.complete and row.name_over_tasks in shared
    }
    scores = [
        {name: found for name, found in typed.items() if name in shared}
        | {name: found for name, found in named.items() if name not in taken}
        for typed, named in zip(by_typed, by_name, strict=True)
    ]
    summaries = across_tasks(scores)
    counted = taken | {one.model for one in summaries}
    left = dict.fromkeys(row.name for table in once for row in table.rows if row.name not in counted)
    notes = [f"left out, not complete on every task: {', '.join(left)}"] if left else []
    if twice := list(dict.fromkeys(task for task in tasks if tasks.count(task) > 1)):
        notes.append(f"left out, because they have several tables: {', '.join(twice)}")
    return summaries, notes


def _scores(table: Table, typed: bool) -> dict[str, list[float]]:
    """The scores of the seeds of each complete row by its name; files of one model are no seeds of it."""

    def name(row: Row) -> str:
        return row.name_over_tasks if typed else row.name

    names = [name(row) for row in table.rows]
    return {
        name(row): [seed.score for seed in row.seeds if seed.score is not None]
        for row in table.rows
        if row.complete and names.count(name(row)) == 1
    }

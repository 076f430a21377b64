"""Which parts of a report are printed. Tests stay those of everything that was read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..api.errors import UsageError, nearest
from ..host.host import Host
from .table import Pair, Report, Row, Table


def with_costs(report: Report, costs: bool) -> Report:
    """The report, with or without the tables of costs as text."""
    return replace(report, costs=costs)


def with_published(report: Report, plugins: Host) -> Report:
    """The report with the published numbers that its tasks' plugins know."""
    known = {part.spec.name: part.spec.published for part in plugins.tasks.parts}
    tables = tuple(replace(table, published=known.get(table.task, ())) for table in report.tables)
    return replace(report, tables=tables)


def select_models(report: Report, only: Sequence[str], names: Mapping[str, str]) -> Report:
    """Print some models only, or under other names.

    Models are named as they were typed (``trm``), as in the table (``TRM-MLP``) or as resolved (``trm-mlp``).
    Hidden rows are named in `Table.hidden`; pairs with one of them are not printed.

    Raises:
        UsageError: a model is in no table; the nearest is suggested.
    """
    known = {name for table in report.tables for row in table.rows for name in names_of(row)}
    for name in (*only, *names):
        if name not in known:
            raise UsageError(f"no row of model {name!r}; {nearest(name, known)}")
    tables = tuple(_select(table, only, names) for table in report.tables)
    return replace(report, tables=tables)


def names_of(row: Row) -> set[str]:
    """Everything that a row may be called by."""
    requested = row.requested.partition(" @ ")[0]
    return {row.name, row.display_name, row.model, requested, requested.partition("[")[0]}


def _select(table: Table, only: Sequence[str], names: Mapping[str, str]) -> Table:
    shown = [row for row in table.rows if not only or names_of(row) & set(only)]
    hidden = tuple(row.name for row in table.rows if row not in shown)
    renamed = {row.name: _renamed(row, names) for row in shown}
    pairs = tuple(
        _rename_pair(pair, renamed) for pair in table.pairs if pair.a in renamed and pair.b in renamed
    )
    notes = tuple(_rename_in(note, shown, renamed) for note in table.notes)
    return replace(
        table, rows=tuple(renamed.values()), pairs=pairs, notes=notes, hidden=(*table.hidden, *hidden)
    )


def _rename_in(note: str, shown: Sequence[Row], renamed: Mapping[str, Row]) -> str:
    for row in shown:
        if row.name != renamed[row.name].name:
            new = renamed[row.name].name.replace("\\", r"\\")
            note = re.sub(rf"(?<!\w){re.escape(row.name)}(?!\w)", new, note)
    return note


def _renamed(row: Row, names: Mapping[str, str]) -> Row:
    for name, new in names.items():
        if name in names_of(row):
            return replace(row, display_name=new, requested=new + _mode(row))
    return row


def _mode(row: Row) -> str:
    return f" @ {row.evaluation}" if row.evaluation else ""


def _rename_pair(pair: Pair, renamed: Mapping[str, Row]) -> Pair:
    return replace(pair, a=renamed[pair.a].name, b=renamed[pair.b].name)

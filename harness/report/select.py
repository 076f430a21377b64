"""Which parts of a report are printed. Tests stay those of everything that was read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..api.errors import UsageError, nearest
from ..api.published import Published
from ..host.host import Host
from ..planning.models import in_order
from .table import Report, Row, Table


def with_costs(report: Report, costs: bool) -> Report:
    """The report, with or without the tables of costs as text."""
    return replace(report, costs=costs)


def with_published(report: Report, plugins: Host) -> Report:
    """The report with the published numbers that its tasks' plugins know; they are test scores.

    A number is printed with puzzles of the size and kind that it is about, and nowhere else.
    """
    known = {part.spec.name: part.spec.published for part in plugins.tasks.parts}
    tables = tuple(
        _with_numbers(table, known.get(table.task, ())) if table.split == "test" else table
        for table in report.tables
    )
    return replace(report, tables=tables)


def _with_numbers(table: Table, numbers: Sequence[Published]) -> Table:
    """The table with the numbers that fit its puzzles, or with a note that says why none does."""
    fitting = tuple(one for one in numbers if one.fits(table.scale, table.source_kind))
    if not numbers or fitting:
        return replace(table, published=fitting)
    scales = ", ".join(dict.fromkeys(scale for one in numbers for scale in one.scales))
    sources = " or ".join(dict.fromkeys(source for one in numbers for source in one.puzzle_sources))
    wanted = f"scale {scales}" + (f" with source {sources}" if sources else "")
    note = f"no published numbers here: they are about other puzzles ({wanted})"
    return replace(table, notes=(*table.notes, note))


def select_models(report: Report, only: Sequence[str], names: Mapping[str, str]) -> Report:
    """Print some models only, or under other names.

    Models are named as they were typed (``trm``), as in the table (``TRM-MLP``) or as resolved (``trm-mlp``);
    a name without options is that of every variant only where no row has exactly that name.
    Hidden rows are named in `Table.hidden`; pairs with one of them are not printed. The sentences of a study
    keep the study's own names.

    Raises:
        UsageError: a model is in no table (the nearest is suggested), or two rows would have one name.
    """
    known = {name for table in report.tables for row in table.rows for name in names_of(row)}
    for name in (*only, *names):
        if in_order(name) not in map(in_order, known):
            raise UsageError(f"no row of model {name!r}; {nearest(name, known)}")
    tables: list[Table] = []
    overall: dict[str, str] = {}
    for table in report.tables:
        shown = _shown(table.rows, only)
        renamed = _renamed(shown, names)
        tables.append(_select(table, shown, renamed))
        for row, new in zip(shown, renamed, strict=True):
            overall |= {row.name: new.name, row.name_over_tasks: new.name_over_tasks}
    across = tuple(replace(one, model=overall[one.model]) for one in report.overall if one.model in overall)
    return replace(report, tables=tuple(tables), overall=across)


def names_of(row: Row) -> set[str]:
    """Everything that a row may be called by."""
    return {*_whole_names(row), _typed(row).partition("[")[0]}


def _whole_names(row: Row) -> set[str]:
    return {row.name, row.display_name, row.model, _typed(row)}


def _typed(row: Row) -> str:
    return row.requested.partition(" @ ")[0]


def _called(name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of a name: those that have exactly this one, or else every variant of a model."""
    name = in_order(name)
    return [row for row in rows if name in map(in_order, _whole_names(row))] or [
        row for row in rows if name in names_of(row)
    ]


def _shown(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    chosen = {row.name for name in only for row in _called(name, rows)}
    return [row for row in rows if not only or row.name in chosen]


def _renamed(rows: Sequence[Row], names: Mapping[str, str]) -> list[Row]:
    """The rows under other names.

    Raises:
        UsageError: two of them would have one name.
    """
    new = {row.name: new for name, new in names.items() for row in _called(name, rows)}
    renamed = [
        replace(row, display_name=new[row.name], requested=new[row.name] + _mode(row))
        if row.name in new
        else row
        for row in rows
    ]
    taken = [row.name for row in renamed]
    for name in taken:
        if taken.count(name) > 1:
            raise UsageError(f"two rows would be called {name!r}; choose another name for one of them")
    return renamed


def _mode(row: Row) -> str:
    return f" @ {row.evaluation}" if row.evaluation else ""


def _select(table: Table, shown: Sequence[Row], renamed: Sequence[Row]) -> Table:
    names = {row.name: new.name for row, new in zip(shown, renamed, strict=True)}
    displayed = {row.display_name: new.display_name for row, new in zip(shown, renamed, strict=True)}
    hidden = tuple(row.name for row in table.rows if row.name not in names)
    pairs = tuple(
        replace(pair, a=names[pair.a], b=names[pair.b])
        for pair in table.pairs
        if pair.a in names and pair.b in names
    )
    # What is said of a hidden row, or of a pair with one, is not shown either.
    subjects = [
        *(f"{name}: " for name in hidden),
        *(f"{one.a} − {one.b}: " for one in table.pairs if {one.a, one.b} & set(hidden)),
    ]
    notes = tuple(
        _rename_in(note, displayed | names) for note in table.notes if not note.startswith(tuple(subjects))
    )
    return replace(
        table,
        rows=tuple(renamed),
        pairs=pairs,
        notes=notes,
        hidden=(*table.hidden, *hidden),
        baseline=names.get(table.baseline, table.baseline),
    )


def _rename_in(note: str, names: Mapping[str, str]) -> str:
    """All names at once, the longest first; a name is not part of a longer one, such as another variant's."""
    longest_first = sorted(names, key=len, reverse=True)
    if not longest_first:
        return note
    pattern = rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?![\w\[-])"
    return re.sub(pattern, lambda found: names[found[1]], note)

"""The report as text for a terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from tabulate import tabulate

from ...harness.report.table import Report, StudyAnswers, Table
from .grids import FAMILY, Grid, grids, hidden_note, overall, study_lines


def render(report: Report, style: str) -> str:
    """All tables in one of `tabulate`'s formats (``simple`` or ``github``)."""
    parts = [text for study in report.studies for text in _study(study, style)]
    parts += [_table(table, style, report.costs) for table in report.tables]
    if report.overall:
        parts += list(_titled(overall(report.overall), style))
    if report.family:
        parts.append(report.family)
    if report.problems:
        parts.append("Not read:\n\n" + "\n".join(f"- {problem}" for problem in report.problems))
    if report.commands:
        parts.append("Reproduce with:\n\n" + "\n".join(f"    {command}" for command in report.commands))
    return "\n\n".join(parts)


def _study(study: StudyAnswers, style: str) -> Iterator[str]:
    title = f"Study {study.name} at {study.scale}: {study.asks}"
    yield f"## {title}" if style == "github" else title
    yield "\n".join(f"- {line}" for line in study_lines(study))
    if study.source:
        yield f"Source of the question: {study.source}"
    yield FAMILY


def _table(table: Table, style: str, costs: bool) -> str:
    parts = [f"**{table.title}**" if style == "github" else table.title, table.conditions]
    for grid in grids(table, costs):
        parts += _titled(grid, style)
    notes = [*hidden_note(table), *table.notes]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)])


def _titled(grid: Grid, style: str) -> Iterator[str]:
    if grid.heading:
        yield f"**{grid.heading}**" if style == "github" else grid.heading
    yield as_text(grid, style)


def as_text(grid: Grid, style: str) -> str:
    """One grid in one of `tabulate`'s formats."""
    align = ["left"] + ["right"] * (len(grid.headers) - 1)
    return tabulate(
        grid.rows,
        headers=grid.headers,
        tablefmt=style,
        disable_numparse=True,
        colalign=align if grid.rows else None,
    )

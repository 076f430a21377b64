"""The report as text for a terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from tabulate import tabulate

from ...harness.report.table import Report, StudyAnswers, Table
from .grids import FAMILY, Grid, grids, hidden_note, overall, study_lines

WIDTH = 100
"""Characters of a line."""
SENTENCE = 36
"""Columns of cells longer than this hold sentences, and wrap."""
GAP, PADDING = 2, 2
"""Spaces between two columns, and what `tabulate` adds to a header."""
NO_BREAK = "\u00a0"


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


def as_text(grid: Grid, style: str, width: int = WIDTH) -> str:
    """One grid in one of `tabulate`'s formats; lines of text in columns as wide as it takes to fit ``width``.

    GitHub wraps by itself.
    """
    align = ["left"] + ["right"] * (len(grid.headers) - 1)
    headers, rows = list(grid.headers), [list(row) for row in grid.rows]
    if style == "simple":
        widths = _widths(grid, width)
        headers = [fill(text, width - PADDING) for text, width in zip(headers, widths, strict=True)]
        rows = [[fill(*cell) for cell in zip(row, widths, strict=True)] for row in rows]
    return tabulate(
        rows, headers=headers, tablefmt=style, disable_numparse=True, colalign=align if rows else None
    )


def _widths(grid: Grid, width: int) -> list[int]:
    """How wide each column may be: headers wrap first, then the widest column of cells."""
    cells = [max(map(len, column)) for column in zip(*(grid.rows or [[""] * len(grid.headers)]), strict=True)]
    longest = [PADDING + max(map(len, _whole(header).split(" "))) for header in grid.headers]
    headers = [PADDING + len(header) for header in grid.headers]
    widths = [max(pair) for pair in zip(cells, headers, strict=True)]
    room = width - GAP * (len(widths) - 1)
    while sum(widths) > room:
        column = max(
            range(len(widths)), key=lambda place: widths[place] - _least(cells[place], longest[place])
        )
        least = _least(cells[column], longest[column])
        if widths[column] <= least:
            break  # numbers are never broken
        widths[column] -= 1
    return widths


def _least(cells: int, word: int) -> int:
    """A column of numbers or names keeps them whole; one of sentences may be as narrow as `SENTENCE`."""
    return max(word, min(cells, SENTENCE))


def fill(text: str, width: int) -> str:
    """A cell over as many lines as it takes."""
    lines = wrap(_whole(text), width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(NO_BREAK, " ") or text


def _whole(text: str) -> str:
    """A number and its percent sign stay together."""
    return text.replace(" %", f"{NO_BREAK}%")

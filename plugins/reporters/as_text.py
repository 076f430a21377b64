"""The report as text for a terminal, or as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap

from tabulate import tabulate

from ...harness.report.table import Report, StudyAnswers, Table
from .grids import NO_BREAK, Grid, divided, grids, hidden_note, overall, study_lines, unbroken

WIDTH = 100
"""Characters of a line."""
SENTENCE = 36
"""Columns of cells longer than this hold sentences, and wrap."""
GAP, PADDING = 2, 2
"""Spaces between two columns, and what `tabulate` adds to a header."""
BREAK = "\x0b"


def render(report: Report, style: str) -> str:
    """All tables in one of `tabulate`'s formats (``simple`` or ``github``)."""
    parts = [text for study in report.studies for text in _study(study, style)]
    parts += [_table(table, style, report.costs) for table in report.tables]
    if report.overall:
        parts += list(_titled(overall(report.overall), style))
    if report.overall_notes:
        parts.append("\n".join(f"- {note}" for note in report.overall_notes))
    if report.problems:
        parts.append("Not read:\n\n" + "\n".join(f"- {problem}" for problem in report.problems))
    if report.remarks:
        parts.append("Left out or not requested:\n\n" + "\n".join(f"- {one}" for one in report.remarks))
    if style == "github":
        parts = [re.sub(r"<(?=[A-Za-z!/?])", "&lt;", part) for part in parts]  # no tag comes from a name
    if report.commands:
        parts.append("Reproduce with:\n\n" + "\n".join(f"    {command}" for command in report.commands))
    return "\n\n".join(parts)


def _study(study: StudyAnswers, style: str) -> Iterator[str]:
    title = f"Study {study.name} at {study.scale}: {study.asks}"
    yield f"## {title}" if style == "github" else title
    yield "\n".join(f"- {line}" for line in study_lines(study))
    if study.source:
        yield f"Source of the question: {study.source}"
    yield study.family


def _table(table: Table, style: str, costs: bool) -> str:
    parts = [f"**{table.title}**" if style == "github" else table.title, table.conditions]
    for grid in grids(table, costs):
        parts += _titled(grid, style)
    notes = [*hidden_note(table), *table.notes]
    parts += [table.family] if table.family else []
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)])


def _titled(grid: Grid, style: str) -> Iterator[str]:
    """A grid under its heading; in several parts where it is too wide for a line. GitHub wraps by itself."""
    if style == "github":
        yield from (f"**{grid.heading}**", as_text(grid, style)) if grid.heading else (as_text(grid, style),)
        return
    for part in divided(grid, _fits):
        if part.heading:
            yield part.heading
        yield as_text(part, style)


def as_text(grid: Grid, style: str, width: int = WIDTH) -> str:
    """One grid in one of `tabulate`'s formats; text in columns as wide as it takes to fit ``width``."""
    align = ["left"] + ["right"] * (len(grid.headers) - 1)
    headers, rows = list(grid.headers), [list(row) for row in grid.rows]
    if style == "github":
        headers, *rows = [[cell.replace("|", "\\|") for cell in row] for row in (headers, *rows)]
    if style == "simple":
        widths = _widths(grid, width)
        headers = [fill(text, width - PADDING) for text, width in zip(headers, widths, strict=True)]
        rows = [[fill(*cell) for cell in zip(row, widths, strict=True)] for row in rows]
    return tabulate(
        rows, headers=headers, tablefmt=style, disable_numparse=True, colalign=align if rows else None
    )


def _fits(grid: Grid) -> bool:
    return sum(_least(grid)) <= WIDTH - GAP * (len(grid.headers) - 1)


def _widths(grid: Grid, width: int) -> list[int]:
    """How wide each column may be: headers wrap first, then the widest column of cells."""
    least = _least(grid)
    headers = [PADDING + len(header) for header in grid.headers]
    widths = [max(pair) for pair in zip(_longest(grid), headers, strict=True)]
    room = width - GAP * (len(widths) - 1)
    while sum(widths) > room:
        column = max(range(len(widths)), key=lambda place: widths[place] - least[place])
        if widths[column] <= least[column]:
            break  # numbers are never broken
        widths[column] -= 1
    return widths


def _longest(grid: Grid) -> list[int]:
    """The longest cell of each column."""
    return [max([0, *(len(row[place]) for row in grid.rows)]) for place in range(len(grid.headers))]


def _least(grid: Grid) -> list[int]:
    """A column of numbers or names keeps them whole; one of sentences may be as narrow as `SENTENCE`."""
    words = [PADDING + max(map(len, unbroken(header).split(" "))) for header in grid.headers]
    return [max(word, min(cell, SENTENCE)) for word, cell in zip(words, _longest(grid), strict=True)]


def fill(text: str, width: int) -> str:
    """A cell over as many lines as it takes; the options of a long name may be on several lines."""
    lines = wrap(
        re.sub(r",(?=[a-z])", f",{BREAK}", unbroken(text)),
        width,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return "\n".join(lines).replace(NO_BREAK, " ").replace(BREAK, "") or text

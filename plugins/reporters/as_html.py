"""The report as one HTML page: tables that sort, figures inside, nothing fetched from anywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from ...harness.api.errors import UnavailableError
from ...harness.report.figures import as_svg, figures
from ...harness.report.table import Report, Table
from .as_text import as_text
from .grids import grids, hidden_note, overall, study_lines

_ID = re.compile(r"""((?:\bid="|href="#|url\(#))""")
"""Where an SVG file defines an id, or refers to one."""


class Section(NamedTuple):
    """One table of the report on the page."""

    table: Table
    grids: list[tuple[str, Markup]]
    notes: list[str]
    figures: list[Markup]


def render(report: Report) -> str:
    """The whole page. Without matplotlib it has a note instead of figures."""
    try:
        drawn = {
            name: Markup(_inline(as_svg(figure), f"f{number}-"))
            for number, (name, figure) in enumerate(figures(report).items(), start=1)
        }
        missing = ""
    except UnavailableError as error:
        drawn, missing = {}, str(error)
    sections = [
        Section(
            table,
            [(grid.heading, Markup(as_text(grid, "html"))) for grid in grids(table, costs=True)],
            [*hidden_note(table), *table.notes],
            [svg for name, svg in drawn.items() if name.startswith(f"{place}-")],
        )
        for place, table in enumerate(report.tables, start=1)
    ]
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    )
    across = overall(report.overall) if report.overall else None
    return template.render(
        report=report,
        sections=sections,
        missing=missing,
        studies=[(study, study_lines(study)) for study in report.studies],
        overall_heading=across.heading if across else "",
        overall=Markup(as_text(across, "html")) if across else "",
    )


def _inline(svg: str, prefix: str) -> str:
    """An SVG file without its XML header, and with ids that no other figure on the page has."""
    return _ID.sub(rf"\1{prefix}", svg[svg.index("<svg") :])

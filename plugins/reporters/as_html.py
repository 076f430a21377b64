"""The report as one HTML page: tables that sort, figures inside, nothing fetched from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from ...harness.api.errors import UnavailableError
from ...harness.report.figures import as_svg, figures
from ...harness.report.table import Report, Table
from .tables import FAMILY, OVERALL, grids, overall, study_lines


@dataclass(frozen=True)
class Section:
    """One table of the report as it stands on the page."""

    table: Table
    grids: tuple[tuple[str, Markup], ...]
    figures: tuple[Markup, ...]


def render(report: Report) -> str:
    """The whole page. Without matplotlib it has no figures, and says so."""
    try:
        drawn = {name: Markup(_inline(as_svg(figure))) for name, figure in figures(report).items()}
        missing = ""
    except UnavailableError as error:
        drawn, missing = {}, str(error)
    sections = [
        Section(
            table,
            tuple((heading, Markup(grid)) for heading, grid in grids(table, "html")),
            tuple(svg for name, svg in drawn.items() if name.startswith(f"{place}-")),
        )
        for place, table in enumerate(report.tables, start=1)
    ]
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    )
    return template.render(
        report=report,
        sections=sections,
        missing=missing,
        studies=[(study, study_lines(study)) for study in report.studies],
        family_of_a_study=FAMILY,
        overall_heading=OVERALL,
        overall=Markup(overall(report.overall, "html")) if report.overall else "",
    )


def _inline(svg: str) -> str:
    """An SVG file without what only a file has before it."""
    return svg[svg.index("<svg") :]

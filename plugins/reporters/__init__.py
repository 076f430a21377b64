"""The built-in reporters: text, Markdown, HTML, LaTeX for a paper, CSV and JSON for a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...harness.api.hookspecs import hookimpl
from ...harness.api.specs import ReporterSpec

if TYPE_CHECKING:
    from ...harness.report.table import Report


def _text(report: Report) -> str:
    from .as_text import render

    return render(report, "simple")


def _markdown(report: Report) -> str:
    from .as_text import render

    return render(report, "github")


def _json(report: Report) -> str:
    from .as_json import render

    return render(report)


def _csv(report: Report) -> str:
    from .as_csv import render

    return render(report)


def _latex(report: Report) -> str:
    from .as_latex import render

    return render(report)


def _html(report: Report) -> str:
    from .as_html import render

    return render(report)


@hookimpl
def trm_bench_register_reporters() -> Iterable[ReporterSpec]:
    """Text, Markdown, HTML, LaTeX, CSV and JSON."""
    return [
        ReporterSpec("text", "tables for a terminal", render=_text),
        ReporterSpec("markdown", "tables in GitHub's Markdown", render=_markdown),
        ReporterSpec("latex", "booktabs tables for an article", render=_latex),
        ReporterSpec("html", "one page that needs nothing else, with figures", render=_html),
        ReporterSpec("csv", "one line for each model and metric", render=_csv),
        ReporterSpec("json", "every number of the report", render=_json),
    ]

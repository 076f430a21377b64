"""The built-in reporters: text for a terminal, Markdown for a paper's repository, JSON for a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...harness.hookspecs import hookimpl
from ...harness.specs import ReporterSpec

if TYPE_CHECKING:
    from ...harness.report.table import Report


def _text(report: Report) -> str:
    from .tables import render

    return render(report, "simple")


def _markdown(report: Report) -> str:
    from .tables import render

    return render(report, "github")


def _json(report: Report) -> str:
    from .as_json import render

    return render(report)


@hookimpl
def trm_bench_register_reporters() -> Iterable[ReporterSpec]:
    """Text, Markdown and JSON."""
    return [
        ReporterSpec("text", "tables for a terminal", render=_text),
        ReporterSpec("markdown", "tables in GitHub's Markdown", render=_markdown),
        ReporterSpec("json", "every number of the report", render=_json),
    ]

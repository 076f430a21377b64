"""Printing the report of what was run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.errors import NothingToReport
from .terminal import echo, echo_report

if TYPE_CHECKING:
    from ..python.results import Results


def print_results(results: Results, as_json: bool, costs: bool = False) -> int:
    """Print the report of a call and give its exit code.

    Raises:
        NothingToReport: no run is finished, and none has failed.
    """
    reporter = "json" if as_json else "text"
    try:
        echo_report(results.report(reporter, costs=costs), reporter)
    except NothingToReport as error:
        if not results.failed:
            raise
        echo(f"error: {error}", err=True)
    return 1 if results.failed else 0

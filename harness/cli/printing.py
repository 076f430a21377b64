"""Printing the report of what was run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..host.host import OWN_DISTRIBUTION, Host, plugins_aside
from .terminal import echo_report

if TYPE_CHECKING:
    from rich.console import Console


def print_report(plugins: Host, folders: Sequence[Path], as_json: bool, failed: bool, out: Console) -> None:
    """The report of what was run; where nothing is finished, that is an error unless a failure was named.

    Raises:
        NothingToReport: no cell is finished, and none has failed.
    """
    from ..api.errors import NothingToReport
    from ..report.build import build_report

    try:
        report = build_report(folders)
    except NothingToReport as error:
        if not failed:
            raise
        out.print(f"error: {error}", markup=False, soft_wrap=True)
        return
    with plugins_aside():
        plugins.notify("trm_bench_report_ready", report=report)
    reporter = plugins.reporters.get("json" if as_json else "text", prefer=(OWN_DISTRIBUTION,))
    echo_report(reporter.spec.render(report), reporter.spec.name)

"""`Results`, which `trm_bench.run`, `evaluate` and `load_results` return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..api.errors import NothingToReport
from ..api.text import cleaned, plural
from ..host.calls import calling, plugins_aside
from ..host.host import OWN_DISTRIBUTION, host
from ..report.build import build_report, with_looks
from ..report.notes import NOT_CITABLE
from ..report.read import Reading
from ..report.select import select_models, with_costs, with_published
from ..report.table import Report
from . import frames

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Results:
    """Runs of one or several output folders, as tables and DataFrames.

    Shows itself as a table in a notebook. DataFrames are made when they are first used.

    Attributes:
        folders: the output folders that were read.
        failed: why each run that was requested in this call did not finish, by name.
    """

    def __init__(self, reading: Reading, failed: Mapping[str, str] | None = None):
        self._reading = reading
        self._runs = list(reading.runs)
        self.folders: tuple[Path, ...] = reading.folders
        self.failed: dict[str, str] = dict(failed or {})

    @cached_property
    def data(self) -> Report:
        """The whole report as plain values.

        Raises:
            NothingToReport: no run is finished.
        """
        report = build_report(self._reading)
        with plugins_aside():
            host().notify("trm_bench_report_ready", report=report)
        return report

    @cached_property
    def _shown(self) -> Report:
        """The report; one without tables where no run is finished, for frames without rows."""
        try:
            return self.data
        except NothingToReport:
            return Report((), self.problems, self.remarks, ())

    @property
    def problems(self) -> tuple[str, ...]:
        """Files that could not be read, and why."""
        return self._reading.problems

    @property
    def remarks(self) -> tuple[str, ...]:
        """Runs that were found and are not counted, or were not requested."""
        return self._reading.remarks

    @property
    def complete(self) -> bool:
        """Whether every requested run is done and every file could be read."""
        rows = [row for table in self._shown.tables for row in table.rows]
        return bool(rows) and all(row.complete for row in rows) and not self.problems

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per model: score, interval, seeds. Columns: `frames.TABLE`."""
        return frames.frame(list(frames.table_rows(self._shown)), frames.TABLE)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per requested run, finished or not. Columns: `frames.RUNS`."""
        return frames.frame([frames.run_row(run) for run in with_looks(self._reading)], frames.RUNS)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per test item of every finished run. Columns: `frames.SAMPLES`, evaluators, extras."""
        return frames.samples_frame(self._runs)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """One row per pair of models, or question of a study. Columns: `frames.COMPARISONS`."""
        return frames.frame(list(frames.comparison_rows(self._shown)), frames.COMPARISONS)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """One row per model: parameters, FLOPs, seconds, memory. Columns: `frames.COSTS`."""
        return frames.frame(list(frames.cost_rows(self._shown)), frames.COSTS)

    def report(
        self,
        format: str = "text",  # noqa: A002  the word of every reporter's users
        *,
        costs: bool = False,
        published: bool = False,
        only: Sequence[str] = (),
        names: Mapping[str, str] | None = None,
    ) -> str:
        """The report in the format of a reporter: text, markdown, html, latex, csv, json or a plugin's.

        Args:
            format: name of a reporter.
            costs: whether text and Markdown print the tables of costs too.
            published: whether published numbers are printed below; they enter no test.
            only: models to print; all models stay in the family of tests, and hidden ones are named.
            names: other names for models, e.g. ``{"trm": "Ours"}``.

        Raises:
            NothingToReport: no run is finished.
            UsageError: an unknown reporter or model; the nearest is suggested.
        """
        part = host().reporters.get(format, prefer=(OWN_DISTRIBUTION,))
        report = select_models(self.data, only, names or {})
        report = with_published(report, host()) if published else report
        with calling(f"reporter {part.full_name}"):
            text = part.spec.render(cleaned(with_costs(report, costs)))
            if not isinstance(text, str):
                raise TypeError(f"render must give text, not {type(text).__name__}")
        return text

    def figures(self) -> dict[str, Figure]:
        """Every figure of the report by name.

        Raises:
            UnavailableError: matplotlib is not installed.
        """
        from ..report.figures import figures

        return figures(self._shown)

    def save_figures(self, folder: str | Path) -> list[Path]:
        """Write every figure as SVG and PNG into a folder.

        Raises:
            UnavailableError: matplotlib is not installed.
        """
        from ..report.figures import save

        return save(self.data, Path(folder))

    def __repr__(self) -> str:
        return f"<trm_bench.Results: {plural(len(self._runs), 'run')} in {', '.join(map(str, self.folders))}>"

    def _repr_html_(self) -> str:
        tables = [self.table if len(self.table) else self.runs]
        if len(self.comparisons):
            columns = ["a", "b", "delta", "family_low", "family_high", "holm_p", "verdict"]
            grid = ["grid"] if self.comparisons["grid"].any() else []
            tables.append(self.comparisons[[*grid, *columns]])
        notes = dict.fromkeys(
            note for table in self._shown.tables for note in table.notes if note.startswith(NOT_CITABLE)
        )
        return "\n".join(
            [
                *(table.to_html(index=False, na_rep="–", float_format="{:.4g}".format) for table in tables),
                *(f"<p>{escape(note)}</p>" for note in notes),
            ]
        )

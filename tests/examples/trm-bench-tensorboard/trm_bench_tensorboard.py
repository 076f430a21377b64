"""A tracker: what a grid of runs tells its plugins, as TensorBoard event files.

They are written to ``$TRM_BENCH_TENSORBOARD``, by default ``runs``, in a folder for each run. Runs train in
processes of their own, but notifications come to the one process that started them: this all happens there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trm_bench import hookimpl

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from trm_bench import Report


@dataclass
class Tracked:
    """A run that trains, or has trained, while this process watched; ``step`` is its last optimiser step."""

    writer: SummaryWriter
    step: int = 0


@dataclass
class Session:
    """The grid that is being run, and its runs by name."""

    grid: Mapping[str, Any] = field(default_factory=dict)
    runs: dict[str, Tracked] = field(default_factory=dict)

    def tracked(self, run: str, step: int) -> Tracked:
        """The run; its writer is opened when its first line of metrics comes."""
        if run not in self.runs:
            from torch.utils.tensorboard import SummaryWriter  # seconds, which `list` need not wait

            root = Path(os.environ.get("TRM_BENCH_TENSORBOARD", "runs"))
            folder = root / f"{self.grid['task']}-{self.grid['scale']}" / run
            # After a checkpoint some steps are taken again: TensorBoard then forgets their first time.
            writer = SummaryWriter(str(folder), purge_step=step)
            writer.add_text("grid", f"```json\n{json.dumps(self.grid, indent=1)}\n```", step)
            self.runs[run] = Tracked(writer)
        return self.runs[run]


session = Session()


@hookimpl
def trm_bench_grid_started(grid: Mapping[str, Any]) -> None:
    """Remember it, because metrics come without it."""
    session.grid = grid


@hookimpl
def trm_bench_metrics_logged(run: str, metrics: Mapping[str, float]) -> None:
    """A point for each number: loss and accuracy in training, now and then accuracy in validation."""
    tracked = session.tracked(run, int(metrics["step"]))
    tracked.step = int(metrics["step"])
    for name in metrics.keys() - {"step", "spent"}:
        tracked.writer.add_scalar(name, metrics[name], tracked.step)


@hookimpl
def trm_bench_grid_finished(runs: Mapping[str, str]) -> None:
    """How the runs ended. Their files are closed: the report may never come."""
    for run in session.runs.keys() & runs.keys():
        session.runs[run].writer.add_text("status", runs[run], session.runs[run].step)
        session.runs[run].writer.close()


@hookimpl
def trm_bench_report_ready(report: Report) -> None:
    """The test scores of those runs; a writer that was closed continues in a file of its own."""
    for table in report.tables:
        for result in (seed for row in table.rows for seed in row.seeds):
            if result.score is not None and result.run in session.runs:
                tracked = session.runs[result.run]
                tracked.writer.add_scalar(f"test/{table.primary}", result.score, tracked.step)
                tracked.writer.close()

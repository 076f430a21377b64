"""A tracker: what a run tells its plugins, as TensorBoard event files.

They lie in ``$TRM_BENCH_TENSORBOARD``, by default ``runs``, in a folder for each cell. Cells train in
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
    """A cell that trains, or has trained, while this process watched; ``step`` is the last it told of."""

    writer: SummaryWriter
    step: int = 0


@dataclass
class Run:
    """What is being run, and its cells by name."""

    study: Mapping[str, Any] = field(default_factory=dict)
    cells: dict[str, Tracked] = field(default_factory=dict)

    def tracked(self, cell: str, step: int) -> Tracked:
        """The cell; its writer is opened when its first line of metrics comes."""
        if cell not in self.cells:
            from torch.utils.tensorboard import SummaryWriter  # seconds, which `list` need not wait

            root = Path(os.environ.get("TRM_BENCH_TENSORBOARD", "runs"))
            folder = root / f"{self.study['task']}-{self.study['scale']}" / cell
            # After a checkpoint some steps are taken again: TensorBoard then forgets their first time.
            writer = SummaryWriter(str(folder), purge_step=step)
            writer.add_text("study", f"```json\n{json.dumps(self.study, indent=1)}\n```", step)
            self.cells[cell] = Tracked(writer)
        return self.cells[cell]


run = Run()


@hookimpl
def trm_bench_run_started(study: Mapping[str, Any]) -> None:
    """Remember it, because metrics come without it."""
    run.study = study


@hookimpl
def trm_bench_metrics_logged(cell: str, metrics: Mapping[str, float]) -> None:
    """A point for each number: loss and accuracy in training, now and then accuracy in validation."""
    tracked = run.tracked(cell, int(metrics["step"]))
    tracked.step = int(metrics["step"])
    for name in metrics.keys() - {"step", "spent"}:
        tracked.writer.add_scalar(name, metrics[name], tracked.step)


@hookimpl
def trm_bench_run_finished(cells: Mapping[str, str]) -> None:
    """How the cells ended. Their files are closed: the report may never come."""
    for cell in run.cells.keys() & cells.keys():
        run.cells[cell].writer.add_text("status", cells[cell], run.cells[cell].step)
        run.cells[cell].writer.close()


@hookimpl
def trm_bench_report_ready(report: Report) -> None:
    """The test scores of those cells; a writer that was closed goes on in a file of its own."""
    for table in report.tables:
        for result in (seed for row in table.rows for seed in row.seeds):
            if result.score is not None and result.cell in run.cells:
                tracked = run.cells[result.cell]
                tracked.writer.add_scalar(f"test/{table.primary}", result.score, tracked.step)
                tracked.writer.close()

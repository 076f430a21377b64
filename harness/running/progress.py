"""Progress on stderr: bars on a terminal or in a notebook, one line per finished run elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from ..api.specs import Progress as OnProgress
from ..api.text import one_line, printable
from ..store.records import Status
from .worker_keys import EVALUATED, RESUMED

LONG = 100
"""Hours from which a time span is given in days."""
SHORTEST = 2.0
"""Seconds of work from which an estimate is worth printing."""
LEAST = 1e-3
"""Share of all work from which an estimate means something: an untrained model says nothing of others."""
WIDE = 80
"""Columns from which there is room for more than the name of a run."""


class _Console(Console):
    """Prints text with its control characters spelled out: it may come from a file or a plugin."""

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich prints."""
        super().print(*(printable(one) if isinstance(one, str) else one for one in objects), **how)


def console(file: IO[str] | None = None) -> Console:
    """The console for everything that is not a result, on stderr; or one for tables, on ``file``.

    A terminal that cannot move its cursor, or whose owner wants no escape codes, is written to line by line.
    """
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in ("dumb", "unknown")
    usual = None if not plain else False
    return _Console(file=file, stderr=file is None, highlight=False, force_terminal=usual)


def _bars(out: Console) -> Progress:
    wide = out.width >= WIDE  # otherwise a bar and clocks would be cut down to a stroke and a digit
    return Progress(
        SpinnerColumn("dots" if out.encoding.startswith("utf") else "line"),
        TextColumn("{task.description}"),
        *([BarColumn(bar_width=24)] if wide else []),
        TaskProgressColumn(table_column=Column(no_wrap=True, min_width=4)),
        *([TimeElapsedColumn(), TimeRemainingColumn()] if wide else []),
        console=out,
        transient=True,
        disable=not (out.is_terminal or out.is_jupyter),
    )


@contextmanager
def counted(out: Console) -> Iterator[OnProgress]:
    """A callback for work that counts up, such as making puzzles."""
    with _bars(out) as bars:
        rows: dict[str, TaskID] = {}

        def report(done: int, total: int, what: str) -> None:
            if what not in rows:
                rows[what] = bars.add_task(escape(one_line(str(what))), total=total)
            bars.update(rows[what], completed=done, total=total)

        yield report


def duration(seconds: float) -> str:
    """A time span for people, e.g. ``3 min 20 s``."""
    whole = max(round(seconds), 0)
    hours, minutes = divmod(whole // 60, 60)
    if hours >= LONG:
        return f"{hours // 24:,} days"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


Work = tuple[float, float]
"""FLOPs of a job in training and in evaluation, or anything proportional to its time."""


def _total(work: Work) -> float:
    """Of the whole job; never 0."""
    return max(sum(work), 1.0)


class GridProgress:
    """Shows the runs of a grid and an estimate of the time left; a `processes.Watch`."""

    def __init__(self, out: Console, work: Mapping[str, Work], workers: int):
        self.out, self.work, self.workers = out, dict(work), workers
        self.done: dict[str, float] = dict.fromkeys(work, 0.0)
        self.before: dict[str, float] = {}
        self.started_at: dict[str, float] = {}
        self.left = set(work)
        self.began = time.monotonic()
        self.bars = _bars(out)
        self.rows: dict[str, TaskID] = {}
        self.total: TaskID | None = None
        self.told: set[str] = set()

    def __enter__(self) -> GridProgress:
        self.bars.start()
        self.total = self.bars.add_task("all runs", total=sum(map(_total, self.work.values())))
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self.bars.stop()

    def started(self, run: str) -> None:
        """See `processes.Watch.started`."""
        self.started_at[run] = time.monotonic()
        self.rows[run] = self.bars.add_task(run, total=_total(self.work[run]))

    def metrics(self, run: str, line: Mapping[str, float]) -> None:
        """See `processes.Watch.metrics`."""
        training, evaluation = self.work[run]
        if RESUMED in line:  # that took no time of this command
            self.before[run] = line[RESUMED] * training
            self._move(run, self.before[run])
        elif EVALUATED in line:
            self._move(run, training + line[EVALUATED] * evaluation)
        elif "spent" in line:
            self._move(run, min(1.0, line["spent"]) * training)

    def _move(self, run: str, done: float) -> None:
        self.done[run] = done
        self.bars.update(self.rows[run], completed=done)
        self._move_total()

    def _move_total(self) -> None:
        if self.total is not None:
            whole = sum(map(_total, self.work.values()))
            self.bars.update(self.total, completed=whole - sum(self._left_to_do()))

    def _left_to_do(self) -> list[float]:
        """The work left in each run that has not ended."""
        return [_total(self.work[run]) - self.done[run] for run in self.left]

    def finished(self, run: str, status: Status, error: str | None) -> None:
        """See `processes.Watch.finished`."""
        self.left.discard(run)
        took = time.monotonic() - self.started_at.get(run, time.monotonic())
        if status is Status.DONE:  # a failed run is not taken for a fast one
            self.done[run] = _total(self.work[run])
        if run in self.rows:
            self.bars.remove_task(self.rows.pop(run))
        self._move_total()
        ended = len(self.work) - len(self.left)
        line = f"[{ended}/{len(self.work)}] {run}: {status.value} after {duration(took)}"
        left = None if status is Status.INTERRUPTED else self.seconds_left()
        line += f" ({error})" if error else ""
        line += f", about {duration(left)} left" if left is not None and self.left else ""
        self.tell(line)

    def tell(self, line: str) -> None:
        """See `processes.Watch.tell`; what several runs tell alike is printed once.

        A terminal that is gone must not end the runs.
        """
        if line in self.told:
            return
        self.told.add(line)
        with suppress(OSError):
            self.out.print(line, soft_wrap=True, markup=False)

    def seconds_left(self) -> float | None:
        """Seconds until the last run ends, by what was done until now; None until enough is known."""
        passed = time.monotonic() - self.began
        done = sum(self.done.values()) - sum(self.before.values())
        if passed < SHORTEST or done < LEAST * sum(map(_total, self.work.values())):
            return None
        rests, side_by_side = self._left_to_do(), min(self.workers, len(self.work))
        return passed / done * max(sum(rests), side_by_side * max(rests, default=0.0))

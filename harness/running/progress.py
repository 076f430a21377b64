"""What is shown while long work goes on: rich bars on a terminal, plain lines elsewhere. On stderr."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from ..api.specs import Progress as Report
from ..store.records import Status

PLAIN_SECONDS = 15.0
"""Seconds between plain lines."""
WIDE = 80
"""Columns from which there is room for everything beside the name of a cell."""


def console() -> Console:
    """The console for everything that is not a result.

    A terminal that cannot move its cursor, or whose owner wants no escape codes, is written to line by line.
    """
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in ("dumb", "unknown")
    return Console(stderr=True, highlight=False, force_terminal=False if plain else None)


def _bars(out: Console) -> Progress:
    # In a narrow terminal a bar and a clock would be cut down to a stroke and a digit.
    wide = out.width >= WIDE
    columns = (
        SpinnerColumn("dots" if out.encoding.startswith("utf") else "line"),
        TextColumn("{task.description}"),
        *((BarColumn(bar_width=24),) if wide else ()),
        TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True, min_width=5)),
        *((TimeElapsedColumn(),) if wide else ()),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=out, transient=True)


@contextmanager
def counted(out: Console) -> Iterator[Report]:
    """A `Report` for work that counts up, such as making puzzles."""
    if not out.is_terminal:
        yield _PlainCounter(out)
        return
    with _bars(out) as bars:
        task: TaskID | None = None

        def report(done: int, total: int, what: str) -> None:
            nonlocal task
            if task is None:
                task = bars.add_task(what, total=total, note="")
            bars.update(task, completed=done, total=total, description=what)

        yield report


class _PlainCounter:
    def __init__(self, out: Console):
        self.out, self.last, self.started = out, 0.0, time.monotonic()

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now - self.last > PLAIN_SECONDS and done < total and self.last:
            left = (now - self.started) / max(done, 1) * (total - done)
            self.out.print(f"{what}: {done:,} of {total:,}, about {spoken(left)} left", soft_wrap=True)
            self.last = now
        self.last = self.last or now


def spoken(seconds: float) -> str:
    """A time span for people, e.g. ``3 min 20 s``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


class RunWatch:
    """Shows the cells of a run and an estimate of the time left.

    The estimate goes by the work of each cell (its FLOPs per unit of budget, or anything
    proportional to its time) and by what the cells seen so far took for theirs.
    """

    def __init__(self, out: Console, work: Mapping[str, float], models: Mapping[str, str], workers: int):
        self.out, self.work, self.models, self.workers = out, dict(work), models, workers
        self.share: dict[str, float] = dict.fromkeys(work, 0.0)
        self.evaluated: dict[str, float] = {}
        self.began: dict[str, float] = {}
        self.took: dict[str, float] = {}
        self.ended: dict[str, Status] = {}
        self.bars = _bars(out) if out.is_terminal else None
        self.rows: dict[str, TaskID] = {}
        self.total: TaskID | None = None
        self.last_plain = time.monotonic()

    def __enter__(self) -> RunWatch:
        if self.bars:
            self.bars.start()
            self.total = self.bars.add_task("all cells", total=1.0, note="")
        return self

    def __exit__(self, *error: object) -> None:
        if self.bars:
            self.bars.stop()

    def started(self, cell: str) -> None:
        """See `launch.Watch.started`."""
        self.began[cell] = time.monotonic()
        if self.bars:
            self.rows[cell] = self.bars.add_task(cell, total=1.0, note="starting")

    def metrics(self, cell: str, line: Mapping[str, float]) -> None:
        """See `launch.Watch.metrics`."""
        self.evaluated[cell] = line.get("evaluated", 0.0)
        self.share[cell] = min(1.0, line.get("spent", self.share[cell]))
        if self.bars:
            shown = {"loss": line.get("loss"), "validation": line.get("validation_exact")}
            note = "  ".join(f"{name} {value:.3f}" for name, value in shown.items() if value is not None)
            note = note or f"test split {self.evaluated[cell]:.0%} answered"
            self.bars.update(self.rows[cell], completed=self.share[cell], note=note)

    def finished(self, cell: str, status: Status, error: str | None) -> None:
        """See `launch.Watch.finished`."""
        self.took[cell] = time.monotonic() - self.began.get(cell, time.monotonic())
        self.share[cell] = 1.0
        self.ended[cell] = status
        if self.bars and cell in self.rows:
            self.bars.remove_task(self.rows.pop(cell))
        line = f"[{len(self.ended)}/{len(self.work)}] {cell}: {status.value} after {spoken(self.took[cell])}"
        self.out.print(f"{line} ({error})" if error else line, soft_wrap=True, markup=False)

    def tick(self) -> None:
        """See `launch.Watch.tick`."""
        left = self.seconds_left()
        note = "" if left is None else f"about {spoken(left)} left"
        if self.bars and self.total is not None:
            done = sum(self.share[cell] * work for cell, work in self.work.items())
            self.bars.update(self.total, completed=done / sum(self.work.values()), note=note)
        elif time.monotonic() - self.last_plain > PLAIN_SECONDS and len(self.ended) < len(self.work):
            self.last_plain = time.monotonic()
            active = [cell for cell in self.began if cell not in self.ended]
            shown = ", ".join(f"{cell} {self._state(cell)}" for cell in active)
            self.out.print(
                f"{len(self.ended)} of {len(self.work)} cells done; {shown}; {note}", soft_wrap=True
            )

    def _state(self, cell: str) -> str:
        if self.share[cell] < 1:
            return f"{self.share[cell]:.0%}"
        return f"trained, {self.evaluated.get(cell, 0.0):.0%} of test answered"

    def seconds_left(self) -> float | None:
        """Seconds until the last cell ends; None until something is known."""
        speeds = self._seconds_per_work()
        if not speeds:
            return None
        mean = sum(speeds.values()) / len(speeds)
        rests = [
            (1 - self.share[cell]) * work * speeds.get(self.models[cell], mean)
            for cell, work in self.work.items()
            if cell not in self.ended
        ]
        return max(sum(rests) / self.workers, max(rests, default=0.0))

    def _seconds_per_work(self) -> dict[str, float]:
        """Seconds per unit of work of each model seen so far."""
        seen: dict[str, list[float]] = {}
        for cell, began in self.began.items():
            done = self.share[cell] * self.work[cell]
            seconds = self.took.get(cell, time.monotonic() - began)
            if done > 0 and self.share[cell] > 0.02 and self.ended.get(cell, Status.DONE) is Status.DONE:
                seen.setdefault(self.models[cell], []).append(seconds / done)
        return {model: sum(values) / len(values) for model, values in seen.items()}

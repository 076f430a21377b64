"""What is shown while a grid is run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from trm_bench.harness.running import progress
from trm_bench.harness.running.progress import GridProgress, console, counted, duration
from trm_bench.harness.running.worker_keys import EVALUATED, RESUMED
from trm_bench.harness.store.records import Status

WORK = {"a-s0": (8, 2), "a-s1": (8, 2), "b-s0": (30, 0)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test moves by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown(text: io.StringIO, workers: int = 1, terminal: bool = False, width: int = 120) -> GridProgress:
    out = Console(file=text, force_terminal=terminal, width=width, legacy_windows=False, _environ={})
    return GridProgress(out, WORK, workers)


def on_screen(grid: GridProgress, width: int) -> str:
    """The rows of the bars as they stand."""
    text = io.StringIO()
    Console(file=text, width=width, _environ={}).print(grid.bars.get_renderable())
    return text.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (3.4, "3 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (7300, "2 h 1 min"), (-1.0, "0 s")],
)
def test_a_duration_is_written_in_its_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_nothing_is_estimated_before_anything_is_known(clock: list[float]) -> None:
    grid = shown(io.StringIO())
    grid.started("a-s0")
    assert grid.seconds_left() is None
    clock[0] += 20
    assert grid.seconds_left() is None


def test_the_estimate_goes_by_work_and_by_what_was_seen(clock: list[float]) -> None:
    grid = shown(io.StringIO())
    grid.started("a-s0")
    clock[0] += 20
    grid.finished("a-s0", Status.DONE, None)
    assert grid.seconds_left() == pytest.approx(2.0 * (10 + 30))


def test_a_run_without_training_says_nothing_of_the_time_of_others(clock: list[float]) -> None:
    out = Console(file=io.StringIO(), _environ={})
    grid = GridProgress(out, {"copy-s0": (0.0, 0.0), "trm-s0": (1e15, 1e13)}, 2)
    grid.started("copy-s0")
    clock[0] += 5
    grid.finished("copy-s0", Status.DONE, None)
    assert grid.seconds_left() is None


def test_what_a_resumed_run_had_done_before_took_no_time_now(clock: list[float]) -> None:
    grid = shown(io.StringIO())
    grid.started("b-s0")
    grid.metrics("b-s0", {RESUMED: 0.9})
    clock[0] += 20
    assert grid.seconds_left() is None
    grid.metrics("b-s0", {"spent": 0.95})
    assert grid.seconds_left() == pytest.approx(20 / 1.5 * (1.5 + 10 + 10))


def test_the_longest_run_bounds_the_estimate(clock: list[float]) -> None:
    grid = shown(io.StringIO(), workers=2)
    for run in ("a-s0", "a-s1"):
        grid.started(run)
    clock[0] += 20
    for run in ("a-s0", "a-s1"):
        grid.finished(run, Status.DONE, None)
    assert grid.seconds_left() == pytest.approx(2.0 * 30)  # two workers do not halve one run


@pytest.mark.parametrize(
    ("line", "done"), [({"spent": 0.5, "loss": 1.0}, 4), ({"spent": 1.2}, 8), ({EVALUATED: 0.5}, 9)]
)
def test_a_run_counts_as_far_as_it_is_trained_and_evaluated(
    clock: list[float], line: dict[str, float], done: float
) -> None:
    grid = shown(io.StringIO())
    grid.started("a-s0")
    clock[0] += 30
    grid.metrics("a-s0", line)
    assert grid.seconds_left() == pytest.approx(30 / done * (50 - done))


@pytest.mark.parametrize("status", [Status.FAILED, Status.INTERRUPTED])
def test_a_failed_run_is_not_taken_for_a_fast_one(clock: list[float], status: Status) -> None:
    grid = shown(io.StringIO())
    grid.started("a-s0")
    clock[0] += 10
    grid.finished("a-s0", status, "the loss is nan")
    assert grid.seconds_left() is None


def test_elsewhere_than_on_a_terminal_one_plain_line_per_finished_run_is_printed(clock: list[float]) -> None:
    text = io.StringIO()
    with shown(text) as grid:
        grid.started("a-s0")
        grid.metrics("a-s0", {"spent": 1.0, "loss": 1.0})
        grid.metrics("a-s0", {EVALUATED: 0.25})
        clock[0] += 20
        assert text.getvalue() == ""
        grid.finished("a-s0", Status.DONE, None)
        grid.started("a-s1")
        grid.finished("a-s1", Status.FAILED, "[bold]disk[/bold] full")
        grid.started("b-s0")
        clock[0] += 60
        grid.finished("b-s0", Status.DONE, None)
    assert text.getvalue().splitlines() == [
        "[1/3] a-s0: done after 20 s, about 1 min 20 s left",
        "[2/3] a-s1: failed after 0 s ([bold]disk[/bold] full), about 1 min 0 s left",
        "[3/3] b-s0: done after 1 min 0 s",
    ]


def test_bars_on_a_terminal_show_every_active_run_and_all_of_them() -> None:
    with shown(io.StringIO(), terminal=True) as grid:
        for run in ("a-s0", "b-s0"):
            grid.started(run)
        grid.metrics("a-s0", {"spent": 0.5, "loss": 0.25})
        rows = [row.split() for row in on_screen(grid, 120).splitlines()]
        assert [(row[1], row[-3]) for row in rows] == [("all", "8%"), ("a-s0", "40%"), ("b-s0", "0%")]
        grid.finished("a-s0", Status.FAILED, None)
        left = on_screen(grid, 120)
    assert "a-s0" not in left
    assert "20%" in left  # a failed run is over, too


@pytest.mark.parametrize("width", [20, 40, 79])
def test_in_a_narrow_terminal_name_and_percentage_are_whole(width: int) -> None:
    with shown(io.StringIO(), terminal=True, width=width) as grid:
        grid.started("b-s0")
        grid.metrics("b-s0", {"spent": 0.5})
        assert [row.split()[1:] for row in on_screen(grid, width).splitlines()] == [
            ["all", "runs", "30%"],
            ["b-s0", "50%"],
        ]


def test_an_encoding_without_the_signs_of_bars_is_written_in_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")  # raises an error for any other character
    with GridProgress(Console(file=file, force_terminal=True, width=100, _environ={}), WORK, 1) as grid:
        grid.started("a-s0")
        grid.bars.refresh()


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_terminal_without_escape_codes_is_written_to_line_by_line(
    monkeypatch: pytest.MonkeyPatch, variable: dict[str, str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # for rich, every stream is a terminal now
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console().is_terminal
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    assert not console().is_terminal


def test_counted_work_is_a_bar_on_a_terminal_and_nothing_elsewhere() -> None:
    for terminal in (True, False):
        text = io.StringIO()
        with counted(Console(file=text, force_terminal=terminal, width=100, _environ={})) as report:
            report(25, 100, "mazes")
            report(7, 10, "test mazes")
        assert ("mazes" in text.getvalue()) is terminal

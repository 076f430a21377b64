"""What is shown while a run goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from trm_bench.harness.running import progress
from trm_bench.harness.running.progress import RunWatch, counted, spoken
from trm_bench.harness.store.records import Status


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test moves by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def watch(text: io.StringIO, workers: int = 1, terminal: bool = False) -> RunWatch:
    work = {"a-s0": 10.0, "a-s1": 10.0, "b-s0": 30.0}
    models = {"a-s0": "a", "a-s1": "a", "b-s0": "b"}
    return RunWatch(Console(file=text, force_terminal=terminal, width=120), work, models, workers)


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.4, "3 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (7300, "2 h 1 min")]
)
def test_spans_are_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_nothing_is_estimated_before_anything_is_known(clock: list[float]) -> None:
    one = watch(io.StringIO())
    one.started("a-s0")
    assert one.seconds_left() is None


def test_the_estimate_goes_by_work_and_by_what_was_seen(clock: list[float]) -> None:
    one = watch(io.StringIO())
    one.started("a-s0")
    clock[0] += 20
    one.finished("a-s0", Status.DONE, None)
    assert one.seconds_left() == pytest.approx(2.0 * (10 + 30))
    two = watch(io.StringIO(), workers=2)
    two.started("a-s0")
    clock[0] += 20
    two.finished("a-s0", Status.DONE, None)
    assert two.seconds_left() == pytest.approx(60)  # the longest cell bounds it


def test_a_cell_that_is_half_done_counts_half(clock: list[float]) -> None:
    one = watch(io.StringIO())
    one.started("b-s0")
    clock[0] += 30
    one.metrics("b-s0", {"spent": 0.5, "loss": 1.0})
    assert one.seconds_left() == pytest.approx(2.0 * (10 + 10 + 15))


def test_a_failed_cell_is_not_taken_for_a_fast_one(clock: list[float]) -> None:
    one = watch(io.StringIO())
    one.started("a-s0")
    clock[0] += 1
    one.finished("a-s0", Status.FAILED, "the loss is nan")
    assert one.seconds_left() is None


def test_plain_lines_name_cells_errors_and_the_answering_of_the_test_split(clock: list[float]) -> None:
    text = io.StringIO()
    with watch(text) as one:
        one.started("a-s0")
        one.metrics("a-s0", {"spent": 1.0, "loss": 1.0})
        one.metrics("a-s0", {"evaluated": 0.25})
        clock[0] += 20
        one.tick()
        one.finished("a-s0", Status.FAILED, "[bold]disk[/bold] full")
    assert "a-s0 trained, 25% of test answered" in text.getvalue()
    assert "[1/3] a-s0: failed after 20 s ([bold]disk[/bold] full)" in text.getvalue()


def test_plain_lines_are_not_printed_at_every_tick(clock: list[float]) -> None:
    text = io.StringIO()
    with watch(text) as one:
        one.started("a-s0")
        for _ in range(10):
            one.tick()
    assert text.getvalue() == ""


def test_bars_on_a_terminal_show_each_cell_and_the_whole() -> None:
    text = io.StringIO()
    with watch(text, terminal=True) as one:
        one.started("a-s0")
        one.metrics("a-s0", {"spent": 0.5, "loss": 0.25, "validation_exact": 0.75})
        one.tick()
        assert one.bars is not None
        one.bars.refresh()
    assert "all cells" in text.getvalue()
    assert "loss 0.250" in text.getvalue()


def test_counted_work_prints_plain_lines_now_and_then(clock: list[float]) -> None:
    text = io.StringIO()
    with counted(Console(file=text, width=200)) as report:
        report(0, 100, "mazes")
        clock[0] += 20
        report(25, 100, "mazes")
        report(26, 100, "mazes")
    assert text.getvalue().splitlines() == ["mazes: 25 of 100, about 1 min 0 s left"]

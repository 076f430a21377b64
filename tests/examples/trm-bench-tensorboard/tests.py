"""Events that are written can be read. ``python -m pytest`` in this folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trm_bench_tensorboard as tracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

GRID = {"task": "maze-hard", "scale": "mini", "budget": {"amount": 20}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Events go here, and no run of another test is known."""
    monkeypatch.setenv("TRM_BENCH_TENSORBOARD", str(tmp_path / "events"))
    monkeypatch.setattr(tracker, "session", tracker.Session())
    return tmp_path / "events" / "maze-hard-mini"


def track(run: str, *losses: float, status: str = "done", first: int = 1) -> None:
    tracker.trm_bench_grid_started(GRID)
    for step, loss in enumerate(losses, start=first):
        tracker.trm_bench_metrics_logged(run, {"step": step, "spent": 0.5, "loss": loss})
    tracker.trm_bench_grid_finished({run: status})


def report(run: str, score: float | None) -> Any:
    """As much of a report as is read."""
    row = SimpleNamespace(seeds=[SimpleNamespace(run=run, score=score)])
    return SimpleNamespace(tables=[SimpleNamespace(primary="exact", rows=[row])])


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


def text(folder: Path, name: str) -> str:
    (event,) = read(folder).Tensors(f"{name}/text_summary")
    return str(event.tensor_proto.string_val[0], "utf-8")


def test_a_number_becomes_a_curve_over_the_steps(folder: Path) -> None:
    track("trm-s0", 0.75, 0.5, 0.25)
    assert curve(folder / "trm-s0", "loss") == [(1, 0.75), (2, 0.5), (3, 0.25)]
    assert read(folder / "trm-s0").Tags()["scalars"] == ["loss"]


def test_each_run_has_a_folder_with_its_grid_and_its_status(folder: Path) -> None:
    track("trm-s0", 1.0)
    track("trm-s1", 1.0, status="failed")
    assert sorted(path.name for path in folder.iterdir()) == ["trm-s0", "trm-s1"]
    assert '"amount": 20' in text(folder / "trm-s0", "grid")
    assert [text(folder / run, "status") for run in ("trm-s0", "trm-s1")] == ["done", "failed"]


def test_the_test_score_follows_with_the_report(folder: Path) -> None:
    track("trm-s0", 0.75, 0.5)
    tracker.trm_bench_report_ready(report("trm-s0", 0.625))
    assert curve(folder / "trm-s0", "test/exact") == [(2, 0.625)]
    assert curve(folder / "trm-s0", "loss") == [(1, 0.75), (2, 0.5)]


def test_a_run_without_a_score_or_of_another_process_gets_none(folder: Path) -> None:
    track("trm-s0", 0.75)
    tracker.trm_bench_report_ready(report("trm-s0", None))
    tracker.trm_bench_report_ready(report("trm-s9", 0.5))
    assert "test/exact" not in read(folder / "trm-s0").Tags()["scalars"]
    assert [path.name for path in folder.iterdir()] == ["trm-s0"]


def test_steps_that_are_taken_again_replace_the_first_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track("trm-s0", 4.0, 3.0, 2.0, status="interrupted")
    monkeypatch.setattr(tracker, "session", tracker.Session())  # another process continues from a checkpoint
    track("trm-s0", 2.5, 1.5, first=2)
    assert curve(folder / "trm-s0", "loss") == [(1, 4.0), (2, 2.5), (3, 1.5)]


def test_a_grid_that_trains_nothing_leaves_nothing(folder: Path) -> None:
    tracker.trm_bench_grid_started(GRID)
    tracker.trm_bench_grid_finished({"trm-s0": "done"})
    tracker.trm_bench_report_ready(report("trm-s0", 0.5))
    assert not folder.exists()

"""The memory of planned runs: printed by a dry run, told and kept by a run, refused where it cannot fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from support.models import MAZE, SUDOKU, resolve
from support.stored import in_this_process, manifests
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.job import Job
from trm_bench.harness.python.api import prepare_run
from trm_bench.harness.running import memory_plan as plans
from trm_bench.harness.running import processes
from trm_bench.harness.running.memory_plan import memory_line, memory_plan
from trm_bench.harness.running.processes import run_jobs
from trm_bench.harness.store.records import Status
from trm_bench.harness.training.config import ExecutionConfig, TrainingConfig
from trm_bench.harness.training.memory import SAFETY, ByPortion, Memory, Training
from trm_bench.testing.pytest_plugin import RunCli

pytestmark = pytest.mark.slow

OPTIONS = ("--task", "tiny", "--seeds", "0-1", "--set", "steps=3")
RUN = ("run", "--models", "mirror", *OPTIONS)


# --- planned ---------------------------------------------------------------------------------------


def test_each_card_has_the_largest_portion_that_fits_it() -> None:
    shapes = resolve("hrm", MAZE).shapes(MAZE)
    plan = memory_plan(shapes, MAZE.cells, 768, TrainingConfig(), ExecutionConfig())
    assert (plan["device"], plan["precision"], plan["microbatch"]) == ("cuda", "bf16", 768)
    parts = [plan[field.name] for field in fields(Memory)]
    assert plan["total"] == sum(parts)
    assert plan["total"] > 80e9
    portions = ByPortion(Training(shapes, MAZE.cells, 768, TrainingConfig(precision="bf16"), "cuda"))
    for card in plan["cards"]:
        fits = card["microbatch"]
        next_size = min(size for size in range(fits + 1, 769) if 768 % size == 0)
        assert portions.at(fits).total <= card["gigabytes"] * 1e9 < portions.at(next_size).total
        assert not card["recompute"]
    assert memory_line("hrm", plan).endswith(
        "GB for the batch of 768; fits 80 GB in portions of 256 and 24 GB in portions of 96"
    )


def test_computing_again_is_planned_only_where_nothing_else_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "CARDS", (80, 0.4, 0.1))
    shapes = resolve("trm-mlp").shapes(SUDOKU)
    plan = memory_plan(shapes, SUDOKU.cells, 768, TrainingConfig(), ExecutionConfig())
    ways = [(card["microbatch"], card["recompute"]) for card in plan["cards"]]
    assert ways == [(768, False), (4, True), (None, True)]
    line = "fits 80 GB and 0.4 GB in portions of 4 with recompute=true; does not fit 0.1 GB"
    assert memory_line("trm-mlp", plan).endswith(f"GB for the batch of 768; {line}")


def test_what_is_requested_is_what_is_planned() -> None:
    shapes = resolve("hrm", MAZE).shapes(MAZE)
    execution = ExecutionConfig(microbatch=100, recompute=True)
    plan = memory_plan(shapes, MAZE.cells, 768, TrainingConfig(precision="float32"), execution)
    assert (plan["precision"], plan["microbatch"], plan["recompute"]) == ("float32", 100, True)
    line = memory_line("hrm", plan)
    assert line.startswith("memory of hrm on a GPU, float32: ")
    assert line.endswith(" GB for the batch of 768 in portions of 100 with recompute=true")
    for card in plan["cards"]:
        assert card == {"gigabytes": card["gigabytes"], "microbatch": 100, "recompute": True}


def test_a_reason_is_told_where_there_is_no_forecast() -> None:
    assert memory_line("odd", {"not_forecast": "it reads"}) == "memory of odd: not forecast (it reads)"


def test_a_dry_run_prints_a_line_per_model_and_its_json_has_the_numbers(run_cli: RunCli) -> None:
    words = ("run", "--models", "mirror,copy", *OPTIONS, "--dry-run")
    text = run_cli(*words)
    assert text.code == 0, text.err
    (line,) = [line for line in text.out.splitlines() if line.startswith("memory")]
    assert line.startswith("memory of mirror on a GPU, float32: ")
    assert line.endswith(" KB for the batch of 16")
    mirror, copy = json.loads(run_cli(*words, "--json").out)["grids"][0]["models"]
    assert mirror["memory"]["cards"] == [
        {"gigabytes": gigabytes, "microbatch": 16, "recompute": False} for gigabytes in (80, 24)
    ]
    assert copy["memory"] is None


# --- run -------------------------------------------------------------------------------------------


@pytest.fixture
def with_free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Call it with the bytes that are free where runs are carried out."""

    def free(count: int) -> None:
        monkeypatch.setattr("trm_bench.harness.training.microbatch.free_memory", lambda device: count)

    return free


def needed(microbatch: int, run_cli: RunCli) -> int:
    """What the planned run needs on a CPU with ``microbatch`` puzzles at a time."""
    settings = ("--dry-run", "--json", "--set", f"microbatch={microbatch}")
    memory = json.loads(run_cli(*RUN, *settings).out)["grids"][0]["models"][0]["memory"]
    return int((1 + SAFETY["cpu"]) * (memory["total"] - memory["reserve"])) + 1


def test_a_run_keeps_the_portions_that_it_chose(
    tmp_path: Path, run_cli: RunCli, with_free: Callable[[int], None]
) -> None:
    with_free(needed(5, run_cli))
    with in_this_process(forecast=True):
        assert run_cli(*RUN, "--output", tmp_path / "few").code == 0
    with_free(10**12)
    with in_this_process(forecast=True):
        assert run_cli(*RUN, "--output", tmp_path / "all").code == 0
    few, whole = (manifests(tmp_path / name) for name in ("few", "all"))
    assert [one.execution["microbatch"] for one in (*few, *whole)] == [4, 4, 16, 16]
    assert [one.run for one in few] == [one.run for one in whole]  # how it is carried out is no identity


def test_a_run_that_cannot_fit_fails_with_what_it_needs(
    tmp_path: Path, run_cli: RunCli, with_free: Callable[[int], None]
) -> None:
    with_free(100)
    with in_this_process(forecast=True):
        assert run_cli(*RUN, "--output", tmp_path).code == 1
    for failed in manifests(tmp_path):
        assert failed.status is Status.FAILED
        assert str(failed.error).startswith("training Mirror needs ")
        assert failed.trace is None


def test_the_forecast_is_told_once_for_all_seeds_of_a_model(tmp_path: Path, run_cli: RunCli) -> None:
    with in_this_process(forecast=True):
        ended = run_cli(*RUN, "--output", tmp_path)
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.err.splitlines() if line.startswith("memory of mirror: ")]
    assert line.endswith(" KB for the batch of 16")


@pytest.mark.parametrize(("jobs", "expected"), [(1, 1), (2, 2), (9, 3)])
def test_runs_side_by_side_on_a_cpu_share_the_memory_that_was_free_before_the_first(
    jobs: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Job] = []

    def start(job: Job, *_: Any) -> None:
        started.append(job)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "_start", start)
    monkeypatch.setattr(processes, "free_memory", lambda device: 1200)
    call = prepare_run("mirror", "tiny", seeds="0-2", jobs=jobs, device="cpu")
    assert call.grid is not None
    with pytest.raises(KeyboardInterrupt):
        run_jobs(call.grid.jobs, host(), Silent(), call.execution.places)
    assert started[0].memory == 1200 // expected


class Silent:
    """A `processes.Watch` that shows nothing."""

    def started(self, run: str) -> None: ...

    def metrics(self, run: str, line: object) -> None: ...

    def finished(self, run: str, status: Status, error: str | None) -> None: ...

    def tell(self, line: str) -> None: ...

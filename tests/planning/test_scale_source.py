"""The source that a scale has of its own: read by a run, not downloaded by a dry run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hub import serve, unreachable_hub
from support.sudoku import good
from trm_bench.harness.api.errors import UnavailableError
from trm_bench.harness.host.host import Part, host
from trm_bench.harness.planning.grid import STAND_INS, Grid
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.python.api import prepare_run
from trm_bench.harness.python.verbs import dry_run
from trm_bench.plugins.sudoku.official import REVISION
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench
from trm_bench import BuildRequest, NoAugmentation, PuzzleSet, Scale, Source, TaskData, TaskInfo, TaskSpec

TASKS = ("sudoku-extreme", "maze-hard")
ROWS = 40


class Echo:
    """Build of a task whose scale ``large`` has a source of its own, and the requests that it got."""

    def __init__(self) -> None:
        self.requests: list[BuildRequest] = []

    def __call__(self, request: BuildRequest) -> TaskData:
        self.requests.append(request)
        count = ROWS if request.at_most is None else request.at_most
        info = TaskInfo("echo", request.scale, height=1, width=3, vocab_size=7)
        splits = (self.split(count, start) for start in (0, 60, 120))
        return TaskData(info, *splits, Source(request.source, f"from {request.source}"))

    def split(self, count: int, start: int) -> PuzzleSet:
        rows = np.arange(start, start + count)
        tokens = (1 + rows[:, None] // [1, 6, 36] % 6).astype(np.uint8)
        return PuzzleSet.single_identity(tokens, tokens, [f"p{row}" for row in rows])


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Echo:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path / "cache"))
    part, build = host().tasks.get("tiny"), Echo()
    scales = {
        "small": Scale("small", "", steps=2, batch_size=2, augmentations=1),
        "large": Scale("large", "", steps=2, batch_size=2, augmentations=1, source="far"),
    }
    spec = TaskSpec(
        name="echo",
        summary="",
        version=1,
        scales=scales,
        build=build,
        augmentation=lambda request: NoAugmentation(),
        evaluators=("exact",),
        primary="exact",
        sources=("generated", "far"),
        options=("revision",),
    )
    monkeypatch.setattr(host().tasks, "parts", [Part(spec, part.plugin)])
    return build


def planned(dry: bool = False, **options: Any) -> Grid:
    grid = prepare_run("copy", "echo", dry=dry, **options).grid
    assert grid is not None
    return grid


def test_a_run_reads_the_source_of_its_scale_or_the_one_that_is_named(echo: Echo) -> None:
    assert planned(scale="large").context.prepared.source.kind == "far"
    assert planned(scale="small").context.prepared.source.kind == "generated"
    assert planned(scale="large", source="generated").context.prepared.source.kind == "generated"
    assert planned(scale="small", source="far").context.prepared.source.kind == "far"


def test_a_dry_run_downloads_nothing_and_names_what_it_used(echo: Echo, run_cli: RunCli) -> None:
    options: dict[str, Any] = {"scale": "large", "revision": "v1"}
    grid = planned(dry=True, **options)
    assert [(one.source, one.at_most, one.options) for one in echo.requests] == [("generated", STAND_INS, {})]
    assert grid.context.missing_source == "far"
    line = (
        "a few of source generated in place of those of source far, which only a run or `trm-bench prepare`"
    )
    assert line in dry_run(prepare_run("copy", "echo", dry=True, **options))[0]["puzzles"]
    ended = run_cli("run", "--models", "copy", "--task", "echo", "--scale", "large", "--dry-run")
    assert f"puzzles: {line} downloads; finished runs are not recognised" in ended.err


def test_a_dry_run_uses_what_was_downloaded_before(echo: Echo) -> None:
    trm_bench.prepare("echo", scale="large")
    grid = planned(dry=True, scale="large")
    assert grid.context.missing_source is None
    assert grid.runs == planned(scale="large").runs
    assert len(echo.requests) == 1


def test_a_dry_run_on_a_source_that_is_named_reads_it(echo: Echo) -> None:
    assert planned(dry=True, scale="large", source="far").context.missing_source is None


def test_speed_needs_shapes_alone(echo: Echo) -> None:
    grid = plan_training(host(), Request(("copy",), "echo", "large", (0,)), at_most=5)
    assert (grid.context.missing_source, grid.context.prepared.counts["train"]) == ("far", 5)


# --- the published size ----------------------------------------------------------------------------


def run(task: str, folder: Path) -> object:
    return trm_bench.run("copy", task, scale="paper", output=folder / "out")


def evaluate(task: str, folder: Path) -> object:
    """External weights, which are of the published size unless another scale is named."""
    (folder / "weights.pt").write_bytes(b"")
    return trm_bench.evaluate(folder / "weights.pt", model="trm", task=task, output=folder / "out")


@pytest.mark.parametrize("task", TASKS)
def test_at_paper_the_hub_is_read_and_at_other_scales_puzzles_are_generated(task: str) -> None:
    spec = host().tasks.get(task).spec
    assert {name: scale.source or spec.sources[0] for name, scale in spec.scales.items()} == {
        "mini": "generated",
        "small": "generated",
        "lite": "generated",
        "paper": "hub",
    }


def test_at_paper_a_pinned_revision_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path / "cache"))
    calls = serve(monkeypatch, good(tmp_path / "hub"))
    prepared = trm_bench.prepare("sudoku-extreme", scale="paper")
    assert {call[-1] for call in calls} == {REVISION}
    assert (prepared.source.kind, prepared.source.caveats, prepared.counts["test"]) == ("hub", (), 20)
    call = prepare_run("copy", "sudoku-extreme", scale="paper", dry=True)
    assert call.grid is not None
    assert call.grid.context.prepared == prepared  # a dry run finds it in the cache
    assert len(calls) == 2


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("call", [run, evaluate])
def test_a_hub_that_cannot_be_reached_is_an_error_that_says_what_to_do(
    call: Callable[[str, Path], object], task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path))
    unreachable_hub(monkeypatch)
    with pytest.raises(UnavailableError, match=r"no route.* --data DIR; .* --source generated"):
        call(task, tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_generated_puzzles_at_paper_are_said_not_to_compare(task: str) -> None:
    build = host().tasks.get(task).spec.build
    warning = ": does not compare with published scores"
    assert build(BuildRequest("paper", 0, at_most=1)).source.summary.endswith(warning)
    assert warning not in build(BuildRequest("mini", 0, at_most=1)).source.summary


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_cost_of_the_published_size_is_told_without_a_network(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: RunCli
) -> None:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path / "cache"))  # other tests fill the usual one
    unreachable_hub(monkeypatch)
    ended = run_cli("run", "--models", "hrm", "--task", task, "--scale", "paper", "--dry-run")
    assert ended.code == 0, ended.err
    assert "in place of those of source hub" in ended.err
    assert f"HRM was published with 26,041 optimiser steps on {task}" in ended.err
    assert "here every model gets 65,104 optimiser steps" in ended.err

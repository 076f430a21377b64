"""Runs on several GPUs: one at a time on each, all of them used, none lost; the same runs on any of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from support.gpus import FAKE, with_gpus
from support.stored import TINY as TINY_INFO
from support.stored import asked, made, write
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.job import Job
from trm_bench.harness.planning.request import Request, write_requests
from trm_bench.harness.python import verify
from trm_bench.harness.python.api import prepare_run
from trm_bench.harness.python.measure import measure_speed
from trm_bench.harness.python.verbs import dry_run, open_model
from trm_bench.harness.running.processes import run_jobs
from trm_bench.harness.running.progress import GridProgress
from trm_bench.harness.running.run import Outcome, first_manifest
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Status
from trm_bench.harness.training.gpus import VISIBLE, torch_device
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench

TINY: dict[str, Any] = {"models": "copy", "task": "tiny"}


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, *FAKE)


def life(job: Job, pipe: Connection, lock: Connection | None) -> None:
    """Of a run's process: it notes what it sees and when; that of seed 1 crashes."""
    del lock
    began, seen = time.monotonic(), os.environ[VISIBLE]
    time.sleep(0.1)
    (job.folder / f"{job.run.identity.seed}.json").write_text(json.dumps([seen, began, time.monotonic()]))
    if job.run.identity.seed == 1:
        os._exit(1)
    pipe.send(Outcome(Status.DONE))


def test_a_gpu_has_one_run_at_a_time_and_is_free_again_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = multiprocessing.get_context("fork")  # takes `life` as it is, and no time
    monkeypatch.setattr("multiprocessing.get_context", lambda method: fork)
    monkeypatch.setattr("trm_bench.harness.running.processes.live", life)
    before = os.environ.get(VISIBLE)
    call = prepare_run(**TINY, seeds=range(5), gpus="0,2", output=tmp_path)
    assert call.grid is not None
    jobs = [replace(job, folder=tmp_path) for job in call.grid.jobs]
    work = {job.run.name: (1.0, 1.0) for job in jobs}
    statuses = run_jobs(jobs, host(), GridProgress(Console(quiet=True), work, 2), call.execution.places, None)
    assert [statuses[job.run.name] is Status.DONE for job in jobs] == [True, False, True, True, True]
    notes = [json.loads((tmp_path / f"{seed}.json").read_text()) for seed in range(5)]
    for gpu in (FAKE[0], FAKE[2]):
        mine = sorted((began, ended) for seen, began, ended in notes if seen == gpu.entry)
        assert len(mine) >= 2
        assert all(ended < began for (_, ended), (began, _) in pairwise(mine))
    assert {seen for seen, _, _ in notes} == {FAKE[0].entry, FAKE[2].entry}
    assert os.environ.get(VISIBLE) == before
    crashed = RunFolder(tmp_path / jobs[1].run.name).manifest()
    assert crashed.environment["gpu"]["uuid"] == notes[1][0]


def test_the_same_runs_on_any_gpu() -> None:
    requests, names, devices = [], [], set()
    for choice in ({"gpus": "0"}, {"gpus": "2,1"}, {"device": "cuda:1"}, {}):
        grid = prepare_run(**TINY, seeds="0-1", **choice).grid
        assert grid is not None
        requests.append(grid.context.request)
        names.append([run.name for run in grid.runs])
        devices |= {run.identity.device for run in grid.runs}
    assert all(request == requests[0] for request in requests)
    assert all(run == names[0] for run in names)
    assert devices == {"cuda"}


@pytest.mark.parametrize(
    ("options", "places", "message"),
    [
        ({}, FAKE, "one run at a time on each GPU: 0 (H100), 1 (H100), 2 (L4)"),
        ({"jobs": 2}, FAKE[:2], "one run at a time on each GPU: 0 (H100), 1 (H100)"),
        ({"gpus": "1", "jobs": 4}, FAKE[1:2], "on each GPU instead of --jobs 4: 1 (H100)"),
        ({"device": "cpu", "jobs": 4}, (None,) * 4, ""),
    ],
)
def test_jobs_are_at_most_the_gpus(
    options: dict[str, Any], places: tuple[object, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    call = prepare_run(**TINY, seeds="0", progress=True, **options)
    assert call.execution.places == places
    assert message in capfd.readouterr().err


def test_speed_measures_on_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trm_bench.harness.python.measure.measure_grid", lambda *_: os.environ[VISIBLE])
    assert measure_speed("copy", "tiny") == FAKE[0].entry
    assert measure_speed("copy", "tiny", device="cuda:2") == FAKE[2].entry
    with pytest.raises(UsageError, match="--gpus 0,1: speed uses one GPU; name one"):
        measure_speed("copy", "tiny", gpus="0,1")


def test_solve_and_a_dry_run_use_the_named_gpu_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[torch.device] = []

    def opened(_host: object, request: Request, _progress: object, gpu: Any) -> None:
        used.append(torch_device(request.device, gpu))

    def measured(device: torch.device, precision: str) -> float:
        used.append(device)
        return 1e15

    monkeypatch.setattr("trm_bench.harness.python.verbs.open_weights", opened)
    monkeypatch.setattr("trm_bench.harness.python.verbs.product_rate", measured)
    open_model("file", gpus="1")
    (costs,) = dry_run(prepare_run(**TINY, seeds="0", gpus="2,1"))
    assert used == [torch.device("cuda", 1), torch.device("cuda", 2)]
    assert (costs["workers"], costs["flops_per_second"]) == (2, 2e15)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Those of each call; nothing is run there."""
    given: list[object] = []
    monkeypatch.setattr(
        "trm_bench.harness.running.runner.run_jobs", lambda *call: given.append(call[3]) or {}
    )
    return given


def test_runs_are_resumed_on_the_named_gpus(tmp_path: Path, places: list[object]) -> None:
    write_requests(tmp_path, [Request(("copy",), "tiny", "mini", (0,), device="cuda")])
    trm_bench.resume(tmp_path, gpus="2")
    trm_bench.resume(tmp_path)
    assert places == [FAKE[2:], FAKE]


def test_weights_are_evaluated_on_the_named_gpus(tmp_path: Path, places: list[object]) -> None:
    file = write(tmp_path / "weights.safetensors", "trm-mlp", made("trm-mlp", TINY_INFO))
    trm_bench.evaluate(
        file, model=asked("trm-mlp"), task="tiny", scale="mini", device="cuda:1", output=tmp_path / "out"
    )
    assert places == [FAKE[1:2]]


def test_gpus_of_runs_on_a_cpu_are_refused(tmp_path: Path, run_cli: RunCli) -> None:
    write_requests(tmp_path, [Request(("copy",), "tiny", "mini", (0,))])
    ended = run_cli("resume", tmp_path, "--gpus", "0")
    assert ended.code == 2
    assert f"--gpus 0: the runs in {tmp_path} are for cpu; leave it out" in ended.err.replace("\n", " ")


@pytest.mark.parametrize(("processes", "names"), [(1, "H100"), (2, "H100, H100"), (3, "H100, H100, L4")])
def test_a_run_that_a_batch_system_gave_several_gpus_names_those_that_it_uses(
    processes: int, names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trm_bench.harness.running.run.visible_gpus", lambda: FAKE)
    call = prepare_run(**TINY, seeds=0, output=tmp_path, processes=processes, batch_size=12)
    assert call.grid is not None
    (job,) = call.grid.jobs
    assert job.gpu is None
    assert job.run.identity.device == "cuda"
    gpu = first_manifest(job, job.run).environment["gpu"]
    assert (gpu["name"], gpu["uuid"].count("GPU-")) == (names, processes)


@pytest.mark.parametrize(
    ("device", "processes", "name"),
    [("cuda", 1, "H100"), ("cuda", 2, "H100, H100"), ("cpu", 1, None), ("cpu", 2, None)],
)
def test_a_run_that_is_trained_again_has_a_gpu_for_each_process(
    device: str, processes: int, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "visible_gpus", lambda: FAKE)
    place = verify._place(device, processes)
    assert (None if place is None else place.name) == name

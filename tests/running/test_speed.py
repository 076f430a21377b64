"""The verb `speed`: what is measured and what is refused; it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trm_bench.harness.api.errors import TrmBenchError, UsageError
from trm_bench.harness.cli.speed import render
from trm_bench.harness.data.prepare import cache_root
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.grid import Grid
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.running.machine import Machine, measure_machine
from trm_bench.harness.running.speed import (
    AT_MOST,
    InferenceSpeed,
    Measured,
    Speed,
    SpeedInterrupted,
    TrainingSpeed,
    apart,
    measure,
    measure_grid,
    parse_ways,
)
from trm_bench.harness.training.costs import count_flops
from trm_bench.testing.pytest_plugin import RunCli

SMALL = "trm-mlp[hidden=16,multiple=16,cycles=1,updates=1,supervision=3]"
MACHINE = Machine("a machine", 1, 100e9, 20e9)


def planned(*models: str, task: str = "tiny", at_most: int | None = AT_MOST, **settings: str) -> Grid:
    request = Request(models or (SMALL,), task, "mini", (0,), settings=settings)
    return plan_training(host(), request, at_most=at_most)


@pytest.fixture(scope="module")
def printed(run_cli: RunCli) -> dict[str, object]:
    ended = run_cli("speed", "--models", f"{SMALL},copy", "--task", "tiny", "--minutes", "0.3", "--json")
    assert ended.code == 0, ended.err
    content: dict[str, object] = json.loads(ended.out)
    return content


@pytest.mark.slow
def test_the_numbers_agree_with_one_another(printed: dict) -> None:  # type: ignore[type-arg]
    trm, copy = printed["measured"]
    training, inference, batch = trm["training"], trm["inference"], printed["batch"]
    assert training["examples_per_second"] == pytest.approx(batch / training["step_seconds"])
    assert training["steps"] >= 3
    assert 0 < training["step_seconds"] < training["first_step_seconds"]
    assert 0 < training["flops"] < printed["machine"]["flops"]
    assert inference["steps"] == 3
    alone, together = 1000 / inference["milliseconds_alone"], inference["puzzles_per_second"]
    assert together > alone  # a batch shares what one puzzle pays alone
    assert training["memory"] > 50e6
    assert (copy["training"], copy["why"]) == (None, "nothing is trained")
    assert copy["inference"]["puzzles_per_second"] > together


@pytest.mark.slow
def test_a_speed_names_the_conditions_it_was_measured_under(printed: dict) -> None:  # type: ignore[type-arg]
    conditions = {key: printed[key] for key in ("task", "scale", "device", "precision")}
    assert conditions == {"task": "tiny", "scale": "mini", "device": "cpu", "precision": "float32"}
    assert printed["machine"]["threads"] == 1


@pytest.mark.slow
def test_flops_are_those_of_the_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = planned()
    monkeypatch.chdir(tmp_path)
    seen = measure(grid.jobs[0], "plain", True, MACHINE, 2.0)
    assert seen.training is not None
    assert seen.inference is not None
    info = grid.jobs[0].prepared.info
    flops = count_flops(grid.models[0].build(info), info.cells)
    assert seen.training.flops == pytest.approx(flops.training_step * seen.training.examples_per_second)
    assert seen.inference.flops == pytest.approx(flops.inference * seen.inference.puzzles_per_second)
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_a_step_that_would_take_too_long_is_not_started_and_a_batch_that_fits_is_named() -> None:
    (job,) = planned(batch_size="512").jobs
    slow = Machine("a slow machine", 1, 1e6, 1e6)
    started = time.monotonic()
    seen = measure(job, "plain", False, slow, 60.0)
    assert time.monotonic() - started < 30
    assert seen.training is None
    assert seen.why is not None
    assert "a step of batch 512 would take" in seen.why
    fits = int(seen.why.rpartition("batch_size=")[2])
    assert 0 < fits < 512


@pytest.mark.slow
def test_a_failure_is_a_row_and_the_others_are_measured() -> None:
    grid = planned(SMALL, "mirror")
    first, other = grid.jobs
    broken = first.run.identity.model_copy(update={"architecture": {"hidden": -1}})
    jobs = (replace(first, runs=(replace(first.run, identity=broken),)), other)
    told: list[str] = []
    speed = measure_grid(replace(grid, jobs=jobs), ("plain",), 30, told.append)
    bad, good = speed.measured
    assert bad.training is None
    assert bad.why
    assert good.training is not None
    assert [line for line in told if "2 of 2" in line]


def test_an_interrupt_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Measured(SMALL, "plain", TrainingSpeed(1.0, 0.1, 3, 10.0, 1e9, 1))
    results = iter([MACHINE, done])

    def apart(*_: object, **__: object) -> object:
        for result in results:
            return result
        raise KeyboardInterrupt

    monkeypatch.setattr("trm_bench.harness.running.speed.apart", apart)
    with pytest.raises(SpeedInterrupted) as caught:
        measure_grid(planned(SMALL, "mirror"), ("plain",), 30, lambda line: None)
    first, second = caught.value.speed.measured
    assert (first, second.training, second.why) == (done, None, "interrupted")


@pytest.mark.slow
def test_what_was_measured_is_printed_after_an_interrupt() -> None:
    call = [
        sys.executable,
        "-m",
        "trm_bench",
        "speed",
        "--models",
        f"copy,{SMALL}",
        "--task",
        "tiny",
        "--json",
    ]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "2 of 2" in line:
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [one["why"] for one in json.loads(out)["measured"]] == ["nothing is trained", "interrupted"]


@pytest.mark.parametrize(
    ("text", "device", "words"),
    [
        ("fast", "cpu", "--ways fast: unknown"),
        ("graph", "cpu", "graphs need --device cuda, and this is cpu"),
        (" , ", "cpu", "names none; choose from plain, compiled, graph, compiled\\+graph"),
    ],
)
def test_ways_that_cannot_be_are_refused_before_anything_is_measured(
    text: str, device: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        parse_ways(text, device)


def test_ways_are_taken_once_in_their_order() -> None:
    assert parse_ways("compiled, plain,compiled", "cpu") == ("compiled", "plain")
    assert parse_ways(None, "cpu") == ("plain",)
    assert "graph" in parse_ways(None, "cuda")


def _sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def _die() -> None:
    os._exit(3)


def _raise() -> None:
    raise ValueError("what went wrong\nand a second line")


@pytest.mark.slow
def test_a_process_of_its_own_gives_its_result_or_why_there_is_none() -> None:
    assert apart(_sleep, (0.0,), limit=60) == 0.0
    with pytest.raises(TrmBenchError, match="not done within 3 s; give it more --minutes"):
        apart(_sleep, (60.0,), limit=3)
    with pytest.raises(TrmBenchError, match="exit code 3"):
        apart(_die, (), limit=60)
    with pytest.raises(TrmBenchError, match=r"^ValueError: what went wrong and a second line$"):
        apart(_raise, (), limit=60)


@pytest.mark.slow
def test_few_puzzles_are_made_and_kept_apart_from_the_real_ones() -> None:
    few, seven, whole = (
        planned("copy", task=task, at_most=most).context.prepared
        for task, most in (("maze-hard", 5), ("sudoku-extreme", 7), ("maze-hard", None))
    )
    assert few.counts == {"train": 5, "validation": 5, "test": 5}
    assert seven.counts == {"train": 7, "validation": 7, "test": 7}
    assert whole.counts["train"] == 1000
    assert whole.folder != few.folder
    assert few.folder.is_relative_to(cache_root())


def test_the_machine_is_measured_with_the_threads_it_is_given(one_thread: None) -> None:
    machine = measure_machine(torch.device("cpu"), "float32")
    assert machine.threads == 1
    assert machine.flops > 1e8
    assert machine.bytes > 1e8
    assert machine.name


def test_the_tables_show_shares_of_the_peak_and_why_a_row_is_empty() -> None:
    training = TrainingSpeed(1.5, 0.02, 40, 1600.0, 50e9, 300_000_000)
    inference = InferenceSpeed(16, 256, 12345.0, 2.5, 25e9)
    measured = (
        Measured("trm", "plain", training, inference),
        Measured("hrm", "plain", None, None, "a step of batch 768 would take 5 min or more here"),
    )
    text = render(Speed("tiny", "mini", "cpu", "float32", 32, MACHINE, measured))
    trm, hrm = (next(line for line in text.splitlines() if line.startswith(name)) for name in ("trm", "hrm"))
    assert trm.split() == ["trm", "plain", "1.5", "20", "1,600", "50", "G", "50%", "300", "MB"]
    assert set(hrm.split()[2:]) == {"-"}
    assert "100 GFLOP/s in matrix products, 20 GB/s in copies" in text
    assert "(a machine, 1 thread), float32" in text
    assert text.splitlines()[-1].startswith("hrm, plain: not measured: a step of batch 768")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "tiny"], "--models is missing"),
        (["--models", "copy"], "--task is missing"),
        (["--models", "trn", "--task", "tiny"], "trn"),
        (["--models", "copy", "--task", "tiny", "--ways", "quick"], "--ways quick: unknown"),
        (["--models", "copy", "--task", "tiny", "--set", "speed=1"], "setting speed=1: unknown key"),
        (
            ["--models", "mirror", "--task", "tiny", "--set", "processes=2"],
            "speed measures a run of one process",
        ),
    ],
)
def test_wrong_input_is_named(run_cli: RunCli, arguments: list[str], words: str) -> None:
    ended = run_cli("speed", *arguments)
    assert ended.code == 2
    assert words in ended.err


def test_models_of_two_precisions_have_no_common_peak() -> None:
    grid = planned(SMALL, SMALL.replace("]", ",precision=bf16]"))
    with pytest.raises(UsageError, match=r"models of several precisions \(float32, bf16\)"):
        measure_grid(grid, ("plain",), 1.0, lambda line: None)

"""The verb `speed`: what is measured, what is refused, and that nothing of it is left behind."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trm_bench.harness.api.errors import TrmBenchError, UsageError
from trm_bench.harness.cli.speed import render
from trm_bench.harness.data.prepare import cache_root
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.grid import Request, plan
from trm_bench.harness.planning.job import Job
from trm_bench.harness.running.machine import Machine, measure_machine
from trm_bench.harness.running.speed import (
    AT_MOST,
    AnsweringSpeed,
    Measured,
    Speed,
    SpeedJob,
    TrainingSpeed,
    apart,
    measure,
    measure_speed,
    parse_ways,
)
from trm_bench.harness.training.costs import count_flops
from trm_bench.testing.pytest_plugin import RunCli

SMALL = "trm-mlp[hidden=16,multiple=16,cycles=1,updates=1,supervision=3]"
MACHINE = Machine("a machine", 1, 100e9, 20e9)


def request(*models: str, **settings: str) -> Request:
    return Request(models or (SMALL,), "tiny", "mini", (0,), settings=settings)


@pytest.fixture(scope="module")
def printed(run_cli: RunCli) -> dict[str, object]:
    ended = run_cli("speed", "--models", f"{SMALL},copy", "--task", "tiny", "--minutes", "0.3", "--json")
    assert ended.code == 0, ended.err
    content: dict[str, object] = json.loads(ended.out)
    return content


def test_the_numbers_agree_with_one_another(printed: dict) -> None:  # type: ignore[type-arg]
    trm, copy = printed["measured"]
    training, answering, batch = trm["training"], trm["answering"], printed["batch"]
    assert training["examples_per_second"] == pytest.approx(batch / training["step_seconds"])
    assert training["steps"] >= 3
    assert 0 < training["step_seconds"] < training["first_step_seconds"]
    assert 0 < training["flops"] < printed["machine"]["flops"]
    assert answering["steps"] == 3
    alone, together = 1000 / answering["milliseconds_alone"], answering["puzzles_per_second"]
    assert together > alone  # a batch shares what one puzzle pays alone
    assert training["memory"] > 50e6
    assert (copy["training"], copy["why"]) == (None, "nothing is trained")
    assert copy["answering"]["puzzles_per_second"] > together


def test_a_speed_says_what_it_was_measured_under(printed: dict) -> None:  # type: ignore[type-arg]
    said = {key: printed[key] for key in ("task", "scale", "device", "precision")}
    assert said == {"task": "tiny", "scale": "mini", "device": "cpu", "precision": "float32"}
    assert printed["machine"]["threads"] == 1


def test_flops_are_those_of_the_rule() -> None:
    study = plan(host(), request(), at_most=AT_MOST)
    cell = Job(study.cells[0], Path("unused"), study.prepared, (), ())
    seen = measure(SpeedJob(cell, "plain", True, MACHINE, 2.0))
    assert seen.training is not None
    assert seen.answering is not None
    spec, info = study.models[0].part.spec, study.prepared.info
    assert spec.build is not None
    flops = count_flops(spec.build(study.models[0].config, info), info.cells)
    assert seen.training.flops == pytest.approx(flops.training_step * seen.training.examples_per_second)
    assert seen.answering.flops == pytest.approx(flops.inference * seen.answering.puzzles_per_second)
    assert not Path("unused").exists()


def test_a_step_that_would_take_too_long_is_not_begun_and_a_batch_that_fits_is_named() -> None:
    study = plan(host(), request(batch_size="512"), at_most=AT_MOST)
    cell = Job(study.cells[0], Path("unused"), study.prepared, (), ())
    slow = Machine("a slow machine", 1, 1e6, 1e6)
    started = time.monotonic()
    seen = measure(SpeedJob(cell, "plain", False, slow, 60.0))
    assert time.monotonic() - started < 30
    assert seen.training is None
    assert seen.why is not None
    assert "a step of batch 512 would take" in seen.why
    fits = int(seen.why.rpartition("batch_size=")[2])
    assert 0 < fits < 512


def test_a_failure_is_a_row_and_the_others_are_measured() -> None:
    study = plan(host(), request(SMALL, "mirror"), at_most=AT_MOST)
    broken = study.cells[0].identity.model_copy(update={"architecture": {"hidden": -1}})
    cells = (study.cells[0].__class__("x", "x", broken), study.cells[1])
    said: list[str] = []
    speed = measure_speed(replace(study, cells=cells), ("plain",), 30, said.append)
    first, second = speed.measured
    assert first.training is None
    assert first.why
    assert second.training is not None
    assert [line for line in said if "2 of 2" in line]


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


def test_a_process_apart_gives_its_result_and_its_failures_in_words() -> None:
    assert apart(_sleep, (0.0,), limit=60) == 0.0
    with pytest.raises(TrmBenchError, match="not done within 3 s; give it more --minutes"):
        apart(_sleep, (60.0,), limit=3)
    with pytest.raises(TrmBenchError, match="exit code 3"):
        apart(_die, (), limit=60)
    with pytest.raises(TrmBenchError, match=r"^ValueError: what went wrong$"):
        apart(_raise, (), limit=60)


def test_few_puzzles_are_made_and_kept_apart_from_the_real_ones() -> None:
    few = plan(host(), Request(("copy",), "maze-hard", "mini", (0,)), at_most=5)
    assert few.prepared.counts == {"train": 5, "validation": 5, "test": 5}
    again = plan(host(), Request(("copy",), "sudoku-extreme", "mini", (0,)), at_most=7)
    assert again.prepared.counts == {"train": 7, "validation": 7, "test": 7}
    whole = plan(host(), Request(("copy",), "maze-hard", "mini", (0,)))
    assert whole.prepared.counts["train"] == 1000
    assert whole.prepared.folder != few.prepared.folder
    assert few.prepared.folder.is_relative_to(cache_root())


def test_the_machine_is_measured_with_the_threads_it_is_given(one_thread: None) -> None:
    machine = measure_machine(torch.device("cpu"), "float32")
    assert machine.threads == 1
    assert machine.flops > 1e8
    assert machine.bytes > 1e8
    assert machine.name


def test_the_tables_show_shares_of_the_peak_and_why_a_row_is_empty() -> None:
    training = TrainingSpeed(1.5, 0.02, 40, 1600.0, 50e9, 300_000_000)
    answering = AnsweringSpeed(16, 256, 12345.0, 2.5, 25e9)
    measured = (
        Measured("trm", "plain", training, answering),
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
        (["--models", "copy", "--task", "tiny", "--set", "speed=1"], "--set speed=1: unknown key"),
    ],
)
def test_wrong_input_is_named(run_cli: RunCli, arguments: list[str], words: str) -> None:
    ended = run_cli("speed", *arguments)
    assert ended.code == 2
    assert words in ended.err

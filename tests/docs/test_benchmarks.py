"""The scripts of benchmarks/: they follow what they measure, and what they count is right."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import gpu_day
import pytest
from portions import Cases, Part, Result, carry_out, measure
from step_floor import Product, Rates, count
from support.interrupted import stopped_once
from support.paths import ROOT
from support.training import INFO
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.models import resolve_model
from trm_bench.harness.training.costs import count_flops


def script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_report_over_made_up_runs_compares_every_pair() -> None:
    done = script("report_scale.py", 200)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^report with 6 pairs: ", done.stdout, flags=re.MULTILINE)


@pytest.mark.slow
def test_the_parts_of_a_step_are_timed() -> None:
    done = script("step_parts.py", "--models", "trm", "--seconds", 0)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^backward %", done.stdout, flags=re.MULTILINE)


@pytest.mark.slow
def test_the_day_on_a_gpu_measures_every_part_on_a_cpu_and_then_nothing_more(tmp_path: Path) -> None:
    command = ("--device", "cpu", "--tiny", "--minutes", 2, "--output", tmp_path)
    done = script("gpu_day.py", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = {part: json.loads((tmp_path / "tiny" / f"{part}.json").read_text()) for part in gpu_day.PARTS}
    assert all(part["finished"] for part in parts.values())
    assert list(parts["speed"]["cases"]) == list(gpu_day.MODELS[:2])
    for case in parts["speed"]["cases"].values():
        assert 0 < case["shares_of_peak"]["plain"] < 1
    for case in parts["memory"]["cases"].values():
        assert min(case["allocated"], case["forecast"]["total"]) > 0
    (portion,) = parts["train"]["cases"].values()
    assert portion["steps"] == 100
    again = script("gpu_day.py", *command)
    assert again.returncode == 0, again.stderr
    assert "…" not in again.stdout


@pytest.mark.slow
def test_a_training_that_is_interrupted_continues_where_it_was(tmp_path: Path) -> None:
    part = Part("train", partial(stopped_once, tmp_path), tmp_path / "train.json", {})
    assert carry_out(part, 5, 2)
    first, second = part.read()["cases"].values()
    assert 0 < first["steps"] < second["steps"] == 100


class Stopping:
    """Measurements a, b and c, of which b is interrupted at first and c fails."""

    def __init__(self) -> None:
        self.measured: list[str] = []

    def __call__(self, done: Mapping[str, Result]) -> Cases:
        for name in "abc":
            yield name, partial(self.one, name)

    def one(self, name: str) -> Result:
        self.measured.append(name)
        if self.measured == ["a", "b"]:
            raise KeyboardInterrupt
        if name == "c":
            raise ValueError("wrong")
        return {"summary": name}


def test_what_is_measured_survives_an_interruption_and_a_failure_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = Stopping()
    part = Part("letters", cases, tmp_path / "letters.json", {"name": "a card"})
    measure(part)
    assert (list(part.read()["cases"]), part.read()["finished"]) == (["a"], False)
    measure(part)
    assert cases.measured == ["a", "b", "b", "c"]
    assert part.read()["finished"]
    assert part.read()["cases"]["c"]["error"] == "ValueError: wrong"
    assert not carry_out(part, 1, 1)
    assert capsys.readouterr().out.endswith("letters: finished; failed: c\n")


@pytest.mark.parametrize("name", ["trm-mlp", "transformer"])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_products_that_are_counted_are_those_of_the_rule(name: str, compiled: bool) -> None:
    model = resolve_model(host(), f"{name}[hidden=16,heads=2,multiple=16]", INFO, {}, (1, 1))
    step = count(model, INFO, 4, "bf16", compiled)
    rule = 4 * count_flops(model.shapes(INFO), INFO.cells).training_step
    attention = 0.1 if name == "transformer" else 0.0  # fused, its scores are computed twice
    assert rule <= step.flops <= rule * (1 + attention)


def test_from_the_left_fewer_products_of_the_mixer_are_unaligned() -> None:
    model = resolve_model(host(), "trm-mlp[hidden=16,multiple=16]", INFO, {}, (1, 1))
    eager, compiled = (count(model, INFO, 4, "bf16", way) for way in (False, True))
    assert 0 < compiled.unaligned < eager.unaligned < 0.5


def test_a_product_takes_the_time_of_its_operations_or_of_its_bytes() -> None:
    rates = Rates(aligned=100.0, unaligned=10.0, bandwidth=1.0)
    times = [rates.seconds(Product(1000, 1, aligned)) for aligned in (True, False)]
    assert times == [10.0, 100.0]
    assert rates.seconds(Product(1, 1000, True)) == 1000.0

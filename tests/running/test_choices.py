"""What is chosen where a run is carried out: once, before its first step, and kept to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.stored import in_this_process
from support.training import MODELS
from trm_bench.harness.api.budget import Budget, Match
from trm_bench.harness.api.errors import UnavailableError
from trm_bench.harness.api.reasoner import Reasoner
from trm_bench.harness.running import choices
from trm_bench.harness.running.choices import choose_compile, chosen, kept
from trm_bench.harness.store.folders import Output
from trm_bench.harness.training import compiling
from trm_bench.harness.training.compiling import PAYS_AFTER, compile_parts
from trm_bench.harness.training.config import ExecutionConfig, TrainingConfig
from trm_bench.harness.training.device import usual_precision

import trm_bench

CPU = torch.device("cpu")
RATE = 1e9
LONG = 10 * RATE * PAYS_AFTER


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "product_rate", lambda device, precision: RATE)
    monkeypatch.setattr(choices, "obstacle", lambda device: None)


def test_a_long_run_in_bf16_is_compiled_and_a_short_one_is_not() -> None:
    assert choose_compile(LONG, "bf16", CPU) == (True, "forecast to take more than 10 minutes without")
    compiles, why = choose_compile(LONG / 1000, "bf16", CPU)
    assert not compiles
    assert why == "forecast to take less than 10 minutes, too short to pay for it"


def test_float32_stays_eager_however_long_it_takes() -> None:
    """Its numbers must not depend on whether a machine has a compiler."""
    assert choose_compile(1000 * LONG, "float32", CPU)[0] is False


def test_a_model_that_names_no_parts_is_compiled_on_request_alone() -> None:
    """Its author may not have tried it, and a long run must not end at its first step."""
    training = TrainingConfig(precision="bf16")
    plain = chosen(ExecutionConfig(), Reasoner(), training, LONG, CPU)
    assert plain == (ExecutionConfig(compile=False), "the model names no compiled_parts()")
    named = chosen(ExecutionConfig(), MODELS["trm-att"](), training, LONG, CPU)
    assert named[0].compile is True
    asked = chosen(ExecutionConfig(compile=True), Reasoner(), training, LONG, CPU)
    assert asked == (ExecutionConfig(compile=True), "as requested")


def test_without_a_compiler_a_long_run_says_why_it_is_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "obstacle", lambda device: "no C++ compiler was found")
    assert choose_compile(LONG, "bf16", CPU) == (False, "no C++ compiler was found")


def test_compiling_on_request_without_a_compiler_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "obstacle", lambda device: "no C++ compiler was found")
    with pytest.raises(UnavailableError, match="setting compile=true: no C\\+\\+ compiler was found"):
        compile_parts(torch.nn.Module(), CPU)  # type: ignore[arg-type]


def test_a_resumed_run_keeps_what_it_was_begun_with() -> None:
    begun = ExecutionConfig(compile=False, microbatch=16).model_dump(mode="json")
    told: list[str] = []
    assert kept(ExecutionConfig(), begun, 16, told.append).microbatch == 16
    assert not told
    again = kept(ExecutionConfig(compile=True, evaluation_batch=7, microbatch=99), begun, 16, told.append)
    assert again.compile is False
    assert again.evaluation_batch == 7
    assert told == ["continues with compile=false, as it was begun; --force starts from scratch"]


def test_a_run_may_be_resumed_by_another_number_of_processes_and_says_so() -> None:
    begun = ExecutionConfig(processes=2, microbatch=8).model_dump(mode="json")
    told: list[str] = []
    assert kept(ExecutionConfig(), begun, 16, told.append).processes == 1
    assert told == ["begun with processes=2, continues with 1: sums are rounded otherwise"]


def run(folder: Path, **settings: Any) -> Any:
    with in_this_process():
        return trm_bench.run(
            "transformer[hidden=16,heads=2,blocks=1]",
            task="sudoku-extreme",
            seeds=0,
            output=folder,
            steps=2,
            batch_size=4,
            limit=4,
            **settings,
        )


def test_the_manifest_has_what_was_chosen_and_the_runs_name_does_not(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", microbatch=2, evaluation_batch=3)
    a, b = (Output(tmp_path / name).runs()[0].manifest() for name in "ab")
    assert (a.execution["compile"], a.execution["microbatch"]) == (False, 4)
    assert (b.execution["compile"], b.execution["microbatch"]) == (False, 2)
    assert a.run == b.run
    assert not any("microbatch" in reason for reason in b.not_citable_because)


def test_mini_is_float32_everywhere_and_auto_is_what_the_processor_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "avx2": True})
    assert usual_precision("cpu") == "bf16"
    run(tmp_path / "a")
    assert Output(tmp_path / "a").runs()[0].manifest().identity.training["precision"] == "float32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "avx2": True})
    assert usual_precision("cpu") == "float32"
    assert usual_precision("cuda") == "bf16"


def test_seeds_that_were_computed_in_different_ways_have_a_note(tmp_path: Path) -> None:
    run(tmp_path)
    with in_this_process():
        results = trm_bench.run(
            "transformer[hidden=16,heads=2,blocks=1]",
            task="sudoku-extreme",
            seeds="0-1",
            output=tmp_path,
            steps=2,
            batch_size=4,
            limit=4,
            microbatch=2,
        )
    (note,) = [note for note in results.data.tables[0].notes if "microbatch" in note]
    assert note.endswith(
        "is 2 or 4, by seed, which rounds sums, and draws the noise of a stochastic model, otherwise"
    )


def test_the_flops_of_a_budget_are_the_most_that_it_can_take() -> None:
    def budget(match: Match, amount: float) -> Budget:
        return Budget(match=match, amount=amount, batch_size=8, augmentations=1)

    assert budget(Match.STEPS, 10).flops(3.0, 6) == 240
    assert budget(Match.EXAMPLES, 10).flops(3.0, 6) == 180
    assert budget(Match.FLOPS, 1e12).flops(3.0, 6) == 1e12

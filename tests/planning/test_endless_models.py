"""Models whose supervision step would never end are refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.models import resolve
from support.stored import TINY, command, evaluate, foreign, made, write
from support.training import INFO
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.training.costs import OPERATIONS, count_flops

HUGE = "9" * 20


@pytest.mark.parametrize(
    "model",
    [
        f"trm-mlp[cycles={HUGE}]",
        "trm-att[updates=10001]",
        f"hrm[timesteps={HUGE}]",
        f"hrm[low_blocks={HUGE}]",
        f"transformer-looped[repeats={HUGE}]",
        f"transformer[blocks={HUGE}]",
        f"trm[supervision={HUGE}]",
    ],
)
def test_numbers_that_no_model_has_are_refused(tmp_path: Path, model: str) -> None:
    ended = command("run", "--task", "tiny", "--models", model, "--seeds", 0, "--output", tmp_path / "out")
    assert ended.code == 2
    assert "must be at most" in ended.err
    assert not (tmp_path / "out").exists()
    file = write(tmp_path / "w.pt", "trm-mlp", made("trm-mlp", TINY))
    assert evaluate(tmp_path / "out", file, more=foreign(model)).code in (2, 4)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_repetitions_that_multiply_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = resolve("trm-mlp[cycles=20,updates=20,hidden=16,heads=2]", INFO)
    assert count_flops(model.build(INFO), INFO.cells).training_step > 0
    monkeypatch.setattr("trm_bench.harness.training.costs.OPERATIONS", 500)
    with pytest.raises(UsageError, match="takes more than 500 operations; choose fewer repetitions"):
        count_flops(model.build(INFO), INFO.cells)


@pytest.mark.slow
def test_the_published_models_are_far_from_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trm_bench.harness.training.costs.OPERATIONS", OPERATIONS // 10)
    for name in ("trm-att", "trm-mlp", "hrm", "transformer"):
        model = resolve(name, INFO)
        assert count_flops(model.build(INFO), INFO.cells).training_step > 0

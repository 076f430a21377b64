"""What a command counts before its runs start, for the estimate of the time; of models as shapes alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.api.rollouts import Rollouts
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.models import resolve_model
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.running import runner
from trm_bench.harness.running.runner import work_of
from trm_bench.harness.running.worker import Worker
from trm_bench.harness.training.costs import count_flops

SMALL = "trm-mlp[hidden=16,multiple=16,cycles=1,updates=1,supervision=3]"


def test_the_work_of_a_run_is_training_and_evaluation_and_counted_once_for_all_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = Request((SMALL, "copy"), "tiny", "mini", tuple(range(6)), limit=7, settings={"steps": 10})
    grid = plan_training(host(), request)
    trm = grid.models[0]
    flops = count_flops(trm.build(grid.context.prepared.info), grid.context.prepared.info.cells)
    counted: list[str] = []

    def counting(model: object, cells: int) -> object:
        counted.append(type(model).__name__)
        return count_flops(model, cells)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "count_flops", counting)
    work = work_of(grid, grid.jobs)
    assert work.keys() == {run.name for run in grid.runs}
    assert grid.budget is not None
    training = 10 * grid.budget.batch_size * flops.training_step
    for run in grid.runs:
        expected = (training, 7 * flops.inference) if run.description.model == trm.name else (0.0, 0.0)
        assert work[run.name] == pytest.approx(expected)
    assert len(counted) <= 2 * len(grid.models)


def test_the_work_of_an_evaluation_counts_every_answer_and_the_deepest_step() -> None:
    """By it `compile=auto` decides."""
    runs = [SimpleNamespace(identity=SimpleNamespace(steps=steps)) for steps in (None, 64)]
    worker = SimpleNamespace(
        identity=SimpleNamespace(budget=None, split="test", limit=10, votes=4),
        model=SimpleNamespace(supervision_steps=16),
        job=SimpleNamespace(prepared=SimpleNamespace(counts={"test": 500}), runs=runs, stored=object()),
        rollouts=Rollouts(count=100),
        flops=SimpleNamespace(inference=16.0),
    )
    assert Worker._work(cast(Any, worker)) == 1.0 * 64 * 10 * 4 * 100


@pytest.mark.parametrize("name", ["trm-mlp", "trm-att", "hrm", "transformer", "transformer-looped"])
def test_a_model_is_counted_as_shapes_however_large_its_puzzle_embedding_is(name: str) -> None:
    info = TaskInfo("arc-agi-1", "paper", 30, 30, 12, identifiers=10**10)  # 20 TB of numbers
    model = resolve_model(host(), name, info, {}).shapes(info)
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    assert count_flops(model, info.cells).training_step > 0

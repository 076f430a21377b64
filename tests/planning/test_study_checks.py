"""What of a study cannot be had at a scale."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from support.models import BUILT_IN
from support.studies import ask, definition
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.planning.study import checked, questions
from trm_bench.harness.planning.study_checks import check_scales, twins

NOISY: dict[str, Any] = {**definition(ask("trm", "hrm"), models=["trm", "hrm"]), "evaluations": ["noise=0.5"]}
MAZES = BUILT_IN.tasks.get("maze-hard").spec


@pytest.mark.parametrize(
    ("scales", "scale"),
    [(None, "mini"), (None, "lite"), (["mini"], "mini"), (["mini", "paper"], "paper"), (["paper"], "paper")],
)
def test_a_study_may_be_run_at_the_scales_that_it_declares(scales: list[str] | None, scale: str) -> None:
    check_scales(checked({**NOISY, "scales": scales}, "here"), MAZES, scale, "here.yaml")


@pytest.mark.parametrize(
    ("change", "scale", "message"),
    [
        ({"scales": ["mimi"]}, "mini", "scales: task 'maze-hard' has no scale 'mimi'; did you mean 'mini'"),
        (
            {"scales": ["mini", "lite"]},
            "paper",
            r"is for scale mini, lite, not for paper: .*copy here\.yaml, .* write scales: \[paper\] into",
        ),
        ({}, "paper", r"evaluations: noise=0\.5: this σ is not declared for scale paper; choose one there"),
    ],
)
def test_another_scale_is_refused_with_what_to_do(change: dict[str, Any], scale: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^study made: {message}"):
        check_scales(checked({**NOISY, **change}, "here"), MAZES, scale, "here.yaml")


def test_a_study_of_a_folder_may_get_further_scales() -> None:
    one, both = (checked({**NOISY, "scales": scales}, "here") for scales in (["mini"], ["mini", "paper"]))
    assert questions(one) == questions(both)


def test_a_grid_with_the_runs_of_another_one_is_named() -> None:
    grids: Any = {
        name: SimpleNamespace(runs=[SimpleNamespace(name=run) for run in runs])
        for name, runs in {"main": ["a", "b"], "short": ["c", "d"], "again": ["b", "a"]}.items()
    }
    (line,) = twins(grids)
    assert line.startswith("grid again has the same runs as main here")

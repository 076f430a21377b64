"""For authors of plugins: what every model, task, evaluator and reporter must do, as functions and fixtures.

    from trm_bench.testing import check_model

    def test_my_model_is_a_model():
        check_model("my-model")

Each check runs alone; the error at the end names every one that failed, and where to look. The same
from a shell is ``trm-bench check my-model``. With pytest, the fixtures `run_cli` and `tiny_task` are there by
themselves, see `trm_bench.testing.pytest_plugin`.
"""

from __future__ import annotations

from .evaluators import check_evaluator
from .findings import Finding, NotConforming
from .models import check_model
from .reporters import check_reporter
from .tasks import check_task
from .tiny import TINY_INFO, TINY_TASK

__all__ = [
    "TINY_INFO",
    "TINY_TASK",
    "Finding",
    "NotConforming",
    "check_evaluator",
    "check_model",
    "check_reporter",
    "check_task",
]

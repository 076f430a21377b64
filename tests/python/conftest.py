"""What the tests of studies have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.studies import write_yaml
from trm_bench.testing.pytest_plugin import Ended, RunCli


@pytest.fixture
def dry(tmp_path: Path, run_cli: RunCli) -> Callable[..., Ended]:
    """What a study would do, with any options."""

    def plan(content: object, *options: object) -> Ended:
        file = write_yaml(tmp_path / "dry.yaml", content)
        return run_cli("run", "--study", file, "--output", tmp_path / "dry", "--dry-run", *options)

    return plan

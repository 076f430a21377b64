"""Runs that are started from a user's own script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import trm_bench

print("carried out")
results = trm_bench.run("copy,mirror", "tiny", seeds=[0], limit=20, jobs=2, output=sys.argv[1])
assert not results.failed, results.failed
"""


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_task")
def test_a_script_without_a_main_guard_is_carried_out_once(tmp_path: Path) -> None:
    """A spawned process would import it anew, and start further ones."""
    (tmp_path / "mine.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "mine.py"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("carried out") == 1

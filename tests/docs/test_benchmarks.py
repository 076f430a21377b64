"""The scripts of benchmarks/ that write result folders, on few items: they must follow what is read."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support.paths import ROOT


@pytest.mark.slow
def test_a_report_over_made_up_runs_compares_every_pair() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "report_scale.py"), "200"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^report with 6 pairs: ", done.stdout, flags=re.MULTILINE)

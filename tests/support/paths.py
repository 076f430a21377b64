"""Folders that tests read."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = Path(os.environ.get("TRM_BENCH_DATA_DIR", ROOT.parent / "shared" / "data"))
"""Real data, which the project does not own."""
PARITY = Path(os.environ.get("TRM_BENCH_PARITY_DIR", ROOT / "tests" / "golden" / "parity"))
TESTS = ROOT / "tests"
PLUGINS = Path(__file__).parent / "plugins"


def python_path(*folders: Path) -> str:
    """``PYTHONPATH`` with these in front, for a process that a test starts."""
    return os.pathsep.join(filter(None, [*map(str, folders), os.environ.get("PYTHONPATH", "")]))

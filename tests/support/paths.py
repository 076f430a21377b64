"""Folders that tests read."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = Path(os.environ.get("TRM_BENCH_DATA_DIR", ROOT.parent / "shared" / "data"))
"""Real data, which the project does not own."""
PARITY = Path(os.environ.get("TRM_BENCH_PARITY_DIR", ROOT / "tests" / "golden" / "parity"))
PLUGINS = Path(__file__).parent / "plugins"

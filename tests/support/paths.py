"""What tests of several modules share."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


DATA = Path(os.environ.get("TRM_BENCH_DATA_DIR", ROOT.parent / "shared" / "data"))


PARITY = Path(os.environ.get("TRM_BENCH_PARITY_DIR", DATA / "parity"))


PLUGINS = Path(__file__).parent / "plugins_for_tests"

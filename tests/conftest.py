"""Shared fixtures: the optional real data, a cache of its own for every test session, a tiny task."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TRM_BENCH_DATA_DIR", ROOT.parent / "shared" / "data"))
PARITY = Path(os.environ.get("TRM_BENCH_PARITY_DIR", DATA / "parity"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the tests' puzzles out of the user's cache folder."""
    cache = tmp_path_factory.mktemp("cache")
    os.environ["TRM_BENCH_CACHE"] = str(cache)
    return cache


@pytest.fixture
def data_dir() -> Path:
    """The folder of real data; the test is skipped, visibly, where it is not."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA} (set TRM_BENCH_DATA_DIR)")
    return DATA

"""Shared fixtures: the optional real data, a cache of its own, a tiny plugin.

`run_cli` comes from our own pytest plugin, as for everybody.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from support.distributions import install, write_distribution
from support.paths import DATA, PLUGINS
from support.slurm import slurm
from trm_bench.harness.host.host import host

__all__ = ["install", "slurm"]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the tests' puzzles out of the user's cache folder."""
    cache = tmp_path_factory.mktemp("cache")
    os.environ["TRM_BENCH_CACHE"] = str(cache)
    return cache


@pytest.fixture(scope="session", autouse=True)
def tiny_distribution(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Install the tiny plugin, for this process and for those that it starts."""
    folder = write_distribution(tmp_path_factory.mktemp("site"), "tiny-plugin", "tiny = tiny_plugin")
    paths = [str(folder), str(PLUGINS)]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
    host.cache_clear()  # tests that are being collected may have asked for it already


@pytest.fixture
def data_dir() -> Path:
    """The folder of real data; the test is skipped, visibly, where it is not."""
    if not DATA.is_dir():
        if "TRM_BENCH_DATA_DIR" in os.environ:
            pytest.fail(f"TRM_BENCH_DATA_DIR={DATA} is not a folder")
        pytest.skip(f"no real data at {DATA} (set TRM_BENCH_DATA_DIR)")
    return DATA


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test of real data that is skipped although the data are there has failed: it shows nothing."""
    report = yield
    if report.skipped and DATA.is_dir() and "data_dir" in getattr(item, "fixturenames", ()):
        report.outcome = "failed"
        report.longrepr = f"skipped although {DATA} is there: {report.longrepr}"
    return report


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in a run: sums in a fixed order, and no threads that wait for one another."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

"""Fixtures for tests of plugins; pytest finds them by itself where trm-bench is installed.

``run_cli`` calls the real command line and gives its exit code and what it printed; ``tiny_task`` is the name
of a task that `run_cli` can train on within seconds. Nothing here imports torch until a test asks for it.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str


RunCli = Callable[..., Ended]


@pytest.fixture(scope="session")
def run_cli() -> RunCli:
    """Call ``trm-bench`` with these arguments in this process; runs still get processes of their own."""
    from ..harness.cli import main
    from ..harness.host.host import host

    def run(*arguments: object) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        before = dict(os.environ)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        finally:
            if before != dict(os.environ):  # a plugin of this one call, as --plugin or --no-plugins ask for
                os.environ.clear()
                os.environ.update(before)
                host.cache_clear()
        return Ended(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def tiny_task(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a small task, known to `run_cli` for as long as the test lasts."""
    from ..harness.host.host import host
    from ..harness.host.plugin_files import VARIABLE
    from .tiny import NAME

    file = tmp_path_factory.mktemp("plugin") / "tiny_grid.py"  # processes of runs must find it too
    file.write_text("from trm_bench.testing.tiny import trm_bench_register_tasks\n")
    known = os.environ.get(VARIABLE, "")
    monkeypatch.setenv(VARIABLE, os.pathsep.join(part for part in (known, str(file)) if part))
    host.cache_clear()
    yield NAME
    host.cache_clear()

"""A repeated run that fails has failed, although its earlier result stays; a folder belongs to one grid."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.stored import SHORT, in_this_process
from trm_bench.harness.running import processes
from trm_bench.harness.store.checked import stamped
from trm_bench.harness.store.folders import Output, RunFolder
from trm_bench.harness.store.records import Status
from trm_bench.testing.pytest_plugin import RunCli


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    with in_this_process():
        yield


@pytest.fixture
def finished(tmp_path: Path, run_cli: RunCli) -> RunFolder:
    ended = run_cli("run", *SHORT, "--models", "copy", "--seeds", "0", "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    (run,) = Output(tmp_path / "out").runs()
    long_ago = {"started": "2020-01-01T00:00:00+00:00"}  # times are kept to the second
    run.write_manifest(run.manifest().model_copy(update=long_ago))
    return run


def test_one_that_fails_before_it_has_begun_ends_with_1(finished: RunFolder, run_cli: RunCli) -> None:
    before = (finished.folder / "manifest.json").read_bytes()
    (finished.folder / ".moving").write_text("in the way")
    line = ("run", *SHORT, "--models", "copy", "--seeds", "0", "--output", finished.folder.parent)
    ended = run_cli(*line, "--force", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["tables"]
    assert (finished.folder / "manifest.json").read_bytes() == before
    assert finished.is_done()


class Told(processes.Watch):
    """Remembers how a run ended."""

    def finished(self, run: str, status: Status, error: str | None) -> None:
        self.ended = status, error


@pytest.mark.parametrize("began", [False, True])
def test_one_whose_process_dies_before_it_has_begun_has_failed(began: bool, finished: RunFolder) -> None:
    manifest = finished.manifest()
    planned = SimpleNamespace(
        name=finished.name, identity=manifest.identity, description=manifest.description,
        scored_by=manifest.scored_by, reasons=(), notes=(),
    )  # fmt: skip
    job: Any = SimpleNamespace(
        run=planned, runs=[planned], folder=finished.folder.parent, command=(), fresh=True, gpu=None,
        execution=SimpleNamespace(model_dump=lambda mode: {}),
    )  # fmt: skip
    process: Any = SimpleNamespace(join=lambda: None, exitcode=-9)
    started = manifest.started if began else "2021-01-01T00:00:00+00:00"
    watch = Told()
    dead = processes._Running(job, process, Pipe()[0], None, started)
    outcome = processes._finish(dead, watch)
    assert outcome.status_of(finished.name) is (Status.DONE if began else Status.FAILED)
    assert watch.ended[0] is Status.FAILED
    assert finished.manifest() == manifest


def test_a_folder_that_another_process_claims_at_the_same_moment_is_refused(
    tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def other_claims(source: Path, target: Path) -> None:
        target.write_bytes(stamped({"task": "another"}))
        link(source, target)

    monkeypatch.setattr(os, "link", other_claims)
    ended = run_cli("run", *SHORT, "--models", "copy", "--seeds", "0", "--output", tmp_path / "out")
    assert ended.code == 2
    assert "holds other runs" in ended.err
    assert not Output(tmp_path / "out").runs()

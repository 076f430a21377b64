"""Runs that a runner carries out: a grid of two, slow for as long as a test wants, and what became of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from trm_bench.harness.running import queued_jobs
from trm_bench.harness.store.checked import DamagedResult
from trm_bench.harness.store.folders import CHECKPOINT, SAMPLES, Output
from trm_bench.harness.store.records import Manifest
from trm_bench.harness.store.submitted import SubmittedRun

import trm_bench

from .processes import processes_naming, wait_for
from .stored import in_this_process

GRID = ("--models", "mirror", "--task", "tiny", "--set", "steps=1000", "--set", "checkpoint_steps=20")
"""Two seconds a run, and almost a minute while it is slow; without seeds."""
STEPS = 1000
SLOW = "TINY_SLOW"
"""As the tiny plugin names it."""


@dataclass(frozen=True)
class Pace:
    """Whether runs are slow: they are for as long as ``file`` is there."""

    file: Path

    def fast(self) -> None:
        """Let all of them finish quickly."""
        self.file.unlink(missing_ok=True)


@pytest.fixture
def pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pace]:
    """Slow runs, to begin with; processes that are left at the end are killed."""
    slow = tmp_path / "slow"
    slow.touch()
    monkeypatch.setenv(SLOW, str(slow))
    yield Pace(slow)
    for number in processes_naming(f"{SLOW}={slow}"):
        if number != os.getpid():
            os.kill(number, 9)


@pytest.fixture
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this process ask the runner all the time."""
    for pause in ("LOOK_SECONDS", "ASK_SECONDS"):
        monkeypatch.setattr(queued_jobs, pause, 0.2)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The samples of the grid's runs when no runner carries them out, by name."""
    folder = tmp_path_factory.mktemp("reference")
    with in_this_process():
        results = trm_bench.run("mirror", "tiny", seeds="0,1", steps=STEPS, output=folder)
    assert not results.failed
    return samples(folder)


def samples(folder: Path) -> dict[str, bytes]:
    """The files of samples of finished runs, by name."""
    return {run.name: (run.folder / SAMPLES).read_bytes() for run in Output(folder).runs() if run.is_done()}


def manifests(folder: Path) -> list[Manifest]:
    """Of the runs of a folder that have one, by seed."""
    found = []
    for run in Output(folder).runs():
        with suppress(DamagedResult):  # it is being started
            found.append(run.manifest())
    return sorted(found, key=lambda one: one.identity.seed)


def wait_saved(folder: Path, *seeds: int) -> None:
    """Wait for a checkpoint of each of these runs."""
    wait_for(lambda: all(list(folder.glob(f"*-s{seed}-*/{CHECKPOINT}")) for seed in seeds))


def submission(run: str, job: str = "j", runner: str = "shelf", **more: Any) -> SubmittedRun:
    """A run that was submitted long ago."""
    return SubmittedRun(run=run, runner=runner, job=job, submitted="2020-01-01T00:00:00+00:00", **more)

"""A runner of a plugin whose jobs a test controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import BaseModel, Field
from trm_bench.harness.api.errors import UnavailableError
from trm_bench.harness.api.runners import JobState, Phase, QueuedWork, RunnerSpec
from trm_bench.harness.host.host import Part, Plugin, host
from trm_bench.harness.running import queued_jobs
from trm_bench.harness.running.queued_run import QueuedRun
from trm_bench.harness.running.run import first_manifest
from trm_bench.harness.store.folders import RunFolder


class ShelfSettings(BaseModel):
    width: int = Field(1, gt=0)


def begin(work: QueuedWork) -> None:
    """Write what a run writes first."""
    assert isinstance(work, QueuedRun)
    run = RunFolder(work.job.folder / work.name)
    run.folder.mkdir()
    run.write_manifest(first_manifest(work.job, work.job.run))


@dataclass
class Shelf:
    """A runner that carries a job out, in this process, the second time that it is asked about it."""

    reason: str = ""
    lazy: bool = False
    silent: int = 0
    writes: bool = True
    begins: bool = False
    work: dict[str, QueuedWork] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    told: dict[str, JobState] = field(default_factory=dict)

    def submit(self, work: Sequence[QueuedWork], settings: ShelfSettings, folder: Path) -> list[str]:
        ids = [f"b{len(self.work) + place}" for place in range(len(work))]
        self.work |= dict(zip(ids, work, strict=True))
        return ids

    def states(self, jobs: Sequence[str], folder: Path) -> Mapping[str, JobState]:
        if self.silent:
            self.silent -= 1
            raise UnavailableError("shelf: no answer")
        return self.told | {job: self._state(job, folder) for job in jobs if job in self.work}

    def _state(self, job: str, folder: Path) -> JobState:
        self.asked[job] = self.asked.get(job, 0) + 1
        if self.asked[job] == 1:
            return JobState(Phase.QUEUED, "no room")
        if self.asked[job] == 2:
            if self.writes:
                (self.logs(job, folder)[0]).write_text("\n".join(f"line {number}" for number in range(30)))
            if self.begins:
                begin(self.work[job])
            if not self.lazy:
                self.work[job]()
            return JobState(Phase.RUNNING)
        return JobState(Phase.ENDED, self.reason)

    def cancel(self, jobs: Sequence[str], folder: Path) -> None:
        self.cancelled += jobs

    def logs(self, job: str, folder: Path) -> list[Path]:
        return [folder / f"{job}.out", folder / "missing.err"]

    def spec(self) -> RunnerSpec:
        return RunnerSpec(
            "shelf",
            "jobs in a row",
            config=ShelfSettings,
            submit=self.submit,
            states=self.states,
            cancel=self.cancel,
            logs=self.logs,
            device=lambda settings: "cpu",
        )


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made, registry = Shelf(), host().runners
    part = Part(made.spec(), Plugin("shelves:shelf", "shelves", "1.0"))
    monkeypatch.setattr(registry, "parts", [*registry.parts, part])
    for pause in ("LOOK_SECONDS", "ASK_SECONDS", "SETTLE_SECONDS"):
        monkeypatch.setattr(queued_jobs, pause, 0.0)
    return made

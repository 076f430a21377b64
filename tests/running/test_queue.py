"""Runners: what is made of what they say, and one that a plugin brings."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.queued import submission
from support.shelf import Shelf
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.runners import JobState, Phase
from trm_bench.harness.planning.study import declared_in
from trm_bench.harness.python import status as status_module
from trm_bench.harness.python.api import prepare_run
from trm_bench.harness.python.status import RunStatus, cancel, planned_runs, run_one, status
from trm_bench.harness.running.queued_run import QueuedRun
from trm_bench.harness.running.run import ended, failed, first_manifest
from trm_bench.harness.store.checked import DamagedResult
from trm_bench.harness.store.folders import METRICS, RunFolder
from trm_bench.harness.store.locks import Held, is_running, run_locked
from trm_bench.harness.store.provenance import hostname
from trm_bench.harness.store.records import Manifest, Status
from trm_bench.harness.store.submitted import SubmittedRun, add_submitted, jobs_folder, read_submitted
from trm_bench.plugins.runners import slurm
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench

# --- a runner of a plugin ------------------------------------------------------------------------


def test_a_runner_of_a_plugin_carries_a_grid_out(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "shelf.yaml"
    file.write_text("runner: shelf\nwidth: 2\n")
    results = trm_bench.run("copy", "tiny", seeds=0, on=file, output=tmp_path / "out")
    assert results.failed == {}
    assert results.complete
    (run,) = status(tmp_path / "out")
    assert (run.state, run.spent, run.job) == ("done", 1.0, "shelf b0")
    again = trm_bench.run("copy", "tiny", seeds=0, on=file, output=tmp_path / "out")
    assert again.complete
    assert list(shelf.work) == ["b0"]  # what is done is not submitted again


def test_a_runner_that_does_not_answer_for_a_while_ends_nothing(shelf: Shelf, tmp_path: Path) -> None:
    shelf.silent = 2
    assert trm_bench.run("copy", "tiny", seeds=0, on="shelf", output=tmp_path).complete
    assert shelf.silent == 0


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo '7_0|PENDING|Priority'; echo '7_1|RUNNING|None'; echo '8|TIMEOUT|TimeLimit'", ["7_0", "7_1"]),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", []),  # all are forgotten
    ],
)
def test_slurm_is_asked_for_jobs_of_any_user(
    script: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\n{script}\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert list(slurm.states(["7_0", "7_1", "9_3"])) == expected
    asked = (tmp_path / "asked").read_text()
    assert "--jobs=7,9" in asked
    assert "--user" not in asked


def test_the_plan_of_a_study_declares_it(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        "name: two\nasks: which?\ntask: tiny\nmodels: [copy, transformer]\nseeds: '0'\ngrids: {recipe: {}}\n"
        "contrasts:\n  - {asks: 'Is it better?', a: transformer, b: copy}\n"
    )
    planned = trm_bench.plan(study=file, output=tmp_path / "out")
    assert len(planned) == 2
    declared = declared_in(tmp_path / "out")
    assert declared is not None
    assert declared.study.name == "two"


def test_a_job_that_ends_without_a_word_has_failed_for_the_runners_reason(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.lazy, shelf.reason = True, "TIMEOUT"
    results = trm_bench.run("copy", "tiny", seeds=0, on="shelf", output=tmp_path)
    (run,) = status(tmp_path)
    assert list(results.failed) == [run.run]
    assert results.failed[run.run] == "shelf job b0 ended: TIMEOUT"
    manifest = RunFolder(tmp_path / run.run).manifest()
    assert manifest.status is Status.FAILED
    assert manifest.error == "shelf job b0 ended: TIMEOUT"
    assert (run.state, run.job) == ("failed", "shelf b0")
    assert run.log.splitlines() == [f"line {number}" for number in range(10, 30)]
    assert manifest.trace == run.log
    assert run.why == "shelf job b0 ended: TIMEOUT"


def test_a_run_whose_job_is_killed_before_it_can_save_is_interrupted_for_whoever_looks(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.lazy, shelf.reason, shelf.begins = True, "CANCELLED", True
    trm_bench.run("copy", "tiny", seeds=0, on="shelf", output=tmp_path)
    (run,) = status(tmp_path)
    manifest = RunFolder(tmp_path / run.run).manifest()
    assert (manifest.status, manifest.error, manifest.trace) == (Status.INTERRUPTED, "CANCELLED", run.log)
    assert (run.state, run.why) == ("interrupted", "CANCELLED")
    shelf.lazy, shelf.begins = False, False
    assert trm_bench.run("copy", "tiny", seeds=0, on="shelf", output=tmp_path).complete


def test_a_job_without_a_log_asks_whether_the_nodes_see_the_folder(shelf: Shelf, tmp_path: Path) -> None:
    shelf.lazy, shelf.reason, shelf.writes = True, "FAILED", False
    asks = f"; it wrote no log: did it start, and do the nodes see {tmp_path}?"
    results = trm_bench.run("copy", "tiny", seeds=0, on="shelf", output=tmp_path)
    assert list(results.failed.values()) == [f"shelf job b0 ended: FAILED{asks}"]
    (run,) = status(tmp_path)
    assert run.why == f"shelf job b0 ended: FAILED{asks}"
    (tmp_path / run.run / "manifest.json").unlink()  # as long as nobody follows
    assert [one.why for one in status(tmp_path)] == [f"FAILED{asks}"]


def test_only_the_runner_goes_on_with_what_is_queued_there(shelf: Shelf, tmp_path: Path) -> None:
    ((_, run),) = planned_runs(prepare_run("copy", "tiny", seeds=0, output=tmp_path))
    add_submitted(tmp_path, [submission(run, "b7")])
    shelf.told = {"b7": JobState(Phase.QUEUED)}
    with pytest.raises(UsageError) as caught:
        trm_bench.run("copy", "tiny", seeds=0, output=tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: 1 run queued or running on shelf, e.g. {run} as job b7: add --on shelf to follow, or "
        f"cancel with trm-bench cancel {tmp_path}"
    )
    with pytest.raises(UsageError, match=r"other: no job of it is queued or running"):
        cancel(tmp_path, "other")
    assert shelf.cancelled == []
    assert cancel(tmp_path) == [run]
    assert shelf.cancelled == ["b7"]
    assert [one.state for one in status(tmp_path)] == ["cancelled"]


# --- status --------------------------------------------------------------------------------------

QUEUED, RUNNING = JobState(Phase.QUEUED, "Priority"), JobState(Phase.RUNNING)


def interrupted(manifest: Manifest) -> Manifest:
    return ended(manifest, Status.INTERRUPTED, "the run was interrupted")


def broken(manifest: Manifest) -> Manifest:
    return failed(manifest, UsageError("the lamp is out"))


def begun(manifest: Manifest) -> Manifest:
    return manifest


Change = Callable[[Manifest], Manifest]


@pytest.mark.parametrize(
    ("job", "state", "manifest", "locked", "expected"),
    [
        (None, None, None, False, ("not started", "")),
        (None, None, begun, True, ("running", "")),
        (None, None, begun, False, ("interrupted", "its process is gone; the same command continues it")),
        (None, None, broken, False, ("failed", "the lamp is out")),
        ({}, QUEUED, None, False, ("queued", "Priority")),
        ({}, RUNNING, None, False, ("queued", "it is starting, or waits for a free place")),
        ({}, RUNNING, begun, True, ("running", "")),
        ({}, QUEUED, interrupted, False, ("queued", "Priority")),
        ({}, None, interrupted, False, ("interrupted", "")),
        ({}, JobState(Phase.ENDED, "CANCELLED"), interrupted, False, ("interrupted", "CANCELLED")),
        ({}, None, None, False, ("failed", "its job ended")),
        ({}, JobState(Phase.ENDED, "NODE_FAIL"), begun, False, ("interrupted", "NODE_FAIL")),
        ({"cancelled": True}, RUNNING, interrupted, False, ("cancelled", "")),
    ],
)
def test_a_run_is_called_what_it_is(
    job: dict[str, Any] | None,
    state: JobState | None,
    manifest: Change | None,
    locked: bool,
    expected: tuple[str, str],
    shelf: Shelf,
    tmp_path: Path,
) -> None:
    call = prepare_run("copy", "tiny", seeds=0, output=tmp_path)
    ((_, run),) = planned_runs(call)
    if job is not None:
        add_submitted(tmp_path, [submission(run, **job)])
        shelf.told = {} if state is None else {"j": state}
    if manifest is not None:
        assert call.grid is not None
        (planned,) = call.grid.jobs
        folder = RunFolder(tmp_path / run)
        folder.folder.mkdir()
        folder.write_manifest(manifest(first_manifest(planned, planned.run)))
        (folder.folder / METRICS).write_text('{"spent": 0.25}\n{"loss": 1.0}\n{"spe')
    if locked:
        with run_locked(tmp_path, run, print):
            (found,) = status(tmp_path)
    else:
        (found,) = status(tmp_path)
    assert (found.state, found.why.partition("; it wrote no log")[0]) == expected
    assert found.spent == (0.0 if manifest is None else 0.25)
    assert (found.seconds_left is not None) == (found.state == "running")


def test_a_runner_that_does_not_answer_leaves_its_jobs_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_, run),) = planned_runs(prepare_run("copy", "tiny", seeds=0, output=tmp_path))
    add_submitted(tmp_path, [submission(run, "3_0", "slurm")])
    monkeypatch.setenv("PATH", "")
    (found,) = status(tmp_path)
    assert (found.state, found.job) == ("queued", "slurm 3_0")
    assert found.why.startswith("unknown: --on slurm: no squeue here")


# --- one run, and its lock -----------------------------------------------------------------------


def test_one_process_at_a_time_has_a_run(tmp_path: Path) -> None:
    assert not is_running(tmp_path, "a")
    with run_locked(tmp_path, "a", print):
        assert is_running(tmp_path, "a")
        assert not is_running(tmp_path, "b")
        second = run_locked(tmp_path, "a", print)
        with pytest.raises(Held, match="a: another process is carrying out this run; trm-bench status"):
            second.__enter__()
    assert not is_running(tmp_path, "a")


@pytest.mark.slow
def test_a_planned_run_is_carried_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((folder, run),) = planned_runs(prepare_run("copy", "tiny", seeds=0, output=tmp_path))
    assert folder == str(tmp_path)
    with run_locked(tmp_path, run, print):
        with pytest.raises(UsageError, match=f"{run}: another process is carrying it out"):
            run_one(tmp_path, run)
        # Both looked before either of them had the lock:
        with monkeypatch.context() as patch:
            patch.setattr(status_module, "holder_of", lambda *_: None)
            assert run_one(tmp_path, run).state == "not started"
    assert not (tmp_path / run).exists()
    done = run_one(tmp_path, run)
    assert (done.state, done.run) == ("done", run)
    assert run_one(tmp_path, run) == done
    with pytest.raises(UsageError, match=rf"copy-s0: not planned in {tmp_path}; did you mean '{run}'\?"):
        run_one(tmp_path, "copy-s0")


@dataclass
class Requeued:
    """A job whose run a process on ``node3`` has marked, on a file system without locks."""

    queued: QueuedRun
    mark: Path

    def mark_as(self, host: str) -> None:
        self.mark.with_suffix("").touch()
        self.mark.write_text(f"7\n{host}\n")


@pytest.fixture
def requeued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Requeued:
    def flock(*arguments: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr("trm_bench.harness.running.queued_run.WAIT_SECONDS", 0.01)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    call = prepare_run("copy", "tiny", seeds=0, output=tmp_path)
    ((_, run),) = planned_runs(call)
    assert call.grid is not None
    (job,) = call.grid.jobs
    begun = first_manifest(job, job.run)
    folder = RunFolder(tmp_path / run)
    folder.folder.mkdir()
    folder.write_manifest(begun.model_copy(update={"environment": {**begun.environment, "host": "node3"}}))
    found = Requeued(QueuedRun(replace(job, folder=tmp_path)), tmp_path / f".lock-{run}.held")
    found.mark_as("node3")
    return found


def test_a_job_that_is_queued_again_takes_over_its_own_mark(
    requeued: Requeued, capsys: pytest.CaptureFixture[str]
) -> None:
    requeued.queued._wait()
    assert not requeued.mark.exists()
    assert "takes over from process 7 on node3, where this job was before" in capsys.readouterr().out


@pytest.mark.parametrize(("job", "host"), [("13", "node3"), ("12", "node4"), ("12", hostname())])
def test_a_mark_that_may_be_of_another_process_is_waited_for_and_named(
    job: str,
    host: str,
    requeued: Requeued,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requeued.mark_as(host)
    requeued.mark.write_text(f"{os.getppid()}\n{host}\n")
    monkeypatch.setenv("SLURM_JOB_ID", job)
    shown: list[RunStatus] = []

    def user(seconds: float) -> None:  # looks, and does as the message says
        shown.extend(status(requeued.mark.parent))
        requeued.mark.unlink()

    monkeypatch.setattr("trm_bench.harness.running.queued_run.time.sleep", user)
    requeued.queued._wait()
    expected = f"process {os.getppid()} on {host}"
    out = capsys.readouterr().out
    assert f"waits for another process ({expected}) that is carrying it out" in out
    assert f"If that process is gone, delete {requeued.mark}" in out
    (run,) = shown
    assert (run.state, run.why) == (
        "running",
        f"marked by {expected}. If that process is gone, delete {requeued.mark}",
    )


def test_a_damaged_list_of_jobs_is_named_with_what_to_do(tmp_path: Path) -> None:
    add_submitted(tmp_path, [submission("a")])
    add_submitted(tmp_path, [submission("b"), replace_job(read_submitted(tmp_path)["a"], "k")])
    assert {name: one.job for name, one in read_submitted(tmp_path).items()} == {"a": "k", "b": "j"}
    file = jobs_folder(tmp_path) / "submitted.json"
    file.write_text(file.read_text().replace('"k"', '"l"'))
    with pytest.raises(DamagedResult) as caught:
        read_submitted(tmp_path)
    assert str(file) in str(caught.value)
    assert "delete it; jobs that are still queued must be cancelled by hand" in str(caught.value)


def replace_job(one: SubmittedRun, job: str) -> SubmittedRun:
    return one.model_copy(update={"job": job})


def test_the_command_line_prints_the_runs_and_their_logs(
    shelf: Shelf, tmp_path: Path, run_cli: RunCli
) -> None:
    shelf.lazy, shelf.reason = True, "OUT_OF_MEMORY"
    line = ("--models", "copy", "--task", "tiny", "--seeds", "0", "--output", tmp_path)
    ended = run_cli("run", *line, "--on", "shelf")
    assert ended.code == 1
    assert "1 job submitted to shelf" in ended.err
    shown = run_cli("status", tmp_path)
    assert shown.code == 0
    assert "1 run: 1 failed" in shown.out
    assert "the last lines of its log:\n  line 10\n" in shown.out
    (run,) = json.loads(run_cli("status", tmp_path, "--json").out)
    assert (run["state"], run["why"]) == ("failed", "shelf job b0 ended: OUT_OF_MEMORY")
    assert run_cli("cancel", tmp_path).out == "0 runs cancelled\n"

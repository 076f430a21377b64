"""Runs as processes of this machine that outlive the command: ``--on local``, and ``run-one``."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from support.processes import command, started, wait_for
from support.queued import GRID, Pace, manifests, samples, wait_saved
from support.shell import environment
from trm_bench.harness.store.records import Status
from trm_bench.harness.store.submitted import read_submitted
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench

pytest.importorskip("submitit", reason="needs submitit: pip install 'trm-bench[cluster]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]


def descendants(process: int) -> list[int]:
    """A process and all that it has started, as far as they live."""
    found = [process]
    for one in found:
        children = Path(f"/proc/{one}/task/{one}/children")
        found += [int(number) for number in children.read_text().split()] if children.exists() else []
    return found


def test_jobs_go_on_without_their_command_and_resume_however_they_end(
    pace: Pace, attentive: None, reference: dict[str, bytes], tmp_path: Path, run_cli: RunCli
) -> None:
    folder = tmp_path / "out"
    line = ("run", *GRID, "--seeds", "0,1", "--jobs", "2", "--output", folder)
    first = started(*line, "--on", "local")
    wait_saved(folder, 0, 1)

    os.killpg(first.pid, signal.SIGINT)  # as Ctrl-C does, to every process of the terminal's group
    _, err = first.communicate(timeout=60)
    assert first.returncode == 130, err
    assert "2 jobs submitted to local" in err
    assert (
        "detached: the jobs continue. The same command follows them again; trm-bench status "
        f"{folder} shows them, and trm-bench cancel {folder} cancels them"
    ) in err
    cancelled, killed = trm_bench.status(folder)
    assert [cancelled.state, killed.state] == ["running", "running"]
    assert 0 < cancelled.spent < 1
    assert run_cli("report", folder).code == 3  # no run is finished
    refused = run_cli(*line)
    assert refused.code == 2
    assert f"{folder}: 2 runs queued or running on local, e.g. {cancelled.run} as job" in refused.err

    second = started(*line, "--on", "local")
    assert second.stderr is not None
    wait_for(lambda: "2 jobs of an earlier command followed" in second.stderr.readline())  # type: ignore[union-attr]
    assert run_cli("cancel", folder, cancelled.run).out == "1 run cancelled\n"
    for number in descendants(int(read_submitted(folder)[killed.run].job)):
        os.kill(number, signal.SIGKILL)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 1, err
    stopped, lost = trm_bench.status(folder)
    assert (stopped.state, lost.state) == ("cancelled", "interrupted")
    assert lost.why == f"{lost.job} ended".replace("local", "local job")
    assert lost.why in err
    assert f"{killed.run}: on " in lost.log
    assert [one.status for one in manifests(folder)] == [Status.INTERRUPTED, Status.INTERRUPTED]

    pace.fast()
    again = run_cli(*line, "--on", "local")
    assert again.code == 0, again.err
    assert "2 of 2 runs resume from a checkpoint" in again.err
    assert "2 jobs submitted to local" in again.err
    assert samples(folder) == reference
    assert all(one.resumed for one in manifests(folder))


def test_a_plan_is_carried_out_run_by_run(
    pace: Pace, reference: dict[str, bytes], tmp_path: Path, run_cli: RunCli
) -> None:
    pace.fast()
    folder = tmp_path / "a plan"
    planned = run_cli("run", *GRID, "--seeds", "0,1", "--output", folder, "--plan-only")
    assert planned.code == 0, planned.err
    assert planned.out == "".join(f"{shlex.quote(str(folder))} {shlex.quote(name)}\n" for name in reference)
    assert [one.state for one in trm_bench.status(folder)] == ["not started", "not started"]
    ended = subprocess.run(
        ["xargs", "-P", "2", "-L", "1", *command("run-one")],
        input=planned.out.encode(),
        capture_output=True,
        env=environment(),
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert sorted(re.findall(r"^(\S+): done$", ended.stdout.decode(), re.MULTILINE)) == sorted(reference)
    assert samples(folder) == reference

"""A run's process hears its parent alone and never outlives it; every way of being stopped keeps the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.processes import HOUR, SMALL, only_run, processes_naming, started, wait_for
from trm_bench.harness.store.folders import CHECKPOINT, METRICS
from trm_bench.harness.store.locks import LOCK
from trm_bench.harness.store.records import Status
from trm_bench.harness.training.checkpoint import read_checkpoint
from trm_bench.testing.pytest_plugin import RunCli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]
MARK = "TRM_BENCH_TEST_MARK"


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A mark that a command's processes inherit, whoever their parent is."""
    monkeypatch.setenv(MARK, str(tmp_path))
    return f"{MARK}={tmp_path}"


def living(mark: str) -> list[int]:
    return [number for number in processes_naming(mark) if number != os.getpid()]


def workers(mark: str) -> list[int]:
    """The processes of runs."""
    return [n for n in living(mark) if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()]


@pytest.mark.parametrize("when", ["at once", "in training"])
def test_a_run_whose_parent_is_killed_ends_and_writes_nothing_more(
    when: str, tmp_path: Path, mark: str, run_cli: RunCli
) -> None:
    folder = tmp_path / "out"
    line = ("run", "--models", SMALL, *HOUR, "--set", "checkpoint_steps=50", "--output", folder)
    process = started(*line)
    if when == "at once":
        wait_for(lambda: len(living(mark)) > 1)
    else:
        wait_for(lambda: list(folder.glob(f"*/{CHECKPOINT}")))
    process.kill()
    process.wait()
    wait_for(lambda: not living(mark), seconds=30 if when == "at once" else 5)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    time.sleep(0.5)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    if when == "in training":
        assert only_run(folder).manifest().status is Status.RUNNING
        assert read_checkpoint(only_run(folder).checkpoint) is not None


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_signal_saves_a_checkpoint_and_ends_with_130(name: str, tmp_path: Path, mark: str) -> None:
    process = started("run", "--models", SMALL, *HOUR, "--output", tmp_path / "out")
    wait_for(lambda: list(tmp_path.glob(f"out/*/{METRICS}")))
    os.killpg(process.pid, signal.Signals[name])  # to all of them, as a closed terminal and `scancel` do
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; rerun the same command to continue" in err
    assert "Traceback" not in err
    run = only_run(tmp_path / "out")
    assert run.manifest().status is Status.INTERRUPTED
    assert read_checkpoint(run.checkpoint) is not None
    assert not living(mark)


def test_under_nohup_a_closed_terminal_stops_nothing(tmp_path: Path) -> None:
    line = ("run", "--models", SMALL, *HOUR, "--output", tmp_path / "out")
    process = started(*line, ignoring=signal.SIGHUP)
    wait_for(lambda: list(tmp_path.glob(f"out/*/{METRICS}")))
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_run_whose_own_process_is_stopped_is_interrupted_and_the_others_go_on(
    tmp_path: Path, mark: str
) -> None:
    line = ("run", "--models", f"{SMALL},copy", *HOUR, "--jobs", "1", "--output", tmp_path / "out")
    process = started(*line)
    wait_for(lambda: list(tmp_path.glob(f"out/trm*/{METRICS}")))
    for number in workers(mark):
        os.kill(number, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "interrupted after" in err
    (copy,) = (tmp_path / "out").glob("copy-*")
    assert "done" in (copy / "manifest.json").read_text()


SLOW_TASK = """
import time
from dataclasses import replace
import tiny_plugin
from trm_bench import hookimpl

def build(request):
    print("building", flush=True)
    time.sleep(60)

@hookimpl
def trm_bench_register_tasks():
    return [replace(tiny_plugin.trm_bench_register_tasks()[0], name="slow", build=build)]
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_while_puzzles_are_made_ends_with_one_line(name: str, tmp_path: Path, mark: str) -> None:
    (tmp_path / "slow.py").write_text(SLOW_TASK)
    process = started(
        "--plugin", tmp_path / "slow.py", "run", "--models", "copy", "--task", "slow", "--seeds", "0"
    )
    assert process.stderr is not None
    wait_for(lambda: "building" in process.stderr.readline())  # type: ignore[union-attr]
    process.send_signal(signal.Signals[name])
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "interrupted; rerun the same command to continue"


def test_a_runs_process_holds_the_lock_of_its_folder(tmp_path: Path, mark: str) -> None:
    """Where it cannot be ended with its parent, no second run may write beside it."""
    folder = tmp_path / "out"
    process = started("run", "--models", SMALL, *HOUR, "--output", folder)
    wait_for(lambda: list(folder.glob(f"*/{METRICS}")))
    (inner,) = workers(mark)
    files = [path.resolve() for path in Path(f"/proc/{inner}/fd").iterdir()]
    assert folder.resolve() / LOCK in files
    process.terminate()
    process.communicate(timeout=60)


CHILD = """
import multiprocessing, sys, time
from trm_bench.harness.running.lifetime import die_with_parent

def inner(platform):
    sys.platform = platform
    die_with_parent()
    print("alive", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=inner, args=(sys.argv[1],))
    process.start()
    process.join()
"""


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_process_dies_with_its_parent_on_every_system(platform: str, tmp_path: Path, mark: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(CHILD)
    process = subprocess.Popen([sys.executable, script, platform], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "alive\n"
    process.kill()
    process.communicate()
    wait_for(lambda: not living(mark), seconds=5)

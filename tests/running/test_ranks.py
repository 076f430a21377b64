"""One run over two processes, through the command line; what happens when one of them is stopped or dies."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from support.processes import HOUR, SMALL, only_run, processes_naming, started, wait_for
from support.stored import command
from trm_bench.harness.api.errors import UnavailableError, UsageError
from trm_bench.harness.running.ranks import places_of
from trm_bench.harness.store.folders import METRICS, RunFolder
from trm_bench.harness.store.records import Status
from trm_bench.harness.training.checkpoint import read_checkpoint
from trm_bench.harness.training.gpus import Gpu
from trm_bench.harness.training.group import check_processes
from trm_bench.testing.pytest_plugin import RunCli

TWO = ("--set", "processes=2")
GPUS = tuple(Gpu(index, "H200", f"GPU-{index}", f"GPU-{index}") for index in range(5))


# --- requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("processes", "near"), [(3, "2 or 4"), (32, "8 or 16")])
def test_processes_that_do_not_divide_the_batch_are_refused(
    processes: int, near: str, run_cli: RunCli, tmp_path: Path
) -> None:
    setting = ("--set", f"processes={processes}")
    ended = run_cli("run", "--task", "tiny", "--models", SMALL, *setting, "--output", tmp_path / "out")
    assert ended.code == 2
    expected = f"setting processes={processes} does not divide the batch of 16: choose {near}, or another"
    assert expected in " ".join(ended.err.split())
    assert not (tmp_path / "out").exists()


def test_a_device_whose_processes_cannot_talk_is_refused() -> None:
    with pytest.raises(UsageError, match="processes=2 goes with --device cpu or cuda, not with --device mps"):
        check_processes(2, 16, "mps")
    check_processes(1, 16, "mps")
    check_processes(3, None, "cpu")  # evaluation divides no batch


def test_a_run_takes_as_many_places_as_it_has_processes() -> None:
    assert places_of((None,) * 5, 2) == (None, None)
    assert places_of((None,), 2) == (None,)
    assert places_of(GPUS, 1) == GPUS
    first, second = places_of(GPUS, 2)
    assert first is not None
    assert second is not None
    assert (first.entry, second.entry) == ("GPU-0,GPU-1", "GPU-2,GPU-3")
    with pytest.raises(UnavailableError, match="processes=8 needs a GPU for each"):
        places_of(GPUS, 8)


# --- a run -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_give_the_samples_of_one(run_cli: RunCli, tmp_path: Path) -> None:
    runs = {}
    for name, more in (("one", ()), ("two", TWO)):
        settings = ("--set", "steps=30", "--set", "evaluation_batch=7", *more)
        line = ("--task", "tiny", "--models", SMALL, "--seeds", "0", *settings, "--output", tmp_path / name)
        ended = command("run", *line) if name == "one" else run_cli("run", *line)
        assert ended.code == 0, ended.err
        runs[name] = only_run(tmp_path / name)
    one, two = (run.manifest() for run in runs.values())
    assert one.run == two.run  # the number of processes is no part of the identity
    assert (one.execution["processes"], two.execution["processes"]) == (1, 2)
    assert (one.ledger.processes, two.ledger.processes) == (1, 2)
    assert not any("processes" in reason for reason in two.not_citable_because)
    for field in ("optimiser_steps", "draws", "distinct_augmentations", "supervision_steps"):
        assert getattr(one.ledger, field) == getattr(two.ledger, field)
    ours, theirs = (_samples(run) for run in runs.values())
    assert ours.shape == theirs.shape
    assert np.mean(ours != theirs) < 0.05  # an argmax between nearly equal logits
    for a, b in zip(_lines(runs["one"]), _lines(runs["two"]), strict=True):
        assert a.keys() == b.keys()
        assert b.get("draws") == a.get("draws")
        assert b.get("loss", 0.0) == pytest.approx(a.get("loss", 0.0), rel=0.01)
    assert sorted(path.name for path in runs["one"].folder.iterdir()) == sorted(
        path.name for path in runs["two"].folder.iterdir()
    )


def _samples(run: RunFolder) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return run.predictions().tokens


def _lines(run: RunFolder) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.folder / METRICS).read_text().splitlines()]


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A mark that a command's processes inherit, whoever their parent is."""
    monkeypatch.setenv("TRM_BENCH_TEST_MARK", str(tmp_path))
    return f"TRM_BENCH_TEST_MARK={tmp_path}"


def _living(mark: str) -> list[int]:
    return [number for number in processes_naming(mark) if number != os.getpid()]


def _parent(number: int) -> int:
    return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])


def _second(mark: str) -> int:
    """The process of rank 1: the only one whose parent is not the command but its child."""
    parents = {number: _parent(number) for number in _living(mark)}
    (second,) = [
        n
        for n, parent in parents.items()
        if parents.get(parent) in parents and b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()
    ]
    return second


in_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")


@pytest.mark.slow
@in_proc
def test_sigterm_to_the_second_process_saves_and_one_process_resumes(tmp_path: Path, mark: str) -> None:
    folder = tmp_path / "out"
    line = ("run", "--models", SMALL, "--task", "tiny", "--seeds", "0", "--set", "steps=1200")
    process = started(*line, *TWO, "--output", folder)
    wait_for(lambda: list(folder.glob(f"*/{METRICS}")))
    os.kill(_second(mark), signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "interrupted after" in err
    assert not _living(mark)
    run = only_run(folder)
    assert run.manifest().status is Status.INTERRUPTED
    saved = read_checkpoint(run.checkpoint)
    assert saved is not None
    step = saved["trainer"]["steps"]
    assert 0 < step < 1200
    assert len(saved["trainer"]["slots"]["steps"]) == 16
    ended = command(*line, "--output", folder)
    assert ended.code == 0, ended.err
    manifest = run.manifest()
    assert (manifest.status, manifest.resumed) == (Status.DONE, [step])
    assert manifest.execution["processes"] == 1
    ledger = manifest.ledger  # what two processes took counts twice
    assert ledger.device_seconds > ledger.training_seconds + ledger.validation_seconds


@pytest.mark.slow
@in_proc
def test_a_process_that_is_killed_fails_the_run_and_is_named(tmp_path: Path, mark: str) -> None:
    folder = tmp_path / "out"
    process = started("run", "--models", SMALL, *HOUR, *TWO, "--output", folder)
    wait_for(lambda: list(folder.glob(f"*/{METRICS}")))
    os.kill(_second(mark), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    expected = "process 1 of the run's 2 ended with exit code -9: killed, most often for lack of memory"
    assert expected in " ".join(err.split())
    assert "Traceback" not in err
    manifest = only_run(folder).manifest()
    assert manifest.status is Status.FAILED
    assert expected in str(manifest.error)
    assert not _living(mark)


@pytest.mark.slow
@in_proc
def test_the_second_process_ends_with_the_first(tmp_path: Path, mark: str) -> None:
    folder = tmp_path / "out"
    process = started("run", "--models", SMALL, *HOUR, *TWO, "--output", folder)
    wait_for(lambda: list(folder.glob(f"*/{METRICS}")))
    second = _second(mark)
    os.kill(_parent(second), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 1
    wait_for(lambda: not _living(mark), seconds=5)

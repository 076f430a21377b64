"""A resumed run ends like one that was never stopped: losses, weights and table, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stored import command as here
from support.training import MODELS, quiet, steps, trainer
from trm_bench.harness.api.budget import Match
from trm_bench.harness.store.folders import CHECKPOINT, GRID, Output, RunFolder
from trm_bench.harness.store.locks import locked
from trm_bench.harness.training import checkpoint
from trm_bench.harness.training.checkpoint import (
    VERSION,
    Clock,
    Stopped,
    checkpoint_problem,
    read_checkpoint,
    write_checkpoint,
)
from trm_bench.harness.training.config import ExecutionConfig
from trm_bench.harness.training.trainer import Metrics, Watcher
from trm_bench.testing.pytest_plugin import RunCli

LENGTH = 10


pytestmark = pytest.mark.usefixtures("one_thread")


def losses(one: object, count: int) -> list[float]:
    return [float(one.step().total.detach()) for _ in range(count)]  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stop=st.integers(0, LENGTH - 1), ema=st.sampled_from([0.0, 0.9]))
def test_losses_after_a_stop_at_any_step_are_those_of_an_uninterrupted_run(
    name: str, stop: int, ema: float, tmp_path: Path
) -> None:
    whole, first = (trainer(name, steps(LENGTH), ema=ema) for _ in range(2))
    expected = losses(whole, LENGTH)
    before = losses(first, stop)
    write_checkpoint(tmp_path / CHECKPOINT, {"trainer": first.state()})
    second = trainer(name, steps(LENGTH), seed=0, ema=ema)
    losses(second, 2)  # what is restored replaces this
    torch.manual_seed(99)
    saved = read_checkpoint(tmp_path / CHECKPOINT)
    assert saved is not None
    second.restore(saved["trainer"])
    assert before + losses(second, LENGTH - stop) == expected
    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for one in (whole, second):
        one.settle()
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("match", [Match.STEPS, Match.EXAMPLES])
def test_the_lines_of_metrics_and_what_was_spent_are_the_same(match: Match, tmp_path: Path) -> None:
    amount = 40 if match is Match.STEPS else 90
    whole: list[Metrics] = []
    spent = trainer("trm-mlp", steps(amount, match)).run(Watcher(whole.append, lambda model: {"v": 1.0}))
    parts: list[Metrics] = []
    first = trainer("trm-mlp", steps(amount, match))
    path = tmp_path / CHECKPOINT

    def save(step: int) -> None:
        write_checkpoint(path, {"trainer": first.state()})

    with pytest.raises(Stopped):
        first.run(Watcher(parts.append, lambda model: {"v": 1.0}, save, stop=lambda: first.steps == 17))
    second = trainer("trm-mlp", steps(amount, match))
    saved = read_checkpoint(path)
    assert saved is not None
    second.restore(saved["trainer"])
    again = second.run(Watcher(parts.append, lambda model: {"v": 1.0}))
    assert parts == whole
    assert (again.steps, again.draws, again.flops) == (spent.steps, spent.draws, spent.flops)
    assert again.seconds > saved["trainer"]["reported"]["seconds"] > 0


def test_a_model_that_draws_numbers_in_training_draws_the_same_again(tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = checkpoint.random_state(torch.device("cpu"))
    write_checkpoint(tmp_path / CHECKPOINT, {"random": state})
    drawn = torch.rand(5)
    saved = read_checkpoint(tmp_path / CHECKPOINT)
    assert saved is not None
    checkpoint.set_random_state(saved["random"], torch.device("cpu"))
    assert torch.equal(torch.rand(5), drawn)


def test_the_last_good_checkpoint_survives_a_death_while_the_next_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, {"step": 1})

    def dies(content: object, scratch: BinaryIO) -> None:
        scratch.write(b"half of a checkpoint")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(path, {"step": 2})
    saved = read_checkpoint(path)
    assert saved is not None
    assert saved["step"] == 1
    assert [one.name for one in tmp_path.iterdir()] == [CHECKPOINT]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_a_checkpoint_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    assert read_checkpoint(tmp_path / CHECKPOINT) is None
    assert read_checkpoint(tmp_path / "missing.pt") is None


def test_a_checkpoint_of_another_version_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, {})
    mark, other = (f"trm-bench checkpoint {version:4d} ".encode() for version in (VERSION, VERSION + 1))
    path.write_bytes(path.read_bytes().replace(mark, other))
    assert read_checkpoint(path) is None
    assert "of another version" in str(checkpoint_problem(path))


def test_a_pipe_in_the_place_of_a_checkpoint_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CHECKPOINT)
    assert checkpoint_problem(tmp_path / CHECKPOINT) == "no regular file"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_checkpoint_with_one_flipped_bit_is_damaged(tmp_path: Path, at: float, bit: int) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, {"weights": torch.arange(50.0)})
    assert checkpoint_problem(path) is None
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1 << bit
    path.write_bytes(content)
    assert str(checkpoint_problem(path)).startswith("damaged")
    assert read_checkpoint(path) is None


def test_the_checkpoint_of_another_run_is_not_believed(tmp_path: Path) -> None:
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    write_checkpoint(tmp_path / "mine" / CHECKPOINT, {"steps": 3})
    shutil.copy(tmp_path / "mine" / CHECKPOINT, tmp_path / "other")
    assert "of another run" in str(checkpoint_problem(tmp_path / "other" / CHECKPOINT))
    assert read_checkpoint(tmp_path / "other" / CHECKPOINT) is None
    assert read_checkpoint(tmp_path / "mine" / CHECKPOINT) == {"steps": 3}


@pytest.mark.parametrize("keep", [0, 40, 0.5, -1])
def test_a_checkpoint_that_was_cut_is_damaged(tmp_path: Path, keep: float) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, {"weights": torch.arange(50.0)})
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    assert str(checkpoint_problem(path)).startswith("damaged")
    assert read_checkpoint(path) is None


def clock(**settings: object) -> Clock:
    return Clock(ExecutionConfig.model_validate(settings), last_time=100.0)


def test_a_checkpoint_is_due_by_steps_and_by_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    by_steps = clock(checkpoint_seconds="none", checkpoint_steps=5)
    by_time = clock(checkpoint_seconds=60)
    never = clock(checkpoint_seconds="none")
    assert [step for step in range(1, 6) if by_steps.due(step)] == [5]
    by_steps.saved(7)
    assert [step for step in range(8, 13) if by_steps.due(step)] == [12]
    assert not by_time.due(10**6)
    now = 160.0
    assert by_time.due(1)
    assert not never.due(10**6)


# --- the command line ----------------------------------------------------------------------------

RUN = ["--models", "trm-mlp[hidden=16,multiple=16,cycles=1,updates=1]", "--task", "tiny", "--seeds", "0"]
LONG = [*RUN, "--set", "steps=200", "--set", "checkpoint_steps=20", "--set", "checkpoint_seconds=none"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "trm_bench", *map(str, arguments)]


def only_run(folder: Path) -> RunFolder:
    (run,) = Output(folder).runs()
    return run


def killed_in_training(folder: Path, number: signal.Signals) -> int:
    """Start the long run, stop it after its first checkpoint, and give the step of its last one."""
    process = subprocess.Popen(
        command("run", *LONG, "--output", folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob(f"*/{CHECKPOINT}")):
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if number is signal.SIGKILL:
        os.killpg(process.pid, signal.SIGKILL)  # the run's process too, as in a power cut
    else:
        process.send_signal(number)
    process.wait(60)
    saved = read_checkpoint(only_run(folder).checkpoint)
    assert saved is not None
    return int(saved["trainer"]["steps"])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("whole") / "out"
    assert here("run", *LONG, "--output", folder).code == 0
    return only_run(folder)


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The long run, killed with all of its processes."""
    folder = tmp_path_factory.mktemp("killed") / "out"
    killed_in_training(folder, signal.SIGKILL)
    return folder


@pytest.fixture
def killed(lost: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage and finish."""
    return shutil.copytree(lost, tmp_path / "out")


def check_same(run: RunFolder, whole: RunFolder) -> None:
    ours, theirs = run.manifest(), whole.manifest()
    assert ours.weights_sha256 == theirs.weights_sha256
    assert ours.samples_sha256 == theirs.samples_sha256
    assert ours.validation == theirs.validation
    assert (run.folder / "metrics.jsonl").read_text() == (whole.folder / "metrics.jsonl").read_text()
    costs = ("optimiser_steps", "draws", "distinct_augmentations", "training_flops")
    assert [getattr(ours.ledger, name) for name in costs] == [getattr(theirs.ledger, name) for name in costs]
    assert not run.checkpoint.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "how"), [(signal.SIGKILL, "run"), (signal.SIGINT, "resume")])
def test_weights_samples_and_metrics_are_those_of_an_uninterrupted_run(
    tmp_path: Path, run_cli: RunCli, uninterrupted: RunFolder, number: signal.Signals, how: str
) -> None:
    """Those of the whole run come from this process, those of the others from one of their own."""
    folder = tmp_path / "out"
    step = killed_in_training(folder, number)
    assert 0 < step < 200
    again = run_cli("run", *LONG, "--output", folder) if how == "run" else run_cli("resume", folder)
    assert again.code == 0, again.err
    assert "1 of 1 runs resume from a checkpoint" in again.err
    run = only_run(folder)
    check_same(run, uninterrupted)
    assert run.manifest().resumed == [step]
    assert uninterrupted.manifest().resumed == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["a flipped bit", "cut short"])
def test_a_damaged_checkpoint_is_named_and_the_run_starts_from_scratch(
    killed: Path, uninterrupted: RunFolder, damage: str
) -> None:
    path = only_run(killed).checkpoint
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content if damage == "a flipped bit" else content[:-1])
    again = here("resume", killed)
    assert again.code == 0, again.err
    assert f"{path}: damaged" in again.err
    assert "the run starts from scratch" in again.err
    assert "from a checkpoint" not in again.err
    check_same(only_run(killed), uninterrupted)
    assert only_run(killed).manifest().resumed == []


@pytest.mark.slow
def test_a_log_that_was_damaged_is_that_of_the_checkpoint_again(
    killed: Path, uninterrupted: RunFolder
) -> None:
    log = only_run(killed).folder / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[10:-10])
    assert here("resume", killed).code == 0
    check_same(only_run(killed), uninterrupted)


@pytest.mark.slow
def test_force_starts_from_scratch_and_finished_runs_have_no_checkpoint(killed: Path) -> None:
    again = here("run", *LONG, "--output", killed, "--force")
    assert again.code == 0, again.err
    assert only_run(killed).manifest().resumed == []
    assert not list(killed.glob(f"*/{CHECKPOINT}"))


@pytest.mark.slow
def test_training_resumed_by_other_code_is_not_citable(killed: Path) -> None:
    path = only_run(killed).checkpoint
    saved = read_checkpoint(path)
    assert saved is not None
    # Begun by this code, trained on by another, finished by this one.
    write_checkpoint(path, {**saved, "codes": [*saved["codes"], "other code"]})
    assert here("run", *LONG, "--output", killed).code == 0
    manifest = only_run(killed).manifest()
    assert not manifest.citable
    assert "training was resumed by another state of the code or another torch" in (
        manifest.not_citable_because
    )


def test_the_interval_is_no_part_of_the_grid(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert here("run", *RUN, "--output", folder).code == 0
    again = here("run", *RUN, "--set", "checkpoint_steps=3", "--output", folder)
    assert again.code == 0, again.err
    assert "1 of 1 runs are finished and reused" in again.err
    assert "checkpoint_steps" not in json.loads((folder / GRID).read_text())["settings"]


@pytest.mark.parametrize(
    "setting",
    ["checkpoint_seconds=0", "checkpoint_seconds=soon", "checkpoint_steps=0", "checkpoint_steps=1.5"],
)
def test_a_wrong_interval_is_refused_before_anything_is_run(
    tmp_path: Path, run_cli: RunCli, setting: str
) -> None:
    ended = run_cli("run", *RUN, "--set", setting, "--output", tmp_path / "out")
    assert ended.code == 2
    assert setting in ended.err
    assert list(tmp_path.iterdir()) == []


def test_resume_of_a_folder_without_a_run_says_so(tmp_path: Path, run_cli: RunCli) -> None:
    ended = run_cli("resume", tmp_path)
    assert ended.code == 3
    assert "no run into it is known" in ended.err
    ended = run_cli("resume", tmp_path / "gone")
    assert ended.code == 4
    assert f"{tmp_path / 'gone'}: no such folder" in ended.err


def test_resume_of_a_finished_run_prints_its_table(tmp_path: Path) -> None:
    first = here("run", *RUN, "--output", tmp_path / "out")
    again = here("resume", tmp_path / "out")
    assert (again.code, again.out) == (0, first.out)


def test_two_runs_cannot_write_to_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert here("run", *RUN, "--output", folder).code == 0
    with locked(folder, print):
        ended = here("run", *RUN, "--output", folder)
    assert ended.code == 2
    assert "another process is writing to" in ended.err
    assert here("run", *RUN, "--output", folder).code == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGXCPU"])
def test_a_signal_to_the_runs_own_process_stops_it_between_two_steps(name: str) -> None:
    with checkpoint.stoppable() as stop:
        assert not stop()
        signal.raise_signal(signal.Signals[name])
        assert stop()
    assert signal.getsignal(signal.Signals[name]) is signal.SIG_DFL


def test_a_quiet_watcher_saves_nothing_and_never_stops() -> None:
    assert trainer("transformer", steps(3)).run(quiet()).steps == 3


@pytest.mark.slow
def test_the_largest_memory_of_a_run_is_that_of_all_its_processes(killed: Path) -> None:
    run = only_run(killed)
    saved = read_checkpoint(run.checkpoint)
    assert saved is not None
    assert saved["peak_memory"] > 10_000_000
    write_checkpoint(run.checkpoint, {**saved, "peak_memory": 2**50})
    assert here("resume", killed).code == 0
    assert run.manifest().ledger.peak_memory_bytes == 2**50

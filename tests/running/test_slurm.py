"""Runs as jobs of a real Slurm: whatever happens to a job there, its run goes on from where it was."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.processes import started, wait_for
from support.queued import GRID, SLOW, STEPS, Pace, manifests, samples, wait_saved
from support.slurm import Slurm
from trm_bench.harness.store.submitted import JOBS, read_submitted
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench

pytest.importorskip("submitit", reason="needs submitit: pip install 'trm-bench[cluster]'")
pytestmark = pytest.mark.slow

SHORT = "time: 1\nwarn_seconds: 1\n"
"""Slurm looks at limits every half minute and warns half a minute early: 29 to 59 seconds after the start."""


@dataclass(frozen=True)
class Outlasting:
    """A command that repeats a run, which is longer than its job may be for as long as it is slow."""

    folder: Path
    command: subprocess.Popen[str]
    pace: Pace


@pytest.fixture(scope="module", autouse=True)
def outlasting(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outlasting]:
    """Started first: it has the time of the other tests."""
    place = tmp_path_factory.mktemp("outlasting")
    pace = Pace(place / "slow")
    trm_bench.run("mirror", "tiny", seeds=0, steps=3 * STEPS, checkpoint_steps=20, output=place / "out")
    pace.file.touch()
    (place / "short.yaml").write_text(SHORT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SLOW, str(pace.file))
        line = (*" ".join(GRID).replace("steps=1000", "steps=3000").split(), "--seeds", "0")
        command = started("run", *line, "--on", place / "short.yaml", "--output", place / "out", "--force")
        wait_for(lambda: read_submitted(place / "out"))
    yield Outlasting(place / "out", command, pace)
    slurm.cancel_all()
    command.kill()
    command.communicate()


def job_of(folder: Path, seed: int) -> str:
    """Its id in Slurm."""
    return next(one.job.split()[1] for one in trm_bench.status(folder) if one.seed == seed)


def restarts(job: str) -> int:
    """How often Slurm has started a job again."""
    shown = subprocess.run(
        ["scontrol", "show", "job", job], capture_output=True, text=True, check=True
    ).stdout
    return int(shown.partition("Restarts=")[2].split()[0])


def test_two_grids_at_once_and_a_job_that_is_queued_again(
    slurm: Slurm, pace: Pace, reference: dict[str, bytes], tmp_path: Path
) -> None:
    commands = [
        started("run", *GRID, "--seeds", seeds, "--on", "slurm", "--output", tmp_path / seeds)
        for seeds in ("0", "1")
    ]
    wait_for(lambda: all(read_submitted(tmp_path / seeds) for seeds in ("0", "1")))
    wait_for(lambda: any(list(tmp_path.glob("[01]/*/checkpoint.pt"))))
    (saved, *_) = tmp_path.glob("[01]/*/checkpoint.pt")
    folder = saved.parent.parent
    job = job_of(folder, int(folder.name))
    subprocess.run(["scontrol", "requeue", job], check=True)
    wait_for(lambda: trm_bench.status(folder)[0].state == "queued")
    assert trm_bench.status(folder)[0].job == f"slurm {job}"
    pace.fast()
    for command in commands:
        out, err = command.communicate(timeout=90)
        assert command.returncode == 0, err
        assert "1 job submitted to slurm" in err
        assert "mirror" in out
    assert samples(tmp_path / "0") | samples(tmp_path / "1") == reference
    assert restarts(job) == 1
    for one in (*manifests(tmp_path / "0"), *manifests(tmp_path / "1")):
        place = tmp_path / str(one.identity.seed)
        assert one.environment["host"] == platform.node()
        assert one.environment["job"] == job_of(place, one.identity.seed)
        assert bool(one.resumed) == (place == folder)


def test_a_job_that_is_cancelled_from_outside_costs_its_own_run(
    slurm: Slurm,
    pace: Pace,
    attentive: None,
    reference: dict[str, bytes],
    tmp_path: Path,
    run_cli: RunCli,
) -> None:
    folder = tmp_path / "out"
    line = ("run", *GRID, "--seeds", "0,1", "--on", "slurm", "--output", folder)
    command = started(*line)
    wait_saved(folder, 0)
    subprocess.run(["scancel", job_of(folder, 0)], check=True)
    pace.fast()
    _, err = command.communicate(timeout=90)
    assert command.returncode == 1, err
    assert "interrupted" in err
    stopped, done = trm_bench.status(folder)
    assert (stopped.state, done.state) == ("interrupted", "done")
    assert stopped.why == "CANCELLED"
    assert "CANCELLED AT" in stopped.log
    again = run_cli(*line)
    assert again.code == 0, again.err
    assert "1 of 2 runs resume from a checkpoint" in again.err
    assert "1 job submitted to slurm" in again.err
    assert samples(folder) == reference
    assert [bool(one.resumed) for one in manifests(folder)] == [True, False]


def test_what_slurm_refuses_is_said_and_a_run_that_fails_there_has_its_error(
    slurm: Slurm, attentive: None, tmp_path: Path, run_cli: RunCli
) -> None:
    folder, site = tmp_path / "out", tmp_path / "site.yaml"
    models = "mirror[explode=true],copy"
    line = ("run", "--models", models, "--task", "tiny", "--seeds", "0", "--on", site, "--output", folder)
    site.write_text("partition: nope\n")
    refused = run_cli(*line)
    assert refused.code == 4
    assert "--on slurm: sbatch refused (sbatch: error: invalid partition specified: nope; " in refused.err
    assert "nothing was submitted" in refused.err
    assert read_submitted(folder) == {}
    assert {one.state for one in trm_bench.status(folder)} == {"not started"}
    site.write_text("partition: all\ntime: 0:10\n")
    ended = run_cli(*line)
    assert ended.code == 1
    exploded, copy = trm_bench.status(folder)
    assert (exploded.state, copy.state) == ("failed", "done")
    assert "nan" in exploded.why
    assert f"{exploded.run}: failed" in exploded.log


def test_puzzles_that_the_node_does_not_see_are_missed_in_words(
    slurm: Slurm,
    attentive: None,
    tmp_path: Path,
    run_cli: RunCli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, site = tmp_path / "cache", tmp_path / "site.yaml"
    monkeypatch.setenv("TRM_BENCH_CACHE", str(cache))
    site.write_text(f"setup: [mv {cache} {tmp_path / 'away'}]\n")
    line = ("--models", "copy", "--task", "tiny", "--seeds", "0", "--on", site, "--output", tmp_path / "out")
    ended = run_cli("run", *line)
    assert ended.code == 1
    (run,) = trm_bench.status(tmp_path / "out")
    assert run.state == "failed"
    assert run.why.startswith(f"{platform.node()} does not see the puzzles in {cache}/")
    assert run.why.endswith(
        "set TRM_BENCH_CACHE to a folder that all machines see, and run the same command again"
    )


def test_a_run_that_is_longer_than_its_job_may_be_goes_on_in_the_next(outlasting: Outlasting) -> None:
    def log() -> str:
        return "".join(path.read_text() for path in (outlasting.folder / JOBS).glob("*_log.out"))

    wait_for(lambda: "Requeued job" in log())
    assert "Job completed successfully" not in log()  # it was not taken for one that has ended
    outlasting.pace.fast()
    _, err = outlasting.command.communicate(timeout=90)
    assert outlasting.command.returncode == 0, err
    (run,) = manifests(outlasting.folder)
    assert run.resumed
    assert run.environment["job"] == job_of(outlasting.folder, 0)
    assert restarts(job_of(outlasting.folder, 0)) == len(re.findall("Requeued job", log()))


def test_the_repeated_runs_of_a_killed_node_are_carried_out_when_it_is_back(
    slurm: Slurm, pace: Pace, reference: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    pace.fast()
    trm_bench.run("mirror", "tiny", seeds=0, steps=STEPS, checkpoint_steps=20, output=folder)
    pace.file.touch()
    command = started("run", *GRID, "--seeds", "0", "--on", "slurm", "--output", folder, "--force")
    wait_saved(folder, 0)
    slurm.kill_node()
    try:
        wait_for(lambda: trm_bench.status(folder)[0].state == "queued")
    finally:
        slurm.start_node()
    pace.fast()
    _, err = command.communicate(timeout=90)
    assert command.returncode == 0, err
    ((name, made),) = samples(folder).items()
    assert made == reference[name]
    assert manifests(folder)[0].resumed
    assert restarts(job_of(folder, 0)) == 1

"""The Slurm of the tests: it runs what submitit submits."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import wait_for
from support.slurm import Slurm

submitit = pytest.importorskip("submitit", reason="needs submitit: pip install 'trm-bench[cluster]'")
pytestmark = pytest.mark.slow


@pytest.fixture
def empty_slurm(slurm: Slurm) -> Iterator[Slurm]:
    yield slurm
    slurm.cancel_all()


def state_of(slurm: Slurm, job: str) -> str:
    (element,) = slurm.squeue(job)
    return element.state


def test_submitit_runs_a_job_in_slurm(empty_slurm: Slurm, tmp_path: Path) -> None:
    executor = submitit.SlurmExecutor(tmp_path)
    executor.update_parameters(time=5, cpus_per_task=1)
    with executor.batch():
        jobs = [executor.submit(math.factorial, number) for number in (5, 6)]
        where = executor.submit(os.getenv, "SLURM_CONF")
    wait_for(lambda: all(job.done() for job in (*jobs, where)))  # result() would wait for ever for a lost job
    assert [job.result() for job in jobs] == [120, 720]
    assert where.result() == str(empty_slurm.conf)
    wait_for(lambda: state_of(empty_slurm, jobs[1].job_id) == "COMPLETED")

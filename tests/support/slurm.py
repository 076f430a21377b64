"""A real Slurm of one node on this machine, started for the tests that need it (``tests/slurm/one-node``)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from .paths import ROOT

SCRIPT = ROOT / "tests" / "slurm" / "one-node"
ALLOWED = "TRM_BENCH_SLURM"
"""Set to 1 (as CI is by most services), it lets the tests install Debian's packages of Slurm."""


class Element(NamedTuple):
    """A job, or an element of an array, as ``squeue`` prints it: ``12_3``, ``PENDING``, ``Resources``."""

    job: str
    state: str
    reason: str


@dataclass(frozen=True)
class Slurm:
    """A controller and a node with two CPUs, whose files are in ``folder``."""

    folder: Path

    @property
    def conf(self) -> Path:
        """The value of SLURM_CONF."""
        return self.folder / "slurm.conf"

    def kill_node(self) -> None:
        """Kill the node and its jobs: at once, the controller queues them again (or ends them: NODE_FAIL)."""
        one_node("kill", self.folder)

    def start_node(self) -> None:
        """Start the node that was killed; it takes jobs when this returns."""
        one_node("node", self.folder)

    def squeue(self, *jobs: str) -> list[Element]:
        """The jobs of these ids, or all: queued, running, and those that ended in the last five minutes."""
        named = ["--jobs", ",".join(jobs)] if jobs else []
        form = "--format=%i|%T|%r"
        lines = _command("squeue", "--states=all", "--array", "--noheader", form, *named).splitlines()
        return [Element(*line.split("|")) for line in lines]

    def cancel_all(self) -> None:
        """Cancel whatever a test left in the queue."""
        _command("scancel", "--user", str(os.getuid()))


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """Slurm, with SLURM_CONF set; the test is skipped, visibly, where there can be none.

    Each process of pytest-xdist starts its own, in about a second: they do not disturb each other.
    """
    _require_installed()
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # a socket's path must be short
    with pytest.MonkeyPatch.context() as patch:
        try:
            one_node("start", folder)
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            yield Slurm(folder)
        finally:
            one_node("stop", folder)


def one_node(verb: str, *folder: Path) -> None:
    """Call the script; a failure fails the test with what it printed."""
    _command("bash", str(SCRIPT), verb, *map(str, folder))


def _require_installed() -> None:
    """Install Slurm where that is allowed and possible."""
    if os.getuid() != 0:
        pytest.skip("the tests of Slurm start its daemons as root; try: sudo make test")
    if _installed():
        return
    if not Path("/etc/debian_version").exists():
        pytest.skip("no sbatch, and only Debian's and Ubuntu's packages of Slurm are installed by the tests")
    if not (os.environ.get("CI") or os.environ.get(ALLOWED) == "1"):
        pytest.skip(f"no sbatch; type: tests/slurm/one-node install (or set {ALLOWED}=1)")
    with FileLock(Path(tempfile.gettempdir()) / "trm-bench-slurm-install.lock"):
        if not _installed():
            one_node("install")


def _installed() -> bool:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return all(shutil.which(name, path=path) for name in ("sbatch", "slurmctld", "slurmd", "munged"))


def _command(*arguments: str) -> str:
    """What a command prints; SLURM_CONF comes from the environment."""
    # A file, not a pipe: the daemons that are started inherit it, and the end of a pipe would never come.
    with tempfile.TemporaryFile("w+") as printed:
        ended = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT)
        printed.seek(0)
        text = printed.read()
    assert ended.returncode == 0, f"{arguments}: {text}"
    return text

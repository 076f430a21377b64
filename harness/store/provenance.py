"""Provenance: versions, the state of the source tree, the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2]
_FACE = "trm_bench"
_ROOMS = ("harness", "plugins", "trm", "hrm_baseline")
_LIBRARIES = ("torch", "numpy", "scipy", "pandas", "numba", "pydantic", "pluggy")


@cache
def code_fingerprint(root: Path = PACKAGE) -> str:
    """SHA-256 over every source and recipe file of the package, in hexadecimal.

    Args:
        root: a checkout, or the folder of the installed package: the same sources give the same value.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_sources(root).items()):
        digest.update(name.encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(root: Path) -> dict[str, Path]:
    """Sources and recipes by their names in the package."""
    # In a checkout the public face has a folder of its own; installed, its files lie next to the rooms.
    face = root / _FACE if (root / _FACE).is_dir() else root
    rooms = [path for folder in _ROOMS for path in (root / folder).rglob("*")]
    named = {path.name: path for path in face.glob("*.py")}
    return named | {
        path.relative_to(root).as_posix(): path for path in rooms if path.suffix in (".py", ".yaml")
    }


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(PACKAGE), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def code() -> dict[str, Any]:
    """Version, fingerprint, and the git commit where the package is a checkout of its own.

    ``changed`` lists source files that differ from the commit; None where there is no checkout.
    """
    found: dict[str, Any] = {"trm-bench": version_of("trm-bench"), "fingerprint": code_fingerprint()}
    # A package installed inside another repository must not take that repository's commit.
    if (PACKAGE / ".git").exists():
        found["commit"] = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", _FACE, *_ROOMS)
        found["changed"] = None if changed is None else changed.splitlines()
    return found


def version_of(name: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def environment() -> dict[str, Any]:
    """Interpreter, libraries, operating system, processor."""
    return {
        "python": platform.python_version(),
        "libraries": {name: version_of(name) for name in _LIBRARIES},
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "host": hostname(),
        "job": batch_job(),
    }


def hostname() -> str:
    """Name of this machine."""
    return platform.node()


_BATCH_JOBS = (
    ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"),
    ("SLURM_JOB_ID",),
    ("SUBMITIT_LOCAL_JOB_ID",),
    ("PBS_JOBID",),
    ("LSB_JOBID",),
)
"""Variables of batch systems that name a job."""


def batch_job() -> str | None:
    """The batch system's id of the job that this process belongs to, as its commands take it."""
    for names in _BATCH_JOBS:
        values = [os.environ.get(name, "") for name in names]
        if all(values):
            return "_".join(values)
    return None


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

"""Files written whole or not at all, readable by whom the umask says; what a full disk looks like."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trm_bench.harness.store.disk import disk_problem
from trm_bench.harness.store.folders import WEIGHTS, RunFolder, replacing, write_atomically
from trm_bench.harness.training.checkpoint import write_checkpoint


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_the_umask_decides_who_may_read_a_file(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", b"content")
        write_checkpoint(tmp_path / "checkpoint.pt", {})
        RunFolder(tmp_path).write_weights({"w": torch.ones(2)})  # safetensors makes a file of its own
    finally:
        os.umask(before)
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask, path.name


def test_a_full_disk_is_told_with_the_file_and_the_free_space(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(OSError, match="No space left") as caught, replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as `write` raises it: without a file
    line = str(disk_problem(caught.value))
    assert line.startswith(f"{path}: No space left on device (")
    assert line.endswith("free on that disk)")


@pytest.mark.parametrize("error", [ValueError("x"), FileNotFoundError(2, "No such file", "x"), OSError("x")])
def test_other_errors_are_no_problem_of_a_disk(error: Exception) -> None:
    assert disk_problem(error) is None


def test_the_failure_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="other") as caught, replacing(tmp_path / "file"):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(tmp_path / "other"))
    assert caught.value.filename == str(tmp_path / "other")


SMALL_FILES_ONLY = """
import resource, sys, torch
from pathlib import Path
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.training.checkpoint import write_checkpoint
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
big = {"w": torch.zeros(10**6)}
for write in (lambda: RunFolder(folder).write_weights(big), lambda: write_checkpoint(folder / "c.pt", big)):
    try:
        write()
    except OSError as error:
        print(error.filename, error.strerror)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on the size of files")
def test_what_libraries_say_of_a_file_that_cannot_be_written_becomes_an_os_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL_FILES_ONLY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    names = [tmp_path / WEIGHTS, tmp_path / "c.pt"]
    assert done.stdout.splitlines() == [f"{name} File too large" for name in names]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "chmod"])
@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_that_lacks_a_call_is_written_to_all_the_same(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, lacking)
    write_atomically(tmp_path / "file", b"content")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"content"]

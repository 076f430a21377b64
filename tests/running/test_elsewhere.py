"""Resuming on another machine, from another folder, with moved files, on a full disk."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from support.processes import SMALL, command
from support.stored import command as in_process
from support.sudoku import good
from trm_bench.harness.api.errors import UnavailableError
from trm_bench.harness.planning.request import Request, add_request, read_requests, write_requests
from trm_bench.harness.python.grids import moved
from trm_bench.harness.store.folders import Output
from trm_bench.harness.store.records import Status
from trm_bench.testing.pytest_plugin import RunCli


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("device", ["cuda", "mps", "quantum"])
def test_runs_of_a_device_that_is_not_here_are_refused_before_anything_is_written(
    device: str, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    here = Request(("copy",), "tiny", "mini", (0,))
    write_requests(tmp_path, [here, Request(("copy",), "tiny", "mini", (1,), device=device)])
    before = content(tmp_path)
    ended = run_cli("resume", tmp_path)
    assert ended.code == 4
    assert f"{tmp_path}: its runs are for {device}, which is missing" in ended.err
    assert content(tmp_path) == before


def test_the_place_of_files_is_kept_absolute_and_is_no_other_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = Request(("copy",), "sudoku-extreme", "lite", (0,), data=Path("data"))
    add_request(tmp_path, request)
    assert [one.data for one in read_requests(tmp_path)] == [tmp_path / "data"]
    add_request(tmp_path, Request(**{**vars(request), "data": Path("moved")}))
    assert [one.data for one in read_requests(tmp_path)] == [tmp_path / "moved"]


def test_moved_tables_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    request = Request(("copy",), "sudoku-extreme", "lite", (0,), test=(tmp_path / "old" / "mine.csv",))
    with pytest.raises(UnavailableError, match=r"old/mine\.csv: no such file"):
        moved(tmp_path, request, None)
    assert moved(tmp_path, request, tmp_path).test == (tmp_path / "mine.csv",)
    with pytest.raises(UnavailableError, match=r"other/mine\.csv: no such file"):
        moved(tmp_path, request, tmp_path / "other")


def test_moved_files_are_asked_for_and_found_in_their_new_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good(tmp_path / "data")
    line = ("--models", "copy", "--task", "sudoku-extreme", "--scale", "lite", "--seeds", "0")
    assert in_process("run", *line, "--data", "data", "--output", "out").code == 0
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.chdir("/")
    ended = in_process("resume", tmp_path / "out")
    assert ended.code == 4
    assert f"{tmp_path / 'data'}: no such file or folder" in ended.err
    assert f"trm-bench resume {tmp_path / 'out'} --data DIR" in ended.err
    ended = in_process("resume", tmp_path / "out", "--data", tmp_path / "moved")
    assert ended.code == 0, ended.err
    assert "1 of 1 runs are finished and reused" in ended.err
    assert in_process("resume", tmp_path / "out").code == 0


def test_a_folder_with_the_name_of_another_run_is_not_believed(tmp_path: Path) -> None:
    words = ("--task", "tiny", "--models", "copy", "--seeds", "0-1", "--output", tmp_path)
    assert in_process("run", *words).code == 0
    first, second = sorted(Output(tmp_path).runs(), key=lambda run: run.name)
    shutil.rmtree(first.folder)
    second.folder.rename(first.folder)
    again = in_process("run", *words)
    assert again.code != 0
    assert f"{first.folder}: holds run {second.name}; give the folder that name back" in again.err
    assert [run.name for run in Output(tmp_path).runs()] == [first.name]


def test_a_folder_for_runs_that_read_no_files_is_refused(tmp_path: Path, run_cli: RunCli) -> None:
    write_requests(tmp_path, [Request(("copy",), "tiny", "mini", (0,))])
    ended = run_cli("resume", tmp_path, "--data", tmp_path)
    assert ended.code == 2
    assert "read no files; leave it out" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "saved"), [(60_000, True), (10_000, False)], ids=["checkpoint", "weights"])
def test_a_file_that_cannot_be_written_costs_at_most_its_own_run(
    limit: int, saved: bool, tmp_path: Path
) -> None:
    """Large files are refused, as on a disk that is nearly full."""

    def nearly_full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    line = ("run", "--models", f"{SMALL},copy", "--task", "tiny", "--seeds", "0", "--set", "steps=40")
    line += ("--set", "checkpoint_steps=10", "--output", str(tmp_path / "out"))
    ended = subprocess.run(command(*line), capture_output=True, text=True, preexec_fn=nearly_full)
    assert "Traceback" not in ended.stderr
    lines = [text for text in ended.stderr.splitlines() if "checkpoint.pt: File too large" in text]
    assert len(lines) == 1, ended.stderr
    assert lines[0].endswith(" continues without this file")
    copy, trained = sorted(Output(tmp_path / "out").runs(), key=lambda run: run.name)
    assert copy.is_done()
    assert trained.is_done() == saved
    assert ended.returncode == (0 if saved else 1)
    if not saved:
        manifest = trained.manifest()
        assert manifest.status is Status.FAILED
        assert str(manifest.error).startswith(f"{trained.folder / 'model.safetensors'}: File too large (")
        assert manifest.trace is None
        assert "model.safetensors: File too large" in ended.stdout
    again = in_process("resume", tmp_path / "out")
    assert again.code == 0, again.err
    assert trained.is_done()


def test_a_full_disk_in_the_command_itself_is_one_line(
    tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if Path(target).name == "requests.json":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    ended = run_cli("run", "--models", "copy", "--task", "tiny", "--seeds", "0", "--output", tmp_path / "out")
    assert ended.code == 4
    last = ended.err.strip().splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / 'out' / 'requests.json'}: No space left on device (")
    assert last.endswith("free on that disk); finished runs are kept")
    assert json.loads((tmp_path / "out" / "runs.json").read_text())

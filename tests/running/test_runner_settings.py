"""What `--on` takes: names and files of settings, and whether they have room for a run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from support.queued import submission
from trm_bench.harness.api.errors import UnavailableError, UsageError
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.request import Request, write_requests
from trm_bench.harness.python.status import cancel
from trm_bench.harness.running.queue import read_queue
from trm_bench.harness.store.submitted import add_submitted, read_submitted
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench

# --- what --on takes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "minutes"), [("90", 90), ("12:00", 720), ("1:30:00", 90), ("2-00:00:00", 2880)]
)
def test_a_name_or_a_file_of_settings_names_a_runner(time: str, minutes: int, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(f"partition: gpu\ntime: {time}\ngpus: 1\n")
    found = read_queue(host(), str(file))
    assert (found.spec.name, found.device) == ("slurm", "cuda")
    assert found.settings.model_dump(include={"partition", "time"}) == {"partition": "gpu", "time": minutes}
    file.write_text("runner: local\n")
    assert read_queue(host(), str(file)).spec.name == "local"
    assert read_queue(host(), "local").device is None
    assert read_queue(host(), "slurm").device == "cpu"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("partition: [", "no YAML (while parsing"),
        ("- gpu", "write settings such as `partition: gpu`, one on each line"),
        ("partiton: gpu", "partiton: unknown; did you mean 'partition'? known: account, at_most, constraint"),
        ("gpus: many", "gpus='many': not a whole number"),
        ("time: 1:00\ntime: 12:00", "no YAML ('time' is there twice, again in line 2)"),
        ("time: 2001-99-99", "no YAML (month must be in 1..12)"),
        ("a: " + "[" * 5000, "no YAML (nested too deeply"),
        ("time: 1 day", "time='1 day': write minutes, or hours and minutes as in 12:00"),
        ("time: 0", "time=0: must be above 0"),
        ("runner: local\npartition: gpu", "partition: unknown; known: none"),
        ("runner: locale", "did you mean 'local'? known: local, slurm"),
    ],
)
def test_a_wrong_file_of_settings_is_named_with_what_is_wrong(
    content: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_queue(host(), str(file))
    assert said in str(caught.value)
    assert str(file) in str(caught.value) or "runner" in str(caught.value)


def test_a_runner_or_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"slrm.*did you mean 'slurm'\?"):
        read_queue(host(), "slrm")
    with pytest.raises(UsageError, match=r"gone\.yaml: cannot be read \(No such file or directory\)"):
        read_queue(host(), str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cuda"}, "--device cuda: the settings of --on slurm give the runs cpu; put that right"),
        ({"gpus": 1}, "--gpus 1: slurm chooses them; leave it out"),
    ],
)
def test_the_device_is_that_of_the_settings(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        trm_bench.run("copy", "tiny", on="slurm", output=tmp_path / "out", **options)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_resume_leaves_the_gpus_to_the_runner_too(tmp_path: Path) -> None:
    write_requests(tmp_path, [Request(("copy",), "tiny", "mini", (0,), device="cuda")])
    (tmp_path / "site.yaml").write_text("gpus: 1\n")
    with pytest.raises(UsageError, match="--gpus 0: slurm chooses them; leave it out"):
        trm_bench.resume(tmp_path, on=str(tmp_path / "site.yaml"), gpus="0")


@pytest.mark.parametrize("on", ["slurm", "local"])
def test_a_missing_library_is_named_with_its_extra(
    on: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "submitit" else find(name, *more)
    )
    with pytest.raises(UnavailableError, match=r"need submitit: pip install 'trm-bench\[cluster\]'"):
        trm_bench.run("copy", "tiny", seeds=0, on=on, output=tmp_path)
    assert read_submitted(tmp_path) == {}


@pytest.mark.parametrize("program", ["sbatch", "squeue"])
def test_without_slurm_a_login_node_is_asked_for(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    if program == "squeue":  # of a folder whose jobs were submitted elsewhere
        add_submitted(tmp_path, [submission("copy-s0-4b1c2d3e", runner="slurm")])
        with pytest.raises(UnavailableError, match=r"no squeue here; run the command on a login node"):
            cancel(tmp_path)
        return
    with pytest.raises(UnavailableError, match=r"no sbatch here .*run the command on a login node"):
        trm_bench.run("copy", "tiny", seeds=0, on="slurm", output=tmp_path)


# --- a run of several processes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("partition: cpu", {"cpus": 4, "gpus": 0}),
        ("cpus: 8", {"cpus": 8, "gpus": 0}),
        ("gpus: 4", {"cpus": 4, "gpus": 4}),
        ("{gpus: 4, cpus: 1}", {"cpus": 1, "gpus": 4}),
        (
            "cpus: 1",
            "cpus=1 is too few for setting processes=4, a core each: write cpus: 4 in the file",
        ),
        (
            "{gpus: 1, cpus: 4}",
            "gpus=1 is too few for setting processes=4, a GPU each: write gpus: 4 in the file",
        ),
    ],
)
def test_a_job_has_room_for_all_processes_of_a_run(
    content: str, expected: dict[str, int] | str, tmp_path: Path
) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(content)
    queue = read_queue(host(), str(file))
    assert queue.with_room(1) is queue
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=re.escape(expected)):
            queue.with_room(4)
        return
    assert queue.with_room(4).settings.model_dump(include=set(expected)) == expected


def test_a_file_with_too_few_cores_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("cpus: 1\n")
    with pytest.raises(UsageError, match=r"or --set processes=1"):
        trm_bench.run("copy", "tiny", seeds=0, on=file, processes=4, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_plan_is_not_made_for_a_runner(tmp_path: Path, run_cli: RunCli) -> None:
    line = ("--models", "copy", "--task", "tiny", "--seeds", "0", "--output", tmp_path / "out")
    ended = run_cli("run", *line, "--plan-only", "--on", "slurm")
    assert ended.code == 2
    assert "--plan-only cannot be combined with --on slurm: it submits nothing" in ended.err
    assert not (tmp_path / "out").exists()

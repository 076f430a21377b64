"""The plugins in ``tests/examples``: each is installed, tested and run by its README in a new environment."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from support.environment import Python, fresh_environment
from support.paths import ROOT

EXAMPLES = ROOT / "tests" / "examples"
PROJECTS = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))
MOST_LINES = 109
TINY = ("--set", "steps=12", "--set", "batch_size=4", "--limit", "20", "--seeds", "0", "--device", "cpu")


def entry_points(project: Path) -> dict[str, str]:
    """The modules that a project names, by the names of its entry points."""
    content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    points: dict[str, str] = content["project"]["entry-points"]["trm_bench"]
    return points


def sources(project: Path) -> list[Path]:
    """Every Python file of a project but its tests."""
    return [path for path in project.rglob("*.py") if path.name != "tests.py"]


def commands(project: Path) -> list[list[str]]:
    """The `trm-bench` commands of a README, without the first word."""
    readme = (project / "README.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^trm-bench (.*)$", readme, flags=re.MULTILINE)]


@pytest.fixture(scope="module", params=PROJECTS, ids=lambda project: project.name)
def project(request: pytest.FixtureRequest) -> Path:
    """One of the examples."""
    folder: Path = request.param
    return folder


@pytest.fixture(scope="module")
def python(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Python:
    """An environment in which this one example is installed."""
    made = fresh_environment(tmp_path_factory.mktemp(project.name) / "environment")
    made.install(project)
    work(made).mkdir()
    return made


def work(python: Python) -> Path:
    """The folder that commands are typed in."""
    return python.folder / "work"


def trm_bench(python: Python, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``trm-bench ARGUMENTS`` in that folder; the caller checks how it ends."""
    return python.run("-m", "trm_bench", *arguments, folder=work(python), check=False)


def test_there_is_a_model_a_task_and_a_tracker() -> None:
    assert [path.name for path in PROJECTS] == [
        "trm-bench-deep-thinking",
        "trm-bench-life",
        "trm-bench-tensorboard",
    ]


def test_it_is_one_short_module(project: Path) -> None:
    (source,) = sources(project)
    (module,) = entry_points(project).values()
    assert source in (project / f"{module}.py", project / module / "__init__.py")
    assert len(source.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.slow
def test_nothing_is_wrong_with_it(project: Path, python: Python) -> None:
    done = trm_bench(python, "plugins", "--check")
    assert done.returncode == 0, done.stdout
    (name,) = entry_points(project)
    assert f"{project.name}:{name} " in done.stdout
    assert "problem" not in done.stdout


@pytest.mark.slow
def test_its_own_tests_pass(project: Path, python: Python) -> None:
    folder = work(python) / project.name
    folder.mkdir()
    for name in ("pyproject.toml", "tests.py"):  # and no source: what is tested is what was installed
        shutil.copy(project / name, folder)
    python.run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=folder)


@pytest.mark.slow
def test_its_command_prints_a_table(project: Path, python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRM_BENCH_TENSORBOARD", raising=False)
    (command,) = commands(project)
    done = trm_bench(python, *command, *TINY)
    assert done.returncode == 0, done.stderr
    assert "plugin left out" not in done.stderr
    task, models = (command[command.index(option) + 1] for option in ("--task", "--models"))
    assert re.search(rf"^{task} · mini · .* 20 test$", done.stdout, flags=re.MULTILINE)
    for model in models.split(","):
        assert re.search(rf"^{model}\b.* \d+\.\d ", done.stdout, flags=re.MULTILINE | re.IGNORECASE)
    CHECKS[project.name](python, done.stdout)


def model_has_learnt_from_its_recipe(python: Python, table: str) -> None:
    (manifest,) = work(python).glob("results/maze-hard-mini/deep-thinking-s0-*/manifest.json")
    assert '"channels": 32' in manifest.read_text(encoding="utf-8")


def rules_are_what_is_compared(python: Python, table: str) -> None:
    (header,) = re.findall(r"^model +valid %.*$", table, flags=re.MULTILINE)
    assert re.search(r"solved % +cell acc\. %", header)
    refused = trm_bench(python, "prepare", "--task", "life-back", "--set", "density=2")
    assert refused.returncode == 2
    assert "--set density=2: write a share of living cells between 0 and 1" in refused.stderr


def events_can_be_read(python: Python, table: str) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    (folder,) = work(python).glob("runs/maze-hard-mini/transformer-s0-*")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"loss", "validation_exact", "test/exact"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 13))
    assert [event.step for event in events.Scalars("test/exact")] == [12]


CHECKS = {
    "trm-bench-deep-thinking": model_has_learnt_from_its_recipe,
    "trm-bench-life": rules_are_what_is_compared,
    "trm-bench-tensorboard": events_can_be_read,
}

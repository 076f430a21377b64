"""Plugins that are a file (``--plugin FILE``), and the version of the interface that specs are made for."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.distributions import HOOKIMPL, everything, model_plugin
from support.stored import in_this_process, manifests, runs
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.specs import API_VERSION, BuildRequest
from trm_bench.harness.data.prepare import prepare
from trm_bench.harness.host.host import Host, host
from trm_bench.harness.host.plugin_files import VARIABLE, plugin_files, take_plugin_options
from trm_bench.harness.planning.grid import Grid
from trm_bench.harness.planning.identity import planned_run
from trm_bench.harness.planning.planner import plan
from trm_bench.harness.planning.request import Request
from trm_bench.harness.store.records import PartIdentity, Status
from trm_bench.testing.pytest_plugin import RunCli

SOURCE = """
import numpy as np
from pydantic import BaseModel
from trm_bench import EvaluatorSpec, ModelSpec, NoAugmentation, PuzzleSet, Sample, Scale, Source, TaskData
from trm_bench import TaskInfo, TaskSpec, hookimpl

FIRST_TOKEN = 1


class Config(BaseModel):
    width: int = 4


def build_model(config, task):
    import torch
    from trm_bench import Output, Reasoner

    class Model(Reasoner):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(task.vocab_size, config.width)
            self.answer = torch.nn.Linear(config.width, task.vocab_size)

        def forward(self, state, inputs, puzzle_ids):
            return state, Output(self.answer(self.embed(inputs)))

    return Model()


def build_task(request):
    tokens = np.random.default_rng(request.seed).integers(FIRST_TOKEN, 6, (60, 6)).astype(np.uint8)
    tokens = np.unique(tokens, axis=0)[:50]
    puzzles = PuzzleSet.single_identity(tokens, tokens[:, ::-1].copy(), [f"row-{row}" for row in range(50)])
    info = TaskInfo("own-task", request.scale, height=1, width=6, vocab_size=6)
    parts = (puzzles.take(slice(0, 30)), puzzles.take(slice(30, 40)), puzzles.take(slice(40, 50)))
    return TaskData(info, *parts, Source("generated", f"rows from token {FIRST_TOKEN}"))


def evaluate(task, puzzles, predictions):
    right = (predictions.tokens == puzzles.targets).all(1)
    found = zip(puzzles.ids, puzzles.clusters, right)
    return [Sample(str(item), str(cluster), float(score)) for item, cluster, score in found]


@hookimpl
def trm_bench_register_tasks():
    scale = Scale("mini", "rows", steps=2, batch_size=8, augmentations=1)
    return [
        TaskSpec(
            "own-task", "a row", 1, {"mini": scale}, build_task, lambda request: NoAugmentation(),
            evaluators=("exact", "own-score"), primary="exact",
        )
    ]


@hookimpl
def trm_bench_register_models():
    return [ModelSpec("own-model", "a map", config=Config, build=build_model)]


@hookimpl
def trm_bench_register_evaluators():
    return [EvaluatorSpec("own-score", "every cell", evaluate=evaluate)]
"""
RUN = ("run", "--task", "own-task", "--models", "own-model", "--seeds", "0", "--jobs", "1")
OWN_PARTS = {"own-task": "task", "own-model": "model", "own-score": "evaluator"}


@pytest.fixture(autouse=True)
def fresh_host() -> Iterator[None]:
    """As in a process of one command; its environment too."""
    before = os.environ.get(VARIABLE)
    host.cache_clear()
    yield
    host.cache_clear()
    assert os.environ.get(VARIABLE) == before


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "mine.py")


def written(path: Path, source: str = SOURCE) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return path


def version_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def hosted(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> Host:
    """The host of a process whose environment names these files."""
    monkeypatch.setenv(VARIABLE, os.pathsep.join(map(str, paths)))
    host.cache_clear()
    return host()


def planned(plugins: Host, task: str = "own-task", *models: str) -> Grid:
    request = Request(models=models or ("own-model",), task=task, scale="mini", seeds=(0,))
    return plan(plugins, request)


def names(grid: Grid) -> list[str]:
    return [run.name for run in grid.runs]


# --- where the option stands -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "rest", "files"),
    [
        (["list"], ["list"], []),
        (["--plugin", "a.py", "list"], ["list"], ["a.py"]),
        (["list", "--plugin", "a.py", "--json"], ["list", "--json"], ["a.py"]),
        (["list", "--plugin=a.py"], ["list"], ["a.py"]),
        (["--plugin=a=b.py", "list"], ["list"], ["a=b.py"]),
        (["--plugin", "a.py", "list", "--plugin=b.py"], ["list"], ["a.py", "b.py"]),
        (["--plugin", "--plugin", "list"], ["list"], ["--plugin"]),
        (["plugins", "--plugins", "a.py"], ["plugins", "--plugins", "a.py"], []),
        (["show", "--", "--plugin", "a.py"], ["show", "--", "--plugin", "a.py"], []),
    ],
)
def test_the_option_may_stand_anywhere(words: list[str], rest: list[str], files: list[str]) -> None:
    assert take_plugin_options(words) == (rest, files)


@pytest.mark.parametrize(
    "words",
    [
        ["--plugin", "{file}", "list"],
        ["list", "--plugin", "{file}"],
        ["list", "--plugin={file}"],
        ["--plugin", "{file}", "list", "--plugin={file}"],
        ["--plugin", "mine.py", "list", "--plugin", "./mine.py"],
    ],
)
def test_a_file_is_a_plugin_of_one_call(
    words: list[str], file: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    ended = run_cli(*(word.format(file=file) for word in words))
    assert (ended.code, ended.err) == (0, "")
    for name in ("own-task", "own-model", "own-score", "sudoku-extreme"):
        assert len(re.findall(rf"^  {name} ", ended.out, flags=re.MULTILINE)) == 1
    assert "own-model" not in run_cli("list").out


def test_several_files_are_several_plugins(file: Path, tmp_path: Path, run_cli: RunCli) -> None:
    other = written(tmp_path / "an other-one.py", model_plugin("further-model"))
    ended = run_cli("--plugin", file, "--plugin", other, "plugins")
    assert f"mine.py:mine {version_of(file)}: register_evaluators" in ended.out
    assert f"an other-one.py:an other-one {version_of(other)}: register_models" in ended.out


def test_a_file_is_added_to_what_is_installed_and_no_plugins_leaves_it_in(
    file: Path, run_cli: RunCli
) -> None:
    beside = run_cli("--plugin", file, "list").out
    host.cache_clear()
    alone = run_cli("--no-plugins", "list", "--plugin", file)
    assert alone.code == 0
    for name in ("own-model", "own-task", "own-score", "trm-mlp"):
        assert f"  {name} " in alone.out
    assert "  mirror " in beside
    assert "  mirror " not in alone.out


def test_plugins_says_where_a_file_lies(file: Path, run_cli: RunCli) -> None:
    content = json.loads(run_cli("plugins", "--json", "--plugin", file).out)
    (found,) = (plugin for plugin in content["plugins"] if plugin["distribution"] == "mine.py")
    assert (found["file"], found["version"], found["error"]) == (str(file), version_of(file), None)
    assert {plugin["file"] for plugin in content["plugins"] if plugin is not found} == {None}


# --- files that do not work ------------------------------------------------------------------------

BAD = {
    "syntax error": ("x = 1\ndef (:\n", r"bad\.py: SyntaxError: .*\(bad\.py, line 2\)"),
    "no hook": ("x = 1\n", r"bad\.py: .*implements no trm_bench_ hook; is @hookimpl missing\?"),
    "raises": ("import no_such_library\n", r"bad\.py: ModuleNotFoundError: .*no_such_library"),
    "exits": ("raise SystemExit('out of here')\n", r"bad\.py: SystemExit: out of here"),
    "wrong type": (
        HOOKIMPL + "@hookimpl\ndef trm_bench_register_models(): return ['half']",
        r"bad\.py: .*trm_bench_register_models must give ModelSpec, not str",
    ),
    "interface": (
        model_plugin("half").replace("build=build)", "build=build, api_version='2.0')"),
        rf"bad\.py: .*'half' is made for version 2\.0 .*this trm-bench has {re.escape(API_VERSION)}",
    ),
}


@pytest.mark.parametrize(("source", "words"), BAD.values(), ids=BAD.keys())
def test_a_file_that_does_not_work_ends_the_command_and_is_named(
    source: str, words: str, tmp_path: Path, run_cli: RunCli
) -> None:
    path = written(tmp_path / "bad.py", source)
    ended = run_cli("list", "--plugin", path)
    assert (ended.code, ended.out) == (2, "")
    assert re.match(rf"error: --plugin .*{words}", ended.err)
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plugin", "nowhere.py", "list"], r"--plugin nowhere\.py: no such file"),
        (["list", "--plugin", "."], r"--plugin \.: "),
        (["list", "--plugin", ""], r"--plugin : "),
        (["list", "--plugin"], r"--plugin needs the path of a Python file"),
        (["list", "--plugin", "mine.txt"], r"mine\.txt is not a Python file"),
    ],
)
def test_what_is_no_file_of_python_is_refused(
    words: list[str], message: str, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "mine.txt")
    ended = run_cli(*words)
    assert (ended.code, ended.out) == (2, "")
    assert re.search(message, ended.err)
    assert len(ended.err.splitlines()) == 1


def test_a_file_that_went_away_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(file))
    file.unlink()
    with pytest.raises(UsageError, match=r"mine\.py: No such file"):
        host()


# --- what a file is in a result --------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A run in a process of its own: the file, the folder, and what was printed."""
    import subprocess

    folder = tmp_path_factory.mktemp("finished")
    path = written(folder / "mine.py")
    command = [sys.executable, "-m", "trm_bench", *RUN, "--plugin", "mine.py", "--output", "out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path, folder / "out", done.stdout


Finished = tuple[Path, Path, str]


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own_has_the_parts_of_the_file_and_names_it(finished: Finished) -> None:
    path, folder, _ = finished
    (manifest,) = manifests(folder)
    assert manifest.citable is False
    for name in OWN_PARTS:
        (reason,) = (one for one in manifest.not_citable_because if f"mine.py:{name}" in one)
        assert "the file mine.py" in reason
    assert not any("exact" in reason for reason in manifest.not_citable_because)
    found = {part.name: part for part in (*manifest.identity.parts, *manifest.scored_by)}
    assert set(found) == {*OWN_PARTS, "exact"}
    for name, kind in OWN_PARTS.items():
        assert found[name] == PartIdentity(
            kind=kind, name=name, distribution="mine.py", version=version_of(path)
        )
    assert found["exact"].distribution == "trm-bench"
    described = manifest.description
    assert described.plugin_files == {f"mine.py:{name}": "mine.py" for name in OWN_PARTS}
    assert described.api_versions == {part.full_name: API_VERSION for part in found.values()}
    assert manifest.command[-4:-2] == ["--plugin", "mine.py"]


@pytest.mark.slow
def test_the_table_names_it_too(finished: Finished) -> None:
    (line,) = (line for line in finished[2].splitlines() if "NOT CITABLE" in line)
    for name in OWN_PARTS:
        assert f"mine.py:{name} comes from the file mine.py" in line


@pytest.mark.slow
def test_a_report_needs_no_file(finished: Finished, run_cli: RunCli) -> None:
    ended = run_cli("report", finished[1])
    assert ended.code == 0
    assert ended.out == finished[2]


@pytest.mark.slow
def test_resume_with_the_file_has_nothing_to_do_and_without_it_says_what_is_missing(
    finished: Finished, run_cli: RunCli
) -> None:
    path, folder, _ = finished
    without = run_cli("resume", folder)
    assert (without.code, without.out) == (2, "")
    assert "unknown model 'own-model'" in without.err
    host.cache_clear()
    ended = run_cli("resume", folder, "--plugin", path)
    assert ended.code == 0
    assert "1 of 1 runs are finished and reused" in ended.err
    assert len(manifests(folder)) == 1


@pytest.mark.slow
def test_an_edited_file_makes_other_runs_and_leaves_the_old_ones(
    finished: Finished, tmp_path: Path, run_cli: RunCli
) -> None:
    import shutil

    folder = Path(shutil.copytree(finished[1], tmp_path / "out"))
    path = written(tmp_path / "mine.py")  # the same in another place
    again = run_cli(*RUN, "--plugin", path, "--output", folder, "--dry-run", "--json")
    assert [row["finished"] for row in json.loads(again.out)["grids"][0]["models"]] == [1]
    path.write_text(SOURCE.replace("range(50)])", "range(50)])  # edited"))
    host.cache_clear()
    with in_this_process():
        assert run_cli(*RUN, "--plugin", path, "--output", folder).code == 0
    old, new = sorted(
        manifests(folder), key=lambda one: one.identity.parts[0].version != version_of(finished[0])
    )
    for manifest, file in ((old, finished[0]), (new, path)):
        own = {part.version for part in manifest.identity.parts if part.name in OWN_PARTS}
        assert own == {version_of(file)}


@pytest.mark.slow
def test_weights_of_a_model_of_a_file_are_evaluated_with_it_and_not_citable(
    finished: Finished, tmp_path: Path, run_cli: RunCli
) -> None:
    path, folder, _ = finished
    with in_this_process():
        ended = run_cli("evaluate", "--weights", folder, "--plugin", path, "--output", tmp_path / "out")
    assert ended.code == 0, ended.err
    (manifest,) = manifests(tmp_path / "out")
    assert manifest.citable is False
    assert sum("the file mine.py" in reason for reason in manifest.not_citable_because) >= len(OWN_PARTS)


def test_the_name_of_a_run_depends_on_the_content_of_a_file_alone(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = names(planned(hosted(monkeypatch, file)))
    moved = written(tmp_path / "elsewhere" / "mine.py")
    assert names(planned(hosted(monkeypatch, moved))) == first
    moved.write_text(SOURCE + "\n# a remark\n")
    assert names(planned(hosted(monkeypatch, moved))) != first
    moved.write_text(SOURCE)
    assert names(planned(hosted(monkeypatch, moved))) == first


def test_only_runs_with_a_part_of_the_file_depend_on_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = planned(everything(), "tiny", "mirror", "copy")
    grid = planned(hosted(monkeypatch, file), "tiny", "mirror", "copy", "own-model")
    assert names(grid)[:2] == names(without)
    files = [run.description.plugin_files for run in grid.runs]
    assert files == [{}, {}, {"mine.py:own-model": "mine.py"}]


def test_an_edited_task_gives_its_own_puzzles(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not those of the file as it was."""
    for token in (2, 3):
        file.write_text(SOURCE.replace("FIRST_TOKEN = 1", f"FIRST_TOKEN = {token}"))
        part = hosted(monkeypatch, file).tasks.get("own-task")
        prepared = prepare(part, BuildRequest("mini", 0))
        assert prepared.source.summary == f"rows from token {token}"
        assert prepared.read("train").inputs.min() == token


def test_what_runs_is_the_content_that_the_version_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two edits in one second, of the same length, are two contents."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # as Python is without settings
    path = tmp_path / "quick.py"
    monkeypatch.setenv(VARIABLE, str(path))
    for width in (1, 2):
        path.write_text(f"WIDTH = {width}\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        (found,) = plugin_files()
        assert found.version == version_of(path)
        assert vars(found.load())["WIDTH"] == width


@pytest.mark.slow
def test_a_file_that_is_edited_while_its_runs_wait_does_not_run_under_its_old_version(
    file: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """Each run loads the file again, long after it was planned."""
    hook = "\n\n@hookimpl\ndef trm_bench_grid_started(grid):\n    import pathlib\n"
    hook += "    path = pathlib.Path(__file__)\n"
    hook += "    path.write_text(path.read_text().replace('float(score)', '0.25'))\n"
    file.write_text(SOURCE + hook)
    planned_as = version_of(file)
    run_cli(*RUN, "--plugin", file, "--output", tmp_path / "out")
    (own,) = runs(tmp_path / "out")
    manifest = own.manifest()
    assert version_of(file) != planned_as
    if manifest.status is Status.DONE:
        assert planned_as in {part.version for part in manifest.identity.parts}
        assert {record["scores"]["own-score"] for record in own.records()} <= {0.0, 1.0}
    else:
        assert "mine.py" in (manifest.error or "")


@pytest.mark.slow
def test_a_dry_run_says_that_its_runs_could_not_be_cited(file: Path, run_cli: RunCli, tmp_path: Path) -> None:
    ended = run_cli(*RUN, "--plugin", file, "--output", tmp_path / "out", "--dry-run", "--json")
    (grid,) = json.loads(ended.out)["grids"]
    assert any("the file mine.py" in reason for reason in grid["not_citable_because"])


def test_two_files_of_one_name_are_both_named(file: Path, tmp_path: Path, run_cli: RunCli) -> None:
    other = written(tmp_path / "other" / "mine.py", model_plugin("further-model"))
    ended = run_cli("list", "--plugin", file, "--plugin", other)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"error: --plugin {other}: {file} has the same name; rename one\n"


# --- the name of a run -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_is_named_after_its_identity_and_not_after_its_description(finished: Finished) -> None:
    (manifest,) = manifests(finished[1])
    identity, described = manifest.identity, manifest.description
    request = Request(models=("copy",), task="tiny", scale="mini", seeds=(0,))
    context = plan(everything(), request).context
    assert planned_run(context, identity, described).name == manifest.run == runs(finished[1])[0].name
    moved = {"api_versions": {"mine.py:own-model": "1.7"}, "plugin_files": {}, "source": "made up"}
    assert planned_run(context, identity, described.model_copy(update=moved)).name == manifest.run
    older = [part.model_copy(update={"version": "0.0"}) for part in identity.parts]
    assert planned_run(context, identity.model_copy(update={"parts": older}), described).name != manifest.run

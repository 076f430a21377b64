"""Plugins that are a file (``--plugin FILE``), and the version of the interface that specs are made for."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.distributions import BUILT_IN, HOOKIMPL, Install, everything, model_plugin, only, own_parts
from support.paths import ROOT
from support.studies import cells_in_this_process
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.specs import API_VERSION, BuildRequest
from trm_bench.harness.data.prepare import prepare
from trm_bench.harness.host.host import Host, host
from trm_bench.harness.host.plugin_files import VARIABLE, plugin_files, take_plugin_options
from trm_bench.harness.planning.grid import Request, Study, identity_hash, plan, planned_run
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Manifest, PartIdentity, Status
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
OWN_PARTS = ("task own-task", "model own-model", "evaluator own-score")


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


def planned(plugins: Host, task: str = "own-task", *models: str) -> Study:
    request = Request(models=models or ("own-model",), task=task, scale="mini", seeds=(0,))
    return plan(plugins, request)


def names(study: Study) -> list[str]:
    return [cell.name for cell in study.cells]


def manifests(folder: Path) -> list[Manifest]:
    return [RunFolder(path).manifest() for path in sorted(folder.iterdir()) if path.is_dir()]


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


def test_a_file_comes_beside_what_is_installed_and_no_plugins_leaves_it_in(
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
    ("words", "said"),
    [
        (["--plugin", "nowhere.py", "list"], r"--plugin nowhere\.py: no such file"),
        (["list", "--plugin", "."], r"--plugin \.: "),
        (["list", "--plugin", ""], r"--plugin : "),
        (["list", "--plugin"], r"--plugin needs the path of a Python file"),
        (["list", "--plugin", "mine.txt"], r"mine\.txt is not a Python file"),
    ],
)
def test_what_is_no_file_of_python_is_said(
    words: list[str], said: str, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "mine.txt")
    ended = run_cli(*words)
    assert (ended.code, ended.out) == (2, "")
    assert re.search(said, ended.err)
    assert len(ended.err.splitlines()) == 1


def test_a_file_that_went_away_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(file))
    file.unlink()
    with pytest.raises(UsageError, match=r"mine\.py: No such file"):
        host()


# --- what a file is in a result --------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A cell that ran in a process of its own: the file, the folder, and what was printed."""
    import subprocess

    folder = tmp_path_factory.mktemp("finished")
    path = written(folder / "mine.py")
    command = [sys.executable, "-m", "trm_bench", *RUN, "--plugin", "mine.py", "--output", "out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path, folder / "out", done.stdout


Finished = tuple[Path, Path, str]


def test_a_cell_in_a_process_of_its_own_has_the_parts_of_the_file_and_says_so(finished: Finished) -> None:
    path, folder, _ = finished
    (manifest,) = manifests(folder)
    assert manifest.citable is False
    for part in OWN_PARTS:
        (reason,) = (one for one in manifest.not_citable_because if part in one)
        assert "the file mine.py" in reason
    assert not any("evaluator exact" in one for one in manifest.not_citable_because)
    found = {f"{part.kind} {part.name}": part for part in manifest.identity.parts}
    assert set(found) == {*OWN_PARTS, "evaluator exact"}
    for name in OWN_PARTS:
        wanted = PartIdentity(
            kind=name.split()[0],
            name=name.split()[1],
            distribution="mine.py",
            version=version_of(path),
            api_version=API_VERSION,
            file="mine.py",
        )
        assert found[name] == wanted
    assert (found["evaluator exact"].distribution, found["evaluator exact"].file) == ("trm-bench", None)
    assert manifest.command[-4:-2] == ["--plugin", "mine.py"]


def test_the_table_says_so(finished: Finished) -> None:
    (line,) = (line for line in finished[2].splitlines() if "NOT CITABLE" in line)
    for part in OWN_PARTS:
        assert f"{part} comes from the file mine.py" in line


def test_a_report_needs_no_file(finished: Finished, run_cli: RunCli) -> None:
    ended = run_cli("report", finished[1])
    assert ended.code == 0
    assert ended.out == finished[2]


def test_resume_with_the_file_has_nothing_to_do_and_without_it_says_what_is_missing(
    finished: Finished, run_cli: RunCli
) -> None:
    path, folder, _ = finished
    without = run_cli("resume", folder)
    assert (without.code, without.out) == (2, "")
    assert "own-task" in without.err
    host.cache_clear()
    ended = run_cli("resume", folder, "--plugin", path)
    assert ended.code == 0
    assert "1 of 1 cells are finished already" in ended.err
    assert len(manifests(folder)) == 1


def test_an_edited_file_makes_other_cells_and_leaves_the_old_ones(
    finished: Finished, tmp_path: Path, run_cli: RunCli
) -> None:
    import shutil

    folder = Path(shutil.copytree(finished[1], tmp_path / "out"))
    path = written(tmp_path / "mine.py")  # the same in another place
    again = run_cli(*RUN, "--plugin", path, "--output", folder, "--dry-run", "--json")
    assert [row["finished"] for row in json.loads(again.out)["grids"][0]["models"]] == [1]
    path.write_text(SOURCE.replace("range(50)])", "range(50)])  # edited"))
    host.cache_clear()
    with cells_in_this_process():
        assert run_cli(*RUN, "--plugin", path, "--output", folder).code == 0
    old, new = sorted(
        manifests(folder), key=lambda one: one.identity.parts[0].version != version_of(finished[0])
    )
    assert {part.version for part in new.identity.parts if part.file} == {version_of(path)}
    assert {part.version for part in old.identity.parts if part.file} == {version_of(finished[0])}


def test_weights_of_a_model_of_a_file_are_evaluated_with_it_and_not_citable(
    finished: Finished, tmp_path: Path, run_cli: RunCli
) -> None:
    path, folder, _ = finished
    asked = ("evaluate", "--weights", folder, "--plugin", path, "--output", tmp_path / "out")
    with cells_in_this_process():
        ended = run_cli(*asked)
    assert ended.code == 0, ended.err
    (manifest,) = manifests(tmp_path / "out")
    assert manifest.citable is False
    assert sum("the file mine.py" in reason for reason in manifest.not_citable_because) >= len(OWN_PARTS)


def test_the_name_of_a_cell_stands_on_the_content_of_a_file_alone(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = names(planned(hosted(monkeypatch, file)))
    moved = written(tmp_path / "elsewhere" / "mine.py")
    assert names(planned(hosted(monkeypatch, moved))) == first
    moved.write_text(SOURCE + "\n# a remark\n")
    assert names(planned(hosted(monkeypatch, moved))) != first
    moved.write_text(SOURCE)
    assert names(planned(hosted(monkeypatch, moved))) == first


def test_only_cells_with_a_part_of_the_file_are_touched_by_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = planned(everything(), "tiny", "mirror", "copy")
    study = planned(hosted(monkeypatch, file), "tiny", "mirror", "copy", "own-model")
    assert names(study)[:2] == names(without)
    assert [{part.file for part in cell.identity.parts} for cell in study.cells] == [
        {None},
        {None},
        {None, "mine.py"},
    ]


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


def test_a_file_that_is_edited_while_its_cells_wait_does_not_run_under_its_old_version(
    file: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    """Each cell loads the file anew, long after it was planned."""
    hook = "\n\n@hookimpl\ndef trm_bench_run_started(study):\n    import pathlib\n"
    hook += "    path = pathlib.Path(__file__)\n"
    hook += "    path.write_text(path.read_text().replace('float(score)', '0.25'))\n"
    file.write_text(SOURCE + hook)
    planned_as = version_of(file)
    run_cli(*RUN, "--plugin", file, "--output", tmp_path / "out")
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    manifest = RunFolder(folder).manifest()
    assert version_of(file) != planned_as
    if manifest.status is Status.DONE:
        assert planned_as in {part.version for part in manifest.identity.parts}
        assert {record.scores["own-score"] for record in RunFolder(folder).records()} <= {0.0, 1.0}
    else:
        assert "mine.py" in (manifest.error or "")


def test_a_dry_run_says_that_its_cells_could_not_be_cited(
    file: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    ended = run_cli(*RUN, "--plugin", file, "--output", tmp_path / "out", "--dry-run", "--json")
    (grid,) = json.loads(ended.out)["grids"]
    assert any("the file mine.py" in reason for reason in grid["not_citable_because"])


def test_two_files_of_one_name_both_work_or_are_both_named(
    file: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    other = written(tmp_path / "other" / "mine.py", model_plugin("further-model"))
    ended = run_cli("list", "--plugin", file, "--plugin", other)
    if ended.code:
        assert str(file) in ended.err
        assert str(other) in ended.err
        assert "trm-bench:arc" not in ended.err  # nor everything else there is
    else:
        assert "own-model" in ended.out
        assert "further-model" in ended.out


# --- the version of the interface ------------------------------------------------------------------

KINDS = {
    "models": "ModelSpec('late', 'a model', config=Config, build=build, api_version={version!r})",
    "tasks": "TaskSpec('late', 'a task', 1, {{}}, build, build, ('exact',), '', api_version={version!r})",
    "evaluators": "EvaluatorSpec('late', 'a score', evaluate=build, api_version={version!r})",
    "reporters": "ReporterSpec('late', 'a report', render=build, api_version={version!r})",
    "studies": "StudySpec('late', 'late', Path('late.yaml'), api_version={version!r})",
}


def made_for(version: str, kinds: Sequence[str]) -> str:
    """The source of a plugin with a spec of each of these kinds, for a version of the interface."""
    lines = ["from pathlib import Path", "from pydantic import BaseModel", "from trm_bench import *"]
    lines += ["class Config(BaseModel): pass", "def build(*given): raise NotImplementedError"]
    lines += ["from trm_bench.harness.api.specs import StudySpec"]
    for kind in kinds:
        lines += [
            "@hookimpl",
            f"def trm_bench_register_{kind}(): return [{KINDS[kind].format(version=version)}]",
        ]
    return "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_for_another_interface_is_left_out_with_both_versions_named(
    kind: str, install: Install
) -> None:
    install("aaa-good", model_plugin("works"))
    install("late-lab", made_for("2.0", [kind]))
    install("zzz-good", model_plugin("works-too"))
    plugins = everything()
    error = plugins.plugins["late-lab:plug"].error or ""
    assert "2.0" in error
    assert API_VERSION in error
    assert "'late'" in error
    assert [problem.partition(": ")[0] for problem in plugins.problems()] == ["late-lab:plug"]
    assert "late" not in getattr(plugins, kind).names()
    assert {"works", "works-too"} <= set(plugins.models.names())
    assert own_parts(plugins) == BUILT_IN


@pytest.mark.parametrize("version", ["0.9", "2", "10.0", "1x.0", ""])
def test_only_the_first_number_has_to_be_ours(version: str, install: Install) -> None:
    install("late-lab", made_for(version, ["models"]))
    assert "is made for version" in (only("late-lab").plugins["late-lab:plug"].error or "")


def test_a_spec_that_may_use_more_than_there_is_is_accepted_and_recorded(install: Install) -> None:
    install("new-lab", made_for("1.7", list(KINDS)))
    plugins = everything()
    assert plugins.plugins["new-lab:plug"].error is None
    assert all("late" in getattr(plugins, kind).names() for kind in KINDS)
    (cell,) = planned(plugins, "tiny", "late").cells
    versions = {f"{part.kind} {part.name}": part.api_version for part in cell.identity.parts}
    assert versions["model late"] == "1.7"
    assert {version for name, version in versions.items() if name != "model late"} == {API_VERSION}


def test_the_command_line_names_a_plugin_for_another_interface_and_goes_on(
    install: Install, run_cli: RunCli
) -> None:
    install("late-lab", made_for("2.0", ["models"]))
    ended = run_cli("plugins", "--check")
    assert ended.code == 1
    assert re.search(
        rf"^problem: late-lab:plug: .*2\.0.*{re.escape(API_VERSION)}", ended.out, flags=re.MULTILINE
    )
    listed = run_cli("list")
    assert listed.code == 0
    assert "  late " not in listed.out


# --- results that are older ------------------------------------------------------------------------

KEPT = sorted((ROOT / "results" / "mini").rglob("manifest.json"))


@pytest.fixture
def kept() -> list[tuple[Path, dict[str, Any]]]:
    found = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in KEPT]
    old = [one for one in found if not any("api_version" in part for part in one[1]["identity"]["parts"])]
    if not old:
        pytest.skip("no kept result is older than the fields")
    return old


def test_manifests_without_the_new_fields_are_read_and_their_cells_keep_their_names(
    kept: list[tuple[Path, dict[str, Any]]],
) -> None:
    for path, content in kept:
        manifest = Manifest.model_validate(content)
        assert {(part.api_version, part.file) for part in manifest.identity.parts} == {(None, None)}
        assert path.parent.name.endswith(f"-{identity_hash(manifest.identity)}")


def test_the_new_fields_are_no_part_of_a_cells_name(kept: list[tuple[Path, dict[str, Any]]]) -> None:
    identity = Manifest.model_validate(kept[0][1]).identity

    def named(**fields: Any) -> str:
        parts = [part.model_copy(update=fields) for part in identity.parts]
        return identity_hash(identity.model_copy(update={"parts": parts}))

    assert named(api_version="1.7", file="mine.py") == identity_hash(identity)
    assert named(version="0.0") != identity_hash(identity)


def test_the_cells_of_built_in_models_that_would_be_run_now_have_the_kept_names(
    kept: list[tuple[Path, dict[str, Any]]],
) -> None:
    """But for the options that their models have got since."""
    identities = {path.parent.name: Manifest.model_validate(content).identity for path, content in kept}
    asked = {path.parent.name: content["asked"] for path, content in kept}
    then = {name: one for name, one in identities.items() if (one.task, one.seed) == ("arc-agi-1", 0)}
    if not then:
        pytest.skip("no kept result of the task")
    for name, identity in then.items():
        (cell,) = planned(only("trm-bench"), "arc-agi-1", asked[name]).cells
        now = cell.identity.model_copy(update={"architecture": identity.architecture})
        if (now.task_version, now.data.fingerprints) != (identity.task_version, identity.data.fingerprints):
            pytest.skip("the kept results are of another version of the puzzles")
        if now.parts[0].version != identity.parts[0].version:
            pytest.skip("the kept results are of another version of trm-bench")
        assert all(part.api_version for part in now.parts)
        assert planned_run(now, asked[name]).name == name

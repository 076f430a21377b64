"""``trm-bench check``, and the fixtures that plugin authors get, as they use them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from support.distributions import write_distribution
from support.shell import strictly
from trm_bench.harness.host.host import host
from trm_bench.testing import TINY_TASK, evaluators, models, reporters, tasks
from trm_bench.testing.pytest_plugin import RunCli

PLUGIN = """
from pydantic import BaseModel
from trm_bench import EvaluatorSpec, ModelSpec, ReporterSpec, Sample, hookimpl


class Config(BaseModel):
    width: int = 4
    spare: bool = True


def build(config, task):
    import torch
    from trm_bench import Output, Reasoner

    class Model(Reasoner):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(task.vocab_size, config.width)
            self.head = torch.nn.Linear(config.width, task.vocab_size)
            self.spare = torch.nn.Linear(2, 2) if config.spare else None

        def forward(self, state, inputs, puzzle_ids):
            return state, Output(self.head(self.embed(inputs)))

    return Model()


def evaluate(task, puzzles, predictions):
    return [Sample(str(item), str(of), 0.5) for item, of in zip(puzzles.ids, puzzles.clusters)]


@hookimpl
def trm_bench_register_models():
    return [ModelSpec("broken-model", "a spare part", config=Config, build=build)]


@hookimpl
def trm_bench_register_evaluators():
    return [
        EvaluatorSpec("broken-score", "always a half", evaluate=evaluate),
        EvaluatorSpec("copy", "of one name with a model", evaluate=evaluate),
    ]


@hookimpl
def trm_bench_register_reporters():
    return [ReporterSpec("broken-report", "no word", render=lambda report: "")]
"""


@pytest.fixture(autouse=True)
def fresh_host() -> Iterator[None]:
    """As in a process of one command."""
    host.cache_clear()
    yield
    host.cache_clear()


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A file with a model, evaluators and a reporter that are broken."""
    file = tmp_path / "broken.py"
    file.write_text(PLUGIN)
    return file


# --- findings --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("copy", "model", len(models.CHECKS)),
        ("transformer[repeats=2,blocks=1]", "model", len(models.CHECKS)),
        ("trm-bench:transformer", "model", len(models.CHECKS)),
        ("exact", "evaluator", len(evaluators.CHECKS)),
        ("csv", "reporter", len(reporters.CHECKS)),
    ],
)
def test_a_sound_part_holds_every_check(name: str, kind: str, count: int, run_cli: RunCli) -> None:
    ended = run_cli("check", name)
    assert (ended.code, ended.err) == (0, "")
    *lines, last = ended.out.splitlines()
    assert last == f"{kind} {name}: all {count} checks hold"
    assert len(lines) == count
    assert all(line.startswith("ok  ") for line in lines)


def test_a_task_is_found_by_its_name(run_cli: RunCli, tiny_task: str) -> None:
    ended = run_cli("check", tiny_task)
    assert ended.code == 0
    assert ended.out.endswith(f"task {tiny_task}: all {1 + len(tasks.CHECKS)} checks hold\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("broken-model", "model", r"no gradient reaches spare\.weight, spare\.bias"),
        ("broken-model[width=2]", "model", r"no gradient reaches spare\.weight, spare\.bias"),
        ("broken-score", "evaluator", r"score 0\.5 to 0\.5; expected 1"),
        ("broken-report", "reporter", r"render gave str of no content"),
    ],
)
def test_a_broken_part_ends_with_1_and_a_line_that_says_what_and_where(
    name: str, kind: str, words: str, run_cli: RunCli, plugin: Path
) -> None:
    ended = run_cli("--plugin", plugin, "check", name)
    assert (ended.code, ended.err) == (1, "")
    *lines, last = ended.out.splitlines()
    assert last == f"{kind} {name}: 1 of {len(lines)} checks failed"
    (bad,) = (line for line in lines if not line.startswith("ok  "))
    assert re.match(rf"NO  .*{words}.* \[look at `\w+`\]$", bad)


def test_an_option_in_brackets_changes_what_is_checked(run_cli: RunCli, plugin: Path) -> None:
    assert run_cli("--plugin", plugin, "check", "broken-model[spare=false]").code == 0


def test_json_has_every_finding(run_cli: RunCli, plugin: Path) -> None:
    ended = run_cli("check", "broken-model", "--json", "--plugin", plugin)
    assert (ended.code, ended.err) == (1, "")
    content = strictly(ended.out)
    assert (content["kind"], content["name"]) == ("model", "broken-model")
    assert [finding["check"] for finding in content["findings"]] == [one.words for one, _ in models.CHECKS]
    assert all(set(finding) == {"check", "ok", "words", "where"} for finding in content["findings"])
    (bad,) = (finding for finding in content["findings"] if not finding["ok"])
    assert "spare.weight" in bad["words"]
    assert bad["where"]


def test_json_of_a_sound_part(run_cli: RunCli) -> None:
    ended = run_cli("check", "exact", "--json")
    assert ended.code == 0
    assert all(finding["ok"] is True for finding in strictly(ended.out)["findings"])


# --- what is checked -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trm-mpl"], r"nothing is called 'trm-mpl'; did you mean 'trm-mlp'"),
        (["sudoku-extrem"], r"did you mean 'sudoku-extreme'"),
        (["sudoku-vald"], r"did you mean 'sudoku-valid'"),
        (["markdwon"], r"did you mean 'markdown'"),
        (["transfomer[repeats=2]"], r"nothing is called 'transfomer'; did you mean 'transformer'"),
        (["transformer[repeets=2]"], r"has no option 'repeets'; did you mean 'repeats'"),
        (["transformer[repeats=0]"], r"repeats"),
        (["transformer[repeats"], r"cannot read model"),
        (["copy", "--kind", "task"], r"unknown task 'copy'"),
        (["copy", "--kind", "modle"], r"modle"),
        (["copy", "--kind", "model", "--task", "maze-hrad"], r"unknown task 'maze-hrad'"),
        (
            ["csv", "--task", "maze-hard"],
            r"--task goes with an evaluator or a model, and 'csv' is a reporter",
        ),
        (
            ["maze-hard", "--task", "maze-hard"],
            r"--task goes with an evaluator or a model, and 'maze-hard' is a task",
        ),
        (["exact", "--task", "maze-hrad"], r"unknown task 'maze-hrad'; did you mean 'maze-hard'"),
        ([], r"NAME"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_name_ends_with_2_and_says_why(words: list[str], message: str, run_cli: RunCli) -> None:
    ended = run_cli("check", *words)
    assert (ended.code, ended.out) == (2, "")
    assert re.search(message, ended.err)
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_an_evaluator_is_tried_on_the_task_that_is_named(run_cli: RunCli, tiny_task: str) -> None:
    named, usual = run_cli("check", "exact", "--task", "arc-agi-1"), run_cli("check", "exact")
    assert (named.code, usual.code) == (0, 0)
    assert "of task arc-agi-1" in named.out
    assert f"of task {tiny_task}" in usual.out


def test_a_name_of_two_kinds_needs_a_kind(run_cli: RunCli, plugin: Path) -> None:
    ended = run_cli("--plugin", plugin, "check", "copy")
    assert (ended.code, ended.out) == (2, "")
    assert "of a model and of an evaluator" in ended.err
    assert "--kind" in ended.err
    assert run_cli("--plugin", plugin, "check", "copy", "--kind", "model").code == 0
    as_evaluator = run_cli("--plugin", plugin, "check", "copy", "--kind", "evaluator")
    assert as_evaluator.code == 1
    assert as_evaluator.out.splitlines()[-1].startswith("evaluator copy: 1 of")
    assert run_cli("--plugin", plugin, "check", "trm-bench:copy").code == 0


def test_a_name_of_two_distributions_needs_one(run_cli: RunCli, tmp_path: Path, plugin: Path) -> None:
    second = tmp_path / "second.py"
    second.write_text(PLUGIN)
    both = ("--plugin", plugin, "--plugin", second, "check")
    ended = run_cli(*both, "broken-score")
    assert ended.code == 2
    assert "broken.py:broken-score" in ended.err
    assert "second.py:broken-score" in ended.err
    assert run_cli(*both, "second.py:broken-score").code == 1


# --- the fixtures of the pytest plugin -------------------------------------------------------------

FRESH = """
import os
import sys

import pytest
from trm_bench.testing import check_model, check_task

BEFORE = {key: value for key, value in os.environ.items() if key.startswith("TRM_BENCH")}


def ours():
    return {key: value for key, value in os.environ.items() if key.startswith("TRM_BENCH")}


def test_nothing_heavy_is_imported_before_a_test_asks_for_it():
    assert not {"torch", "scipy", "numba"} & set(sys.modules)


def test_the_task_is_not_there_without_its_fixture(run_cli):
    assert "tiny-grid" not in run_cli("list").out


def test_a_run_on_the_tiny_task(run_cli, tiny_task, tmp_path):
    folder = tmp_path / "out"
    ended = run_cli("run", "--task", tiny_task, "--models", "copy", "--seeds", "0", "--output", folder)
    assert ended.code == 0, ended.err
    assert "tiny-grid" in ended.out
    assert [path.name.startswith("copy-s0-") for path in folder.iterdir() if path.is_dir()] == [True]
    assert run_cli("show", next(path for path in folder.iterdir() if path.is_dir())).code == 0
    assert run_cli("report", tmp_path / "nothing").code == 4


def test_the_task_is_gone_again_and_the_environment_is_as_before(run_cli):
    assert "tiny-grid" not in run_cli("list").out
    assert ours() == BEFORE


def test_options_of_one_call_do_not_outlive_it(run_cli):
    assert run_cli("--no-plugins", "list").code == 0
    assert ours() == BEFORE


def test_the_task_is_sound(tiny_task):
    check_task(tiny_task)


def test_a_broken_model():
    from pydantic import BaseModel
    from trm_bench import ModelSpec, Output, Reasoner
    import torch

    class Model(Reasoner):
        def __init__(self, task):
            super().__init__()
            self.head = torch.nn.Embedding(task.vocab_size, task.vocab_size)
            self.forgotten = torch.nn.Parameter(torch.ones(2))

        def forward(self, state, inputs, puzzle_ids):
            return state, Output(self.head(inputs))

    class Config(BaseModel):
        pass

    check_model(ModelSpec("mine", "mine", config=Config, build=lambda config, task: Model(task)))
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says in a folder, process and environment of a plugin author."""
    folder = tmp_path_factory.mktemp("author")
    (folder / "test_mine.py").write_text(FRESH)
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHONPATH"))}
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "test_mine.py"]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.slow
def test_the_fixtures_work_in_a_fresh_pytest(fresh: str) -> None:
    passed = set(re.findall(r"^PASSED test_mine\.py::(\w+)$", fresh, flags=re.MULTILINE))
    wanted = set(re.findall(r"def (test_\w+)", FRESH)) - {"test_a_broken_model"}
    assert passed == wanted, fresh


@pytest.mark.slow
def test_a_broken_model_is_a_failed_test_that_names_its_parameter(fresh: str) -> None:
    (failed,) = re.findall(r"^FAILED test_mine\.py::(\w+)", fresh, flags=re.MULTILINE)
    assert failed == "test_a_broken_model"
    assert "model mine: 1 of 15 checks failed" in fresh
    assert "no gradient reaches forgotten: is it used, and not detached?" in fresh


def test_a_plugin_of_one_call_is_seen_whatever_was_called_before(run_cli: RunCli, plugin: Path) -> None:
    """Every call is to be like a command of its own."""
    assert "broken-model" not in run_cli("list").out
    assert "broken-model" in run_cli("--plugin", plugin, "list").out
    assert "broken-model" not in run_cli("list").out


def test_plugins_are_left_out_of_one_call_whatever_was_called_before(run_cli: RunCli, tmp_path: Path) -> None:
    folder = write_distribution(tmp_path / "site", "club", "plug = club_plugin")
    (folder / "club_plugin.py").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(folder))
        assert "broken-model" in run_cli("list").out
        assert "broken-model" not in run_cli("--no-plugins", "list").out
        assert "broken-model" in run_cli("list").out
        sys.modules.pop("club_plugin")


def test_a_command_of_one_call_is_gone_after_it(run_cli: RunCli, tmp_path: Path) -> None:
    file = tmp_path / "greets.py"
    file.write_text(
        dedent(
            """
            import click
            from trm_bench import hookimpl

            @hookimpl
            def trm_bench_register_commands(cli):
                cli.add_command(click.Command("greet-from-file", callback=lambda: click.echo("hello")))
            """
        )
    )
    assert run_cli("--plugin", file, "greet-from-file").out == "hello\n"
    assert run_cli("greet-from-file").code == 2


def test_a_failing_plugin_is_mentioned_where_its_part_is_looked_for(run_cli: RunCli, tmp_path: Path) -> None:
    folder = write_distribution(tmp_path / "site", "half-lab", "plug = half_lab_plugin")
    (folder / "half_lab_plugin.py").write_text("import no_such_library\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(folder))
        ended = run_cli("check", "half-model")
    assert ended.code == 2
    assert "half-lab" in ended.err


def test_the_tiny_task_of_the_fixture_is_the_one_of_the_package(tiny_task: str) -> None:
    spec = host().tasks.get(tiny_task).spec
    assert (spec.name, spec.version, spec.scales) == (TINY_TASK.name, TINY_TASK.version, TINY_TASK.scales)


def test_the_shape_of_a_task_is_that_of_its_puzzles() -> None:
    shape = tasks.shape_of("sudoku-extreme")
    assert (shape.task, shape.scale) == ("sudoku-extreme", "mini")
    assert shape.height == shape.width

"""Plugins whose code raises while a command plans: their model fails with its error, the others run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.stored import SHORT, in_this_process, manifests
from trm_bench.testing.pytest_plugin import RunCli

PLUGIN = """
import asyncio
import sys
import torch
from pydantic import BaseModel, model_validator
from trm_bench import ModelSpec, Output, Reasoner, hookimpl
from trm_bench.harness.api.errors import DataError
from trm_bench.testing import tiny

class Boom(Exception):
    pass

def deep():
    return deep()

def raised(kind):
    if kind == "exit":
        sys.exit(0)
    if kind == "deep":
        deep()
    if kind == "value":
        raise ValueError("no such thing")
    if kind == "data":
        raise DataError("build wants a table")
    if kind == "file":
        open("/nowhere/table")
    if kind == "skip":
        raise asyncio.CancelledError
    raise Boom("first\\nsecond \\x1b[31m")

class Config(BaseModel):
    hidden: int = 4

class Picky(Config):
    @model_validator(mode="after")
    def check(self):
        raise Boom("in the configuration")

class PerCell(Reasoner):
    def __init__(self, task, hidden, kind=None):
        super().__init__()
        self.kind = kind
        self.embed = torch.nn.Embedding(task.vocab_size, hidden)
        self.head = torch.nn.Linear(hidden, task.vocab_size)

    def forward(self, state, inputs, puzzle_ids):
        print("printed by forward")
        if self.kind:
            raised(self.kind)
        return state, Output(self.head(self.embed(inputs)))

def spec(name, where, kind):
    def build(config, task):
        print("printed by build")
        if where == "build":
            raised(kind)
        return PerCell(task, config.hidden, kind if where == "forward" else None)

    def resolve(task, options):
        raised(kind)

    if where == "resolve":
        return ModelSpec(name, "broken", resolve=resolve)
    return ModelSpec(name, "a model", config=Picky if where == "config" else Config, build=build)

print("printed at import")

@hookimpl
def trm_bench_register_models():
    print("printed by a hook")
    return [
        spec("good", "", ""),
        *(
            spec(f"{where}-{kind}", where, kind)
            for where in ("build", "forward", "resolve", "config")
            for kind in ("raise", "exit", "deep", "value", "data", "file", "skip")
        ),
    ]
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plugin") / "broken.py"
    file.write_text(PLUGIN)
    return file


def call(run_cli: Any, plugin: Path, *words: object) -> Any:
    return run_cli("--plugin", plugin, *words)


BROKEN = [
    *(f"{where}-{kind}" for where in ("build", "forward") for kind in ("raise", "exit", "deep", "value")),
    *(f"build-{kind}" for kind in ("data", "file", "skip")),
    "forward-skip",
    "resolve-raise",
    "resolve-exit",
    "config-raise",
]


@pytest.mark.slow
@pytest.mark.parametrize("model", BROKEN)
def test_a_model_that_raises_while_it_is_planned_fails_and_the_others_run(
    model: str, plugin: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    both = f"{model},good"
    with in_this_process():
        ended = call(run_cli, plugin, "run", *SHORT, "--models", both, "--seeds", "0-1", "--output", tmp_path)
    assert ended.code == 1, ended.err
    assert model in ended.err
    assert "Traceback" not in ended.err
    assert "\x1b" not in ended.err + ended.out
    assert "good" in ended.out
    assert "printed" not in ended.out
    found = manifests(tmp_path)
    done = [one for one in found if one.status == "done"]
    assert [one.description.model for one in done] == ["good", "good"]
    if not model.startswith(("resolve", "config")):  # what could be identified has a failed row
        failed = [one for one in found if one.status == "failed"]
        assert len(failed) == 2
        assert all(one.error for one in failed)
        assert model in ended.out


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["build-raise", "build-exit", "forward-exit", "forward-deep", "config-raise"]
)
def test_a_dry_run_names_the_model_that_would_fail_and_ends_with_1(
    model: str, plugin: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    both = f"good,{model}"
    ended = call(
        run_cli, plugin, "run", *SHORT, "--models", both, "--output", tmp_path, "--dry-run", "--json"
    )
    assert ended.code == 1
    (grid,) = json.loads(ended.out)["grids"]
    assert [row["model"] for row in grid["models"]] == ["good"]
    assert list(grid["failed"]) == [model]
    assert not list(tmp_path.iterdir())


def test_where_every_model_is_broken_nothing_is_written(
    plugin: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    folder = tmp_path / "o"
    ended = call(run_cli, plugin, "run", *SHORT, "--models", "resolve-exit", "--output", folder)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == "error: model resolve-exit: SystemExit: 0"
    assert not folder.exists()


def test_options_that_do_not_fit_are_still_refused_before_anything_is_run(
    plugin: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    ended = call(
        run_cli, plugin, "run", *SHORT, "--models", "good,build-value[hidden=3]", "--output", tmp_path
    )
    assert ended.code == 2
    assert "build-value[hidden=3] cannot be built: no such thing" in ended.err


TASK = """
import sys
from trm_bench import hookimpl
from trm_bench.testing import tiny
from dataclasses import replace

def fail(*arguments):
    {body}

@hookimpl
def trm_bench_register_tasks():
    (spec,) = tiny.trm_bench_register_tasks()
    return [replace(spec, name="bad-task", {field}=fail)]
"""


@pytest.mark.parametrize("body", ["sys.exit(0)", "raise KeyError('x')", "print('hello'); return None"])
@pytest.mark.parametrize("field", ["build", "augmentation"])
@pytest.mark.parametrize("verb", ["prepare", "run"])
def test_a_task_that_raises_is_one_line_and_no_success(
    body: str, field: str, verb: str, run_cli: RunCli, tmp_path: Path
) -> None:
    file = tmp_path / "bad_task.py"
    file.write_text(TASK.format(body=body, field=field))
    more = ("--models", "copy", "--output", tmp_path / "o") if verb == "run" else ()
    ended = run_cli("--plugin", file, verb, "--task", "bad-task", *more)
    if verb == "prepare" and field == "augmentation":
        assert ended.code == 0  # puzzles need no augmentation
        return
    assert ended.code == 1, ended.err
    assert "bad-task: " in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_a_plugin_that_ends_the_program_elsewhere_is_no_success(run_cli: RunCli, tmp_path: Path) -> None:
    file = tmp_path / "bad_task.py"
    file.write_text(TASK.format(body="sys.exit(0)", field="score_submission"))
    ended = run_cli("--plugin", file, "score", file, "--task", "bad-task")
    assert ended.code == 1
    assert ended.err == "error: the code of a plugin ended the program (SystemExit: 0)\n"


# --- what a plugin prints --------------------------------------------------------------------------

NOISY = (
    PLUGIN
    + """
@hookimpl
def trm_bench_grid_started(grid):
    print("printed by a notification")

@hookimpl
def trm_bench_register_commands(cli):
    import click

    @cli.command("hello")
    def hello():
        click.echo("hello")
"""
)


@pytest.mark.slow
def test_json_is_alone_on_stdout_whatever_a_plugin_prints_in_any_process(tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.py"
    also = 'print("printed by forward"); os.system("echo by a program")'
    source = NOISY.replace('print("printed by forward")', also)
    noisy.write_text("import os\n" + source)
    words = ["--plugin", noisy, "run", *SHORT, "--models", "good", "--seeds", "0", "--output", tmp_path / "o"]
    words += ["--json"]
    program = f"from trm_bench.harness.cli import main; main({[str(word) for word in words]!r})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "printed by forward" in ended.stderr
    assert "by a program" in ended.stderr
    assert json.loads(ended.stdout)["tables"]


def test_a_command_of_a_plugin_prints_to_stdout(run_cli: RunCli, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.py"
    noisy.write_text(NOISY)
    ended = run_cli("--plugin", noisy, "hello")
    assert (ended.code, ended.out) == (0, "hello\n")


@pytest.mark.slow
def test_the_speed_of_the_other_models_is_measured(plugin: Path, run_cli: RunCli) -> None:
    ended = call(
        run_cli, plugin, "speed", "--models", "build-exit,forward-raise,copy", "--task", "tiny", "--minutes",
        "0.3", "--json",
    )  # fmt: skip
    assert ended.code == 1
    found = {one["model"]: one for one in json.loads(ended.out)["measured"]}
    assert found["copy"]["inference"] is not None
    assert "SystemExit" in found["build-exit"]["why"]
    assert "first second" in found["forward-raise"]["why"]


# --- names that no file system takes -----------------------------------------------------------------


@pytest.mark.parametrize("letter", ["a", "é", "数", "𝒳"])
def test_long_names_are_cut_to_what_a_file_system_takes_and_told_apart(
    letter: str, run_cli: RunCli, tmp_path: Path
) -> None:
    file = tmp_path / "long.py"
    names = [letter * 90 + "[first=" + "1" * 60 + "]", letter * 90 + "[first=" + "2" * 60 + "]"]
    source = PLUGIN.replace('spec("good", "", "")', f'spec("{letter * 90}", "", "")')
    file.write_text(source.replace("hidden: int = 4", "hidden: int = 4\n    first: str = ''"))
    with in_this_process():
        words = (*SHORT, "--models", ",".join(names), "--seeds", "0", "--output", tmp_path / "o")
        ended = run_cli("--plugin", file, "run", *words)
    assert ended.code == 0, ended.err
    found = manifests(tmp_path / "o")
    assert [one.status for one in found] == ["done", "done"]
    assert len({one.run for one in found}) == 2
    assert all(len(one.run.encode()) <= 143 for one in found)


# --- the model that defines the budget -----------------------------------------------------------------


@pytest.mark.parametrize("model", ["build-data", "forward-raise", "resolve-skip"])
def test_under_match_flops_a_broken_first_model_is_named_as_the_one_that_defines_the_budget(
    model: str, plugin: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    words = ("run", *SHORT, "--models", f"{model},good", "--match", "flops", "--output", tmp_path / "o")
    ended = call(run_cli, plugin, *words, "--dry-run")
    assert ended.code == 1
    assert f"the first model, {model}, defines the budget of all" in ended.err
    given = [word if word != "steps=4" else "flops=1e6" for word in words]
    ended = call(run_cli, plugin, *given, "--dry-run", "--json")
    assert ended.code == 1, ended.err
    (grid,) = json.loads(ended.out)["grids"]
    assert [row["model"] for row in grid["models"]] == ["good"]
    assert list(grid["failed"]) == [model]

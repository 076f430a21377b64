"""The documents stay true: hooks, options and exit codes are in them, and their examples run."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest
from conftest import ROOT, RunCli
from trm_bench.harness import hookspecs
from trm_bench.harness.cli import VERBS, cli
from trm_bench.harness.settings import TrainingConfig
from trm_bench.harness.study import BUDGET_KEYS, OPERATION_KEYS, STUDY_KEYS

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "results").glob("*.md")])
HOOKS = [name for name, value in vars(hookspecs).items() if name.startswith("trm_bench_") and callable(value)]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"`{hook}({arguments})`" in text("docs/plugins.md")


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_and_option_is_documented(verb: str) -> None:
    page = text("docs/cli.md")
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    assert f"`{verb}" in page
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[-1]}" in page, f"{verb} {parameter.opts[-1]}"


@pytest.mark.parametrize("key", [*BUDGET_KEYS, *STUDY_KEYS, *OPERATION_KEYS, *TrainingConfig.model_fields])
def test_every_key_of_set_is_documented(key: str) -> None:
    assert f"`{key}`" in text("docs/cli.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_resolve(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_readme_opens_with_the_two_commands() -> None:
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text("README.md"), flags=re.DOTALL)
    assert [line.split("#")[0].strip() for line in blocks[0].strip().splitlines()] == [
        "make bench",
        "make test",
    ]
    assert "trm-bench run --models trm,hrm,transformer --task maze-hard" in text("Makefile")


def test_the_model_example_trains_and_gets_its_row(
    tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code of docs/plugins.md, installed as a distribution of its own."""
    import os
    import subprocess
    import sys

    from conftest import write_distribution

    example = re.search(r"```python\n(.*?)```", text("docs/plugins.md"), flags=re.DOTALL)
    assert example is not None
    write_distribution(tmp_path, "my-package", "my-model = my_module")
    (tmp_path / "my_module.py").write_text(example[1])
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    command = [sys.executable, "-m", "trm_bench", "run", "--models", "recurrent", "--task", "tiny"]
    command += ["--seeds", "0", "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^recurrent +\d", done.stdout, flags=re.MULTILINE)


def test_the_license_and_citation_files_are_whole() -> None:
    import yaml

    assert "Apache License" in text("LICENSE")
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "version"} <= set(citation)
    assert f'version = "{citation["version"]}"' in text("pyproject.toml")


def test_no_file_is_two_rooms_in_one() -> None:
    long = [
        path.relative_to(ROOT).as_posix()
        for folder in ("harness", "plugins", "trm", "hrm_baseline", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > 600
    ]
    assert long == []


def test_the_core_imports_neither_models_nor_tasks() -> None:
    for path in (ROOT / "harness").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*from \.+(plugins|trm|hrm_baseline)\b", source, flags=re.MULTILINE), path

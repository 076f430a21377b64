"""`new-plugin` writes a project that works as written: installed afresh, tested, and seen in a run."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from support.environment import Python, fresh_environment
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.host.scaffold import KINDS, Project, write_project
from trm_bench.harness.training.config import TrainingConfig
from trm_bench.testing.pytest_plugin import RunCli

from trm_bench import API_VERSION

SEEN = {
    "model": r"^my-model +\d",
    "task": r"^my-task · mini",
    "evaluator": r"my-evaluator %",
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Python:
    """One new environment with a project of every kind installed in it."""
    folder = tmp_path_factory.mktemp("fresh")
    python = fresh_environment(folder / "venv")
    for kind in KINDS:
        python.run("-m", "trm_bench", "new-plugin", f"my-{kind}", "--kind", kind, folder=folder)
        python.install(folder / f"my-{kind}")
    return python


def folder_of(python: Python) -> Path:
    return python.folder.parent


@pytest.mark.slow
def test_they_are_installed_and_nothing_is_wrong_with_them(fresh: Python) -> None:
    ended = fresh.run("-m", "trm_bench", "plugins", "--check", folder=folder_of(fresh))
    assert {line.split(":")[0] for line in ended.stdout.splitlines()} >= {f"my-{kind}" for kind in KINDS}
    assert "problem" not in ended.stdout


@pytest.mark.slow
def test_their_own_tests_pass(fresh: Python) -> None:
    folders = [f"my-{kind}" for kind in KINDS]
    ended = fresh.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *folders, folder=folder_of(fresh))
    assert re.search(r"^8 passed", ended.stdout, flags=re.MULTILINE), ended.stdout


@pytest.mark.slow
def test_all_of_them_are_seen_in_a_run(fresh: Python) -> None:
    words = "run --models my-model,copy --task my-task --evaluators my-evaluator --seeds 0 --set steps=4"
    ended = fresh.run("-m", "trm_bench", *words.split(), "--output", "out", folder=folder_of(fresh))
    for kind, pattern in SEEN.items():
        assert re.search(pattern, ended.stdout, flags=re.MULTILINE), (kind, ended.stdout)
    manifests = [json.loads(path.read_text()) for path in (folder_of(fresh) / "out").glob("*/manifest.json")]
    parts = [
        part for manifest in manifests for part in (*manifest["identity"]["parts"], *manifest["scored_by"])
    ]
    for kind in SEEN:
        (own,) = {tuple(sorted(part.items())) for part in parts if part["name"] == f"my-{kind}"}
        identity = dict(own)
        assert re.fullmatch(r"[0-9a-f]{64}", identity.pop("code"))
        full = {"kind": kind, "name": f"my-{kind}", "distribution": f"my-{kind}", "version": "0.1.0"}
        assert identity == full
        described = [manifest["description"] for manifest in manifests]
        full_name = f"my-{kind}:my-{kind}"
        assert {one["api_versions"].get(full_name) for one in described} - {None} == {API_VERSION}
        assert all(one["plugin_files"] == {} for one in described)
    shown = fresh.run("-m", "trm_bench", "report", "out", "--format", "my-reporter", folder=folder_of(fresh))
    assert re.search(
        r"^- my-model: exact \d+\.\d % over 1 seeds; not citable$", shown.stdout, flags=re.MULTILINE
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_there_and_is_what_it_should_be(run_cli: RunCli, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "somewhere" / "else"
    ended = run_cli("new-plugin", "two-words", "--kind", kind, "--output", folder, "--json")
    assert ended.code == 0, ended.err
    written = {Path(name).relative_to(folder).as_posix() for name in json.loads(ended.out)["files"]}
    expected = {"pyproject.toml", "README.md", "LICENSE", ".gitignore", ".github/workflows/test.yml"}
    expected |= {"two_words/__init__.py", "tests/test_two_words.py"}
    assert written == expected | ({"two_words/recipes.yaml"} if kind == "model" else set())
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == written
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["trm_bench"] == {"two-words": "two_words"}
    assert yaml.safe_load((folder / ".github/workflows/test.yml").read_text())["jobs"]
    for path in folder.rglob("*"):
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")
        assert "{{" not in (path.read_text() if path.is_file() else "")
    if kind == "model":
        recipe = yaml.safe_load((folder / "two_words/recipes.yaml").read_text())["*"]["mini"]["training"]
        TrainingConfig(**recipe)


def test_it_says_what_comes_next(run_cli: RunCli, tmp_path: Path) -> None:
    ended = run_cli("new-plugin", "my-model", "--output", tmp_path / "my-model")
    assert f"pip install -e {tmp_path / 'my-model'}" in ended.out
    assert "trm-bench check my-model" in ended.out
    assert "trm-bench run --models my-model,transformer --task maze-hard" in ended.out


@pytest.mark.parametrize(
    "name", ["My-Model", "my_model", "-model", "1model", "my--model", "../model", "a b", ""]
)
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="small letters, digits and single hyphens"):
        write_project(Project(name, "model", "0.1.0"), tmp_path / "project")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "name"), [("model", "trm"), ("task", "maze-hard"), ("reporter", "text")])
def test_a_name_that_is_taken_is_refused(run_cli: RunCli, tmp_path: Path, kind: str, name: str) -> None:
    ended = run_cli("new-plugin", name, "--kind", kind, "--output", tmp_path / "project")
    assert ended.code == 2
    assert f"there is a {kind} {name!r} already" in ended.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["torch", "json", "class", "tests", "conftest"])
def test_a_name_of_another_module_is_refused(run_cli: RunCli, tmp_path: Path, name: str) -> None:
    ended = run_cli("new-plugin", name, "--output", tmp_path / "made")
    assert ended.code == 2
    assert f"'{name}' is the name of another module" in ended.err
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_an_edited_package_is_run_again(fresh: Python) -> None:
    """Its version stays the same, as of one that is installed to be edited."""
    folder, (module,) = folder_of(fresh), fresh.folder.rglob("site-packages/my_model/__init__.py")
    command = "run --models my-model --task my-task --seeds 0 --set steps=2 --output edited"
    words = command.split()
    first = fresh.run("-m", "trm_bench", *words, folder=folder)
    again = fresh.run("-m", "trm_bench", *words, folder=folder)
    module.write_text(module.read_text() + "\n# another state of it\n")
    edited = fresh.run("-m", "trm_bench", *words, folder=folder)
    reused = ["are finished and reused" in ended.stderr for ended in (first, again, edited)]
    assert reused == [False, True, False]
    assert len(list((folder / "edited").glob("my-model-*"))) == 2


def test_nothing_is_overwritten(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    ended = run_cli("new-plugin", "my-model", "--output", tmp_path / "my-model")
    assert ended.code == 2
    assert "is there already; nothing was written" in ended.err
    assert not list((tmp_path / "my-model").iterdir())

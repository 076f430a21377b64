"""`trm-bench report` with its options, and `show`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from support.folders import TRM, described, on_task, three_models, write_model
from trm_bench.harness.store.checked import read_stamped
from trm_bench.testing.pytest_plugin import RunCli

COSTS = ("Parameters", "Cost per training run", "Cost of evaluation", "Device-hours")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An output folder with three finished models: trm-mlp, hrm and plain."""
    three_models(tmp_path / "out")
    return tmp_path / "out"


# --- report --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter", ["text", "markdown"])
def test_costs_are_printed_on_request(folder: Path, run_cli: RunCli, reporter: str) -> None:
    usual = run_cli("report", folder, "--format", reporter).out
    costs = run_cli("report", folder, "--format", reporter, "--costs").out
    assert [heading for heading in COSTS if heading in usual] == []
    assert [heading for heading in COSTS if heading in costs] == list(COSTS)


@pytest.mark.slow
@pytest.mark.parametrize("reporter", ["html", "latex", "json"])
def test_formats_of_files_have_costs_always(folder: Path, run_cli: RunCli, reporter: str) -> None:
    usual = run_cli("report", folder, "--format", reporter).out
    assert usual == run_cli("report", folder, "--format", reporter, "--costs").out
    assert re.search("training_flops|FLOPs", usual)


def test_only_some_models_are_printed_and_tests_stay_those_of_all(folder: Path, run_cli: RunCli) -> None:
    (everything,) = json.loads(run_cli("report", folder, "--json").out)["tables"]
    ended = run_cli("report", folder, "--only", "trm-mlp,hrm", "--json")
    assert ended.code == 0, ended.err
    (table,) = json.loads(ended.out)["tables"]
    assert table["rows"] == [row for row in everything["rows"] if row["model"] != "plain"]
    (pair,) = table["pairs"]
    assert pair in everything["pairs"]
    assert table["hidden"] == ["plain"]
    text = run_cli("report", folder, "--only", "hrm").out
    assert "- not shown, but part of the family of tests: trm-mlp, plain" in text
    assert not re.search("^(trm-mlp|plain) ", text, flags=re.MULTILINE)


def test_a_model_is_printed_under_another_name(folder: Path, run_cli: RunCli) -> None:
    text = run_cli("report", folder, "--name", "hrm=Their model", "--name", "trm-mlp=Ours").out
    assert re.search("^Ours +90.0 ", text, flags=re.MULTILINE)
    assert re.search("^Ours − Their model ", text, flags=re.MULTILINE)
    assert not re.search("^(trm-mlp|hrm) ", text, flags=re.MULTILINE)


def test_published_numbers_are_printed_on_request(tmp_path: Path, run_cli: RunCli) -> None:
    official = described(source_kind="official")
    write_model(tmp_path, "trm-mlp", TRM, change=on_task("maze-hard", "paper"), describe=official)
    assert "Published on the full task" not in run_cli("report", tmp_path).out
    text = run_cli("report", tmp_path, "--published").out
    assert re.search(
        r"^TRM-Att, 7M +85.3 ", text.partition("Published on the full task")[2], flags=re.MULTILINE
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "hrn"), "no row of model 'hrn'; did you mean 'hrm'?"),
        (("--name", "hrn=Theirs"), "no row of model 'hrn'; did you mean 'hrm'?"),
        (("--name", "hrm"), "--name 'hrm': write MODEL=NAME"),
        (("--name", "hrm= "), "--name 'hrm= ': write MODEL=NAME"),
        (("--name", "=Ours"), "--name '=Ours': write MODEL=NAME"),
        (("--format", "markdwon"), "unknown reporter 'markdwon'; did you mean 'markdown'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_named(folder: Path, run_cli: RunCli, words: tuple[str, ...], message: str) -> None:
    ended = run_cli("report", folder, *words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


# --- show ----------------------------------------------------------------------------------------


def test_show_prints_the_manifest_of_a_run(folder: Path, run_cli: RunCli) -> None:
    run = next(folder.glob("hrm-s0-*"))
    manifest = read_stamped(run / "manifest.json")
    shown = run_cli("show", run)
    assert shown.code == 0
    assert "status: done" in shown.out.splitlines()
    assert yaml.safe_load(shown.out) == manifest
    assert json.loads(run_cli("show", run, "--json").out) == manifest


def test_show_of_something_else_says_what_to_name(folder: Path, run_cli: RunCli) -> None:
    ended = run_cli("show", folder)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"error: {folder}: no manifest.json in it; name the folder of one run\n"
    ended = run_cli("show", folder / "nowhere")  # as of `report`, `status` and `verify`
    assert (ended.code, ended.out) == (4, "")
    assert ended.err == f"error: {folder / 'nowhere'}: no such folder\n"


def test_show_names_a_damaged_manifest(folder: Path, run_cli: RunCli) -> None:
    file = next(folder.glob("hrm-s0-*")) / "manifest.json"
    file.write_text(file.read_text()[:100])
    ended = run_cli("show", file.parent)
    assert (ended.code, ended.out) == (1, "")
    assert f"{file}: cannot be read" in ended.err
    assert "repeat the run" in ended.err

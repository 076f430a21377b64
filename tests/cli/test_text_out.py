"""Nothing that a file or a plugin says steers a terminal, LaTeX, a spreadsheet or a web page."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from support.folders import TRM, described, on_task, quick, request, write_model
from trm_bench.harness.api.text import cleaned, file_name, one_line, printable
from trm_bench.testing.pytest_plugin import RunCli

__all__ = ["quick"]
EVIL = "=cmd|x\x1b[31m\x9b2J\r\u202e\u2028%\n\\input{x}<script>$\\frac$_\x00\x07"
"""Escapes, a line break out of a comment, a formula, a tag, another direction of writing."""
FORMATS = ("text", "markdown", "html", "latex", "csv", "json")


def controls(text: str) -> set[str]:
    """The control characters of a text but for line breaks."""
    unwanted = ("Cc", "Cf", "Zl", "Zp")
    return {letter for letter in text if letter not in "\n\t" and unicodedata.category(letter) in unwanted}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    describe = described(
        display_name=EVIL, requested=EVIL, source=EVIL, cluster=EVIL, headings={"exact": EVIL}
    )
    task, said = on_task(f"t}}{EVIL}"), ["trm-bench", EVIL]
    names = write_model(tmp_path, "trm-mlp", TRM, describe=describe, change=task, notes=[EVIL], command=said)
    names += write_model(tmp_path, "hrm", TRM / 2, change=task, command=said)
    request(tmp_path, names)
    return tmp_path


@pytest.mark.parametrize("reporter", FORMATS)
def test_no_report_holds_control_characters(reporter: str, folder: Path, run_cli: RunCli) -> None:
    ended = run_cli("report", folder, "--format", reporter)
    assert "hrm" in ended.out
    assert controls(ended.out + ended.err) <= {"\u200b"}


def test_latex_is_commented_and_escaped_out(folder: Path, run_cli: RunCli) -> None:
    text = run_cli("report", folder, "--format", "latex").out
    for line in text.splitlines():
        before_comment = re.split(r"(?<!\\)%", line)[0]
        assert r"\input" not in before_comment
    assert all(re.fullmatch(r"[\w.:-]+", label) for label in re.findall(r"\\label\{(.*?)\}", text))


def test_csv_holds_no_formula_and_numbers_as_they_are(folder: Path, run_cli: RunCli) -> None:
    text = run_cli("report", folder, "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(text)))
    cells = [cell for row in rows for cell in row.values()]
    assert any(cell.startswith("'=cmd") for cell in cells)
    for cell in cells:
        assert not re.match(r"[=+\-@\t\r]", cell) or float(cell) is not None
    assert all(float(row["mean"]) >= 0 for row in rows if row["line"] == "score")


@pytest.mark.slow
def test_html_and_markdown_hold_no_tag_of_a_name(folder: Path, run_cli: RunCli) -> None:
    page = run_cli("report", folder, "--format", "html").out
    assert page.count("<script") == 1  # that of the page, which sorts its tables
    text = run_cli("report", folder, "--format", "markdown").out
    assert "<script" not in text.partition("Reproduce with")[0]
    assert r"\|x" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.replace(r"\|", "").count("|") for line in block.splitlines()}) == 1


def test_json_is_one_document_and_whole(folder: Path, run_cli: RunCli) -> None:
    ended = run_cli("report", folder, "--json")
    assert json.loads(ended.out)["tables"]


def test_figures_take_no_name_for_a_formula_or_a_path(folder: Path, run_cli: RunCli, tmp_path: Path) -> None:
    ended = run_cli("report", folder, "--figures", tmp_path / "drawn" / "here")
    assert "Traceback" not in ended.err
    files = list((tmp_path / "drawn").rglob("*.svg"))
    assert files
    assert {file.parent for file in files} == {tmp_path / "drawn" / "here"}
    assert all(re.fullmatch(r"[\w.=-]+", file.name) for file in files)
    assert any(r"$\frac$" in file.read_text() for file in files)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--models", EVIL, "--task", "maze-hard"],
        ["run", "--models", "trm", "--task", EVIL],
        ["run", "--models", "trm", "--task", "maze-hard", "--set", EVIL],
        ["report", EVIL.replace("\x00", "")],
        [EVIL],
        ["list", f"--{EVIL}"],
        ["check", EVIL],
        ["new-plugin", EVIL],
        ["show", EVIL.replace("\x00", "")],
        ["--plugin", EVIL.replace("\x00", ""), "list"],
    ],
)
def test_an_error_spells_out_what_was_typed(words: list[str], run_cli: RunCli) -> None:
    ended = run_cli(*words)
    assert ended.code != 0
    assert controls(ended.err) == set()
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a\x1b[1mb", r"a\x1b[1mb"),
        ("\x9b\u202e\ufeff", r"\x9b\u202e\ufeff"),
        ("\udc80", r"\udc80"),
        ("né 数 ×−Δ\xa0", "né 数 ×−Δ\xa0"),
        ("👩‍🔬", "👩‍🔬"),
    ],
)
def test_control_characters_are_spelled_and_all_others_stay(text: str, spelled: str) -> None:
    assert printable(text) == one_line(text) == spelled
    assert printable("a\n\tb") == "a\n\tb"
    assert one_line("a\r\n\tb\u2028c") == "a b c"


def test_a_records_texts_are_cleaned_wherever_they_are() -> None:
    content: dict[str, Any] = {"a\n": ["b\x1b", 1, (2.0, "c\x07")], "d": None}
    assert cleaned(content) == {"a ": [r"b\x1b", 1, (2.0, r"c\x07")], "d": None}


@pytest.mark.parametrize("text", ["é" * 300, "数" * 300, "a" * 300, "😀/../x", ""])
def test_a_part_of_a_files_name_has_at_most_120_bytes(text: str) -> None:
    name = file_name(text)
    assert len(name.encode()) <= 120
    assert "/" not in name

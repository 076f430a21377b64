"""The word list finds what it should, and the pages of the documentation are clean."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.documents import PAGES, named
from support.paths import ROOT

PLANTED = (
    "`trm` stands for a model.",
    "The table stands below.",
    "A note beside the score.",
    "Weights from elsewhere.",
    "The same in words.",
    "The error says so.",
    "Training goes on.",
    "Train it anew.",
    "Only the first so many puzzles.",
    "It is there for whoever needs it.",
    "The mistake was mended.",
    "The run sets itself down.",
    "It answers the test split.",
    "No difference was seen.",
    "The model halts at step 3.",
    "A cell (model × seed).",
    '    """What the model is."""',
)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("words", ROOT / "docs" / "words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "words", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(words: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only page of a repository of its own."""
    monkeypatch.setattr(words, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs" / "page.md"


@pytest.mark.parametrize("line", PLANTED)
def test_a_planted_pattern_is_found_with_its_place_and_a_replacement(
    words: ModuleType, page: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page.write_text(f"# A page\n\n{line}\n", encoding="utf-8")
    assert words.main() == 1
    printed = capsys.readouterr().out
    assert printed.startswith("docs/page.md:3: ")
    assert "; write: " in printed


def test_every_pattern_is_planted(words: ModuleType, page: Path) -> None:
    page.write_text("\n".join(PLANTED), encoding="utf-8")
    found = " ".join(words.problems(page))
    assert {advice for advice in words.PATTERNS.values() if advice not in found} == set()


def test_plain_english_is_no_problem(
    words: ModuleType, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page.write_text("`trm` resolves to `trm-mlp`. The run saved a checkpoint.\n", encoding="utf-8")
    assert words.main() == 0
    assert capsys.readouterr().out.strip() == ""


@pytest.mark.parametrize("document", PAGES, ids=named)
def test_a_page_has_no_word_that_must_be_translated(words: ModuleType, document: Path) -> None:
    assert words.problems(document) == []

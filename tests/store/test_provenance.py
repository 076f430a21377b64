"""The fingerprint of our own code: every source counts, wherever the package lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from trm_bench.harness.planning.training_grid import changed_sources
from trm_bench.harness.store import provenance
from trm_bench.harness.store.provenance import code_fingerprint

SOURCES = {
    "nn.py": "face",
    "harness/training/trainer.py": "core",
    "plugins/sudoku/mini.yaml": "lr: 1",
    "trm/model.py": "model",
}


def package(root: Path, face: str, changed: str = "") -> Path:
    for name, text in SOURCES.items():
        path = root / (name if "/" in name else f"{face}{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + ("!" if name == changed else ""))
    return root


def test_a_checkout_and_a_wheel_of_it_have_one_fingerprint(tmp_path: Path) -> None:
    checkout = package(tmp_path / "checkout", "trm_bench/")
    assert code_fingerprint(checkout) == code_fingerprint(package(tmp_path / "installed", ""))


@pytest.mark.parametrize("name", SOURCES)
def test_an_edit_of_any_source_changes_it(tmp_path: Path, name: str) -> None:
    before = code_fingerprint(package(tmp_path / "before", "trm_bench/"))
    assert code_fingerprint(package(tmp_path / "after", "trm_bench/", name)) != before


def test_tests_and_results_are_no_part_of_it(tmp_path: Path) -> None:
    before = code_fingerprint(package(tmp_path / "before", "trm_bench/"))
    after = package(tmp_path / "after", "trm_bench/")
    (after / "tests").mkdir()
    (after / "tests" / "test_trm.py").write_text("")
    assert code_fingerprint(after) == before


def test_sources_that_git_says_nothing_of_are_not_taken_for_committed_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {"commit": "1234567890", "changed": None, "fingerprint": "f" * 64}
    monkeypatch.setattr(provenance, "code", lambda: said)
    assert changed_sources() == ["git does not say whether the source tree differs from its commit"]
    monkeypatch.setattr(provenance, "code", lambda: {**said, "changed": []})
    assert changed_sources() == []
    monkeypatch.setattr(provenance, "code", lambda: {"fingerprint": "f" * 64})  # installed, no checkout
    assert changed_sources() == []

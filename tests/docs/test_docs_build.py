"""Sphinx builds the site without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import PAGES
from support.paths import ROOT

pytest.importorskip("furo")
pytest.importorskip("myst_parser")


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """A page in no toctree, a broken link or anchor, an unknown language: each is a warning."""
    built = build(ROOT / "docs", tmp_path)
    assert built.returncode == 0, built.stderr
    pages = {path.relative_to(tmp_path).with_suffix(".md") for path in tmp_path.rglob("*.html")}
    assert {path.relative_to(ROOT / "docs") for path in PAGES} <= pages
    studies = (tmp_path / "studies.html").read_text(encoding="utf-8")
    assert 'class="reference download' in studies  # a link to a file outside of docs/


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((ROOT / "docs" / "conf.py").read_text(encoding="utf-8"))
    (source / "index.md").write_text("# One\n\n[here](#one) [there](#two)\n")
    built = build(source, tmp_path / "site")
    assert built.returncode != 0
    assert "two" in built.stderr
    assert "one" not in built.stderr

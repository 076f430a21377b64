"""The notebook runs, and its two files have the same code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.documents import fenced
from support.paths import ROOT, TESTS, python_path

BLOCKS = [block.code.rstrip("\n") for block in fenced("docs/notebook.md") if block.language == "python"]
LONG, SHORT = "steps=150", "steps=8"
"""How long the notebook trains, and how long here."""
SHOW = """
import ast, json, sys
from support.stored import in_this_process

names = {}
with in_this_process():
    for number, code in enumerate(json.loads(sys.argv[1]), start=1):
        *body, last = ast.parse(code).body
        shown = isinstance(last, ast.Expr)
        exec(compile(ast.Module(body if shown else [*body, last], []), f"block {number}", "exec"), names)
        if shown:
            value = eval(compile(ast.Expression(last.value), f"block {number}", "eval"), names)
            getattr(value, "_repr_html_", value.__repr__)()
print("all blocks ran")
"""
"""Run blocks as a notebook does: the last expression of each is shown. Runs have no process of their own."""


def code_cells() -> list[dict[str, Any]]:
    content = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_notebook_runs_in_a_fresh_process(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert sum(LONG in block for block in BLOCKS) == 1
    blocks = [block.replace(LONG, SHORT) for block in BLOCKS]
    ended = subprocess.run(
        [sys.executable, "-c", SHOW, json.dumps(blocks)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": python_path(TESTS)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("all blocks ran\n")
    assert list(tmp_path.iterdir()) == []  # it writes to a temporary folder of its own


def test_both_files_have_the_same_code() -> None:
    assert BLOCKS
    assert ["".join(cell["source"]) for cell in code_cells()] == BLOCKS


def test_the_kept_outputs_are_those_of_one_run_without_an_error() -> None:
    cells = code_cells()
    assert [cell["execution_count"] for cell in cells] == [*range(1, 1 + len(cells))]
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])

"""What tests of several modules share."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from trm_bench.harness.api.puzzles import PuzzleSet
from trm_bench.plugins.sudoku.board import Shape
from trm_bench.plugins.sudoku.generate import RECIPES, generate

NINE = Shape(3, 3)


HEADER = "source,question,answer,rating\n"


Row = tuple[str, str]


def text(tokens: np.ndarray) -> str:
    return "".join(".123456789"[token - 1] for token in tokens)


@cache
def made() -> PuzzleSet:
    """9×9 puzzles with 40 givens: quick to make."""
    return generate(replace(RECIPES["lite"], givens=40, train=60, validation=0, test=0), 5).train


def row(n: int) -> Row:
    return text(made().inputs[n]), text(made().targets[n])


def lines(*rows: Row) -> str:
    return "".join(f"somewhere,{question},{answer},3\n" for question, answer in rows)


def write(folder: Path, train: str | None = None, test: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    if train is not None:
        (folder / "train.csv").write_text(train)
    if test is not None:
        (folder / "test.csv").write_text(test)
    return folder


def good(folder: Path) -> Path:
    return write(folder, HEADER + lines(*map(row, range(40))), HEADER + lines(*map(row, range(40, 60))))

"""Animations of `trm-bench solve`: a frame for each step, wrong and changed cells in colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.solving import PUZZLE, SCRIPT, SUDOKU, SYMBOLS, solved
from trm_bench.harness.report import animation

from trm_bench import Puzzle

RED, BLUE = (208, 0, 0), (0, 114, 178)


def frames_of(file: Path) -> list[np.ndarray]:
    """The frames of a GIF as (height, width, 3) colours."""
    with Image.open(file) as moving:
        found = []
        for place in range(moving.n_frames):
            moving.seek(place)
            found.append(np.array(moving.convert("RGB")).astype(int))
    return found


def framed(frame: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels are about of a colour."""
    return int((np.abs(frame - colour).max(axis=2) < 60).sum())


@pytest.mark.slow
def test_an_animation_frames_wrong_cells_red_and_changed_ones_blue(tmp_path: Path) -> None:
    animation.animate(tmp_path / "a.gif", solved(), SUDOKU, SYMBOLS, "title")
    frames = frames_of(tmp_path / "a.gif")
    red, blue = ([framed(frame, colour) for frame in frames] for colour in (RED, BLUE))
    assert red[0] > red[1] > red[2] == 0
    assert blue[0] == 0
    assert min(blue[1:]) > 10
    unknown = solved(puzzle=Puzzle(PUZZLE.inputs, None, None, ""))
    animation.animate(tmp_path / "b.gif", unknown, SUDOKU, SYMBOLS, "title")
    assert [framed(frame, RED) for frame in frames_of(tmp_path / "b.gif")] == [0, 0, 0]


def test_an_animation_is_the_same_every_time_whatever_the_case_of_its_suffix(tmp_path: Path) -> None:
    files = [tmp_path / "a.gif", tmp_path / "b.GIF"]
    for file in files:
        animation.check(file)
        animation.animate(file, solved(SCRIPT[:1]), SUDOKU, SYMBOLS, "title")
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_failing_write_leaves_the_old_animation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps.gif").write_bytes(b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        animation.animate(tmp_path / "steps.gif", solved(SCRIPT[:1]), SUDOKU, SYMBOLS, "title")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]

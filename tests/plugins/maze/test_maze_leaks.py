"""Mazes that are the same up to turns, and what is known of a maze."""

from __future__ import annotations

import numpy as np
from trm_bench.plugins.maze.common import canonical, features
from trm_bench.plugins.maze.generate import generate
from trm_bench.plugins.maze.scales import GOAL, MINI, OPEN, START, WALL
from trm_bench.plugins.maze.symmetry import dihedral_cells

from trm_bench import PuzzleSet, TaskInfo

INFO = TaskInfo("maze-hard", "mini", MINI.side, MINI.side, 6)


def test_turned_mazes_and_those_with_other_ends_have_one_key_and_others_have_not() -> None:
    questions, answers = generate(MINI, 0, 30, workers=1)
    assert len(set(canonical(INFO, questions, answers))) == 30
    images = questions[:1][:, dihedral_cells(MINI.side)][0]
    assert set(canonical(INFO, images, images)) == set(canonical(INFO, questions[:1], answers[:1]))
    swapped = np.where(questions == START, GOAL, np.where(questions == GOAL, START, questions)).astype(
        np.uint8
    )
    assert canonical(INFO, swapped, answers) == canonical(INFO, questions, answers)
    walled = questions.copy()
    for row in walled:
        row[np.flatnonzero(row == OPEN)[0]] = WALL
    assert not set(canonical(INFO, walled[:1], answers[:1])) & set(
        canonical(INFO, questions[:1], answers[:1])
    )


def test_moves_and_walls_are_known_of_each_maze() -> None:
    questions, answers = generate(MINI, 0, 30, workers=1)
    puzzles = PuzzleSet.single_identity(questions, answers, [str(number) for number in range(30)])
    known = features(INFO, puzzles)
    assert known["moves"].tolist() == (1 + (answers != questions).sum(axis=1)).tolist()
    assert known["walls"].tolist() == (questions == WALL).sum(axis=1).tolist()

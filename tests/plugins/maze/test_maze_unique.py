"""Maze-Unique: every maze is a spanning tree with one path of a drawn length."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from trm_bench.harness.api.predictions import Predictions
from trm_bench.harness.api.puzzles import PuzzleSet, TaskData, TaskInfo, Tokens
from trm_bench.harness.api.specs import BuildRequest
from trm_bench.plugins.maze import grid, tree, unique
from trm_bench.plugins.maze.dice import new_dice
from trm_bench.plugins.maze.evaluate import EVALUATORS
from trm_bench.plugins.maze.generate import generate
from trm_bench.plugins.maze.paths import answer_moves
from trm_bench.plugins.maze.scales import (
    GOAL,
    OPEN,
    PATH,
    START,
    UNIQUE,
    UNIQUE_MINI,
    UNIQUE_SCALES,
    UNIQUE_SHAPES,
    UNIQUE_SMALL,
    WALL,
    Shape,
)
from trm_bench.plugins.maze.symmetry import canonical_walls
from trm_bench.plugins.scoring import exact


@pytest.fixture(scope="module")
def mini() -> TaskData:
    return unique.build(BuildRequest("mini", seed=0))


def is_tree(question: Tokens, side: int) -> bool:
    """Whether the open cells hang together without a loop, by plain union of neighbours."""
    cells = {divmod(int(cell), side) for cell in np.flatnonzero(question != WALL)}
    edges = [((r, c), there) for r, c in cells for there in ((r + 1, c), (r, c + 1)) if there in cells]
    parent = {cell: cell for cell in cells}

    def root(cell: tuple[int, int]) -> tuple[int, int]:
        while parent[cell] != cell:
            cell = parent[cell]
        return cell

    for one, other in edges:
        parent[root(one)] = root(other)
    return len(edges) == len(cells) - 1 and len({root(cell) for cell in cells}) == 1


def require_mazes(questions: Tokens, answers: Tokens, shape: Shape) -> None:
    """Each is a tree of all rooms with one S, one G and the path of a declared length as its label."""
    rooms = (shape.side + 1) // 2
    assert ((questions != WALL).sum(axis=1) == 2 * rooms**2 - 1).all()
    assert ((questions == START).sum(axis=1) == 1).all()
    assert ((questions == GOAL).sum(axis=1) == 1).all()
    moves = answer_moves(questions, answers, shape.side, shape.side)
    assert shape.max_moves is not None
    assert shape.min_moves <= moves.min() <= moves.max() <= shape.max_moves
    assert ((answers == PATH).sum(axis=1) == moves - 1).all()
    for question in questions:
        assert is_tree(question, shape.side)
        assert (question.reshape(shape.side, shape.side)[::2, ::2] != WALL).all()


def test_every_scale_has_a_shape_of_its_own_name_and_the_published_size() -> None:
    assert UNIQUE_SHAPES.keys() == UNIQUE_SCALES.keys()
    assert all(name == scale.name for name, scale in UNIQUE_SCALES.items())
    assert UNIQUE_SHAPES["lite"] == UNIQUE_SHAPES["paper"]
    assert UNIQUE_SCALES["paper"].optimiser_steps(UNIQUE.train) == 130_208


def test_mini_mazes_are_trees_with_one_path_and_no_wall_map_comes_twice(mini: TaskData) -> None:
    splits = (mini.train, mini.validation, mini.test)
    assert [len(split) for split in splits] == [1000, 200, 500]
    assert mini.test.ids[7] == "test/7x7-v1-seed0/7"
    assert "Wilson" in mini.source.summary
    for split in splits:
        require_mazes(split.inputs, split.targets, UNIQUE_MINI)
    keys = [key for split in splits for key in canonical_walls(split.inputs, 7).tolist()]
    assert len(set(keys)) == len(keys)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [UNIQUE_SMALL, UNIQUE], ids=["small", "published"])
def test_larger_mazes_are_trees_with_one_path(shape: Shape) -> None:
    require_mazes(*generate(shape, 3, 100), shape)


@given(st.sampled_from([3, 4, 6, 7, 9, 12]), st.integers(0, 2**31), st.data())
@settings(deadline=None, max_examples=60)
def test_drawn_mazes_have_the_moves_that_were_declared(side: int, seed: int, data: st.DataObject) -> None:
    least = data.draw(st.integers(1, 4))
    most = data.draw(st.integers(least, 4))
    questions = tree.draw_trees(new_dice(seed), 5, side, least, most)
    assert len(questions) == 5
    shape = Shape(side, least, 5, 0, 0, max_moves=most)
    require_mazes(questions, grid.solve_all(questions, side, side), shape)


def test_lengths_are_uniform(mini: TaskData) -> None:
    moves = [
        move
        for split in (mini.train, mini.validation, mini.test)
        for move in answer_moves(split.inputs, split.targets, 7, 7).tolist()
    ]
    counts = [moves.count(length) for length in range(16, 23)]
    assert sum(counts) == len(moves)
    assert chisquare(counts).pvalue > 0.001


def test_every_spanning_tree_is_equally_likely() -> None:
    # 3x3 rooms have 192 spanning trees (Kirchhoff).
    board, onward = np.zeros(49, np.uint8), np.empty(49, np.int32)
    dice = new_dice(4)
    seen: Counter[bytes] = Counter()
    for _ in range(192 * 60):
        tree.draw_tree(dice, 5, board, onward)
        seen[board.tobytes()] += 1
    assert len(seen) == 192
    assert chisquare(list(seen.values())).pvalue > 0.001


def test_s_and_g_are_drawn_uniformly_among_the_pairs_that_far_apart() -> None:
    board, dice = np.zeros(49, np.uint8), new_dice(5)
    tree.draw_tree(dice, 5, board, np.empty(49, np.int32))
    distance, queue = np.empty(49, np.int32), np.empty(49, np.int32)
    pairs = []
    for place in np.flatnonzero(board):
        grid.flood(board, 5, place, distance, queue)
        pairs += [(int(place), int(there)) for there in np.flatnonzero(distance == 5)]
    drawn = Counter(tree.pair_apart(dice, board, 5, 5) for _ in range(100 * len(pairs)))
    assert drawn.keys() == set(pairs)
    assert chisquare([drawn[pair] for pair in pairs]).pvalue > 0.001
    assert tree.pair_apart(dice, board, 5, 40) == (0, 0)


def test_a_length_that_no_tree_has_ends_the_chunk() -> None:
    assert len(tree.draw_trees(new_dice(0), 5, 3, 9, 9)) == 0


@pytest.mark.parametrize("shape", [UNIQUE_MINI, UNIQUE], ids=["mini", "published"])
def test_neither_workers_nor_the_number_of_mazes_change_a_maze(shape: Shape) -> None:
    questions, answers = generate(shape, 5, 20, workers=1)
    more, labels = generate(shape, 5, 22, workers=3)
    assert np.array_equal(more[:20], questions)
    assert np.array_equal(labels[:20], answers)
    assert not np.array_equal(generate(shape, 6, 1)[0], questions[:1])


def scored(questions: Tokens, answers: Tokens, predicted: Tokens) -> list[list[float]]:
    """Scores by exact match, and by every evaluator of mazes."""
    puzzles = PuzzleSet.single_identity(questions, answers, [str(row) for row in range(len(questions))])
    predictions = Predictions(predicted, 1, np.ones(len(questions), int), np.full(len(questions), np.nan))
    info = TaskInfo("maze-unique", "mini", 7, 7, 6)
    evaluates = (exact, *(spec.evaluate for spec in EVALUATORS))
    return [[sample.score for sample in evaluate(info, puzzles, predictions)] for evaluate in evaluates]


def variants(question: Tokens, answer: Tokens) -> Sequence[Tokens]:
    """The label, the question, one mark too few, one too many and one wall opened."""
    fewer, more, opened = answer.copy(), answer.copy(), answer.copy()
    fewer[np.flatnonzero(answer == PATH)[3]] = OPEN
    more[np.flatnonzero(answer == OPEN)[0]] = PATH
    opened[np.flatnonzero(answer == WALL)[0]] = OPEN
    return [answer, question, fewer, more, opened]


def test_a_path_is_valid_only_if_it_is_the_label(mini: TaskData) -> None:
    rows = [
        (question, answer, predicted)
        for question, answer in zip(mini.test.inputs[:40], mini.test.targets[:40], strict=True)
        for predicted in variants(question, answer)
    ]
    questions, answers, predicted = (np.stack(part) for part in zip(*rows, strict=True))
    for scores in scored(questions, answers, predicted):
        assert scores == list(itertools.chain.from_iterable([[1.0, 0, 0, 0, 0]] * 40))


def test_a_typed_maze_is_read_and_its_rules_are_checked(mini: TaskData) -> None:
    text = "\n".join(grid.to_text(mini.test.inputs[0])[row : row + 7] for row in range(0, 49, 7))
    assert unique.TASK.parse is not None
    assert unique.TASK.check_rules is not None
    (puzzle,) = unique.TASK.parse(text, mini.info)
    assert np.array_equal(puzzle.targets, mini.test.targets[:1])
    assert unique.TASK.check_rules(mini.info, puzzle, mini.test.targets[0]).valid
    assert not unique.TASK.check_rules(mini.info, puzzle, mini.test.inputs[0]).valid

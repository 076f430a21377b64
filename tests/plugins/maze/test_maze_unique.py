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
from trm_bench.plugins.maze import depth_first, grid, tree, unique
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
    rooms = (shape.side - 1) // 2 if shape.depth_first else (shape.side + 1) // 2
    first = 1 if shape.depth_first else 0
    assert ((questions != WALL).sum(axis=1) == 2 * rooms**2 - 1).all()
    assert ((questions == START).sum(axis=1) == 1).all()
    assert ((questions == GOAL).sum(axis=1) == 1).all()
    moves = answer_moves(questions, answers, shape.side, shape.side)
    assert shape.max_moves is not None
    assert shape.min_moves <= moves.min() <= moves.max() <= shape.max_moves
    assert ((answers == PATH).sum(axis=1) == moves - 1).all()
    for question in questions:
        assert is_tree(question, shape.side)
        grid_of = question.reshape(shape.side, shape.side)
        assert (grid_of[first::2, first::2][:rooms, :rooms] != WALL).all()
        assert not shape.depth_first or (grid_of[[0, 2 * rooms]] == WALL).all()


def test_every_scale_has_a_shape_of_its_own_name_and_the_published_size() -> None:
    assert UNIQUE_SHAPES.keys() == UNIQUE_SCALES.keys()
    assert all(name == scale.name for name, scale in UNIQUE_SCALES.items())
    assert UNIQUE_SHAPES["lite"] == UNIQUE_SHAPES["paper"]
    assert UNIQUE_SCALES["paper"].optimiser_steps(UNIQUE.train) == 130_208


def test_mini_mazes_are_trees_with_one_path_and_no_wall_map_comes_twice(mini: TaskData) -> None:
    splits = (mini.train, mini.validation, mini.test)
    assert [len(split) for split in splits] == [1000, 200, 500]
    assert mini.test.ids[7] == "test/7x7-v2-seed0/7"
    assert "Wilson" in mini.source.summary
    for split in splits:
        require_mazes(split.inputs, split.targets, UNIQUE_MINI)
    keys = [key for split in splits for key in canonical_walls(split.inputs, 7).tolist()]
    assert len(set(keys)) == len(keys)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [UNIQUE_SMALL, UNIQUE], ids=["small", "published"])
def test_larger_mazes_are_trees_with_one_path(shape: Shape) -> None:
    require_mazes(*generate(shape, 3, 100), shape)


@given(st.sampled_from([5, 6, 7, 9, 12]), st.booleans(), st.integers(0, 2**31), st.data())
@settings(deadline=None, max_examples=60)
def test_drawn_mazes_have_the_moves_that_were_declared(
    side: int, deep: bool, seed: int, data: st.DataObject
) -> None:
    least = data.draw(st.integers(1, 4))
    most = data.draw(st.integers(least, 4))
    questions = tree.draw_trees(new_dice(seed), 5, side, least, most, deep)
    assert len(questions) == 5
    shape = Shape(side, least, 5, 0, 0, max_moves=most, depth_first=deep)
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


Room = tuple[int, int]


def depth_first_shares() -> dict[frozenset[tuple[Room, Room]], float]:
    """The probability of each spanning tree of 3x3 rooms in a randomised depth-first search: all searches."""
    shares: dict[frozenset[tuple[Room, Room]], float] = {}

    def walk(path: list[Room], edges: frozenset[tuple[Room, Room]], share: float) -> None:
        seen = {room for edge in edges for room in edge} | set(path)
        while path:
            r, c = path[-1]
            onward = [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
            free = [there for there in onward if min(there) >= 0 and max(there) < 3 and there not in seen]
            for there in free:
                edge = (min(path[-1], there), max(path[-1], there))
                walk([*path, there], edges | {edge}, share / len(free))
            if free:
                return
            path = path[:-1]
        shares[edges] = shares.get(edges, 0.0) + share

    for row, column in itertools.product(range(3), repeat=2):
        walk([(row, column)], frozenset(), 1 / 9)
    return shares


def test_trees_are_as_likely_as_in_a_depth_first_search() -> None:
    shares, draws = depth_first_shares(), 20_000
    board, path, dice = np.zeros(81, np.uint8), np.empty(81, np.int32), new_dice(7)
    seen: Counter[frozenset[tuple[Room, Room]]] = Counter()
    for _ in range(draws):
        depth_first.draw_deep_tree(dice, 7, board, path)
        cells = board.reshape(9, 9)[1:-1, 1:-1]
        down = [((r, c), (r + 1, c)) for r in range(2) for c in range(3) if cells[2 * r + 2, 2 * c + 1]]
        right = [((r, c), (r, c + 1)) for r in range(3) for c in range(2) if cells[2 * r + 1, 2 * c + 2]]
        seen[frozenset(down + right)] += 1
    assert sum(shares.values()) == pytest.approx(1)
    assert seen.keys() <= shares.keys()
    trees = list(shares)
    assert chisquare([seen[one] for one in trees], [draws * shares[one] for one in trees]).pvalue > 0.001


def test_of_a_deep_tree_s_is_drawn_among_all_cells_that_have_a_goal() -> None:
    board, dice = np.zeros(81, np.uint8), new_dice(8)
    depth_first.draw_deep_tree(dice, 7, board, np.empty(81, np.int32))
    distance, queue = np.empty(81, np.int32), np.empty(81, np.int32)
    goals: dict[int, list[int]] = {}
    for place in np.flatnonzero(board):
        grid.flood(board, 7, place, distance, queue)
        if there := np.flatnonzero(distance == 7).tolist():
            goals[int(place)] = there
    share = {(start, goal): 1 / len(goals) / len(ends) for start, ends in goals.items() for goal in ends}
    draws = 100 * len(share)
    drawn = Counter(depth_first.goal_apart(dice, board, 7, 7) for _ in range(draws))
    assert drawn.keys() == share.keys()
    assert chisquare([drawn[pair] for pair in share], [draws * p for p in share.values()]).pvalue > 0.001
    assert depth_first.goal_apart(dice, board, 7, 60) == (0, 0)


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
    for deep in (False, True):
        assert len(tree.draw_trees(new_dice(0), 5, 5, 30, 30, deep)) == 0


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

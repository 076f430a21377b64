"""What counts as a valid and as a shortest path."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.maze import to_tokens
from trm_bench.harness.api.predictions import Predictions
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo
from trm_bench.plugins.maze import paths
from trm_bench.plugins.maze.evaluate import evaluate_shortest, evaluate_valid
from trm_bench.plugins.maze.grid import shortest_moves_all, solve
from trm_bench.plugins.maze.scales import GOAL, OPEN, PATH, START, WALL


def drawn(picture):
    """The tokens of rows that are set off by slashes, with dots for open cells."""
    return to_tokens(picture.replace("/", "").replace(".", " "))


def scores(question, predicted):
    """(valid, shortest, extras) for each of the predictions for one square question."""
    tokens = np.stack([drawn(picture) for picture in predicted])
    repeated = np.repeat(drawn(question)[None], len(predicted), axis=0)
    side = len(question.split("/"))
    puzzles = PuzzleSet.single_identity(repeated, tokens, [f"item-{row}" for row in range(len(predicted))])
    info = TaskInfo("maze-hard", "mini", side, side, 6)
    steps = np.full(len(predicted), 16)
    predictions = Predictions(tokens, 16, steps, np.full(len(predicted), np.nan))
    valid = evaluate_valid(info, puzzles, predictions)
    shortest = evaluate_shortest(info, puzzles, predictions)
    assert [sample.item for sample in valid] == [sample.item for sample in shortest] == puzzles.ids.tolist()
    return [(one.score, two.score, dict(one.extras)) for one, two in zip(valid, shortest, strict=True)]


FIELD = "S.../..../..../...G"
WALLED = "S.#./..#./..#./...G"
WIDE = "S...G/...../...../...../....."


@pytest.mark.parametrize(
    ("question", "predicted", "valid", "shortest"),
    [
        pytest.param(FIELD, "S.../o.../o.../oooG", 1, 1, id="the label"),
        pytest.param(FIELD, "Sooo/...o/...o/...G", 1, 1, id="another shortest path"),
        pytest.param(WIDE, "S...G/o...o/ooooo/...../.....", 1, 0, id="a detour"),
        pytest.param(WIDE, "So.oG/.ooo./...../...../.....", 1, 0, id="a detour that touches itself"),
        pytest.param(WIDE, "S.ooG/o.o../ooo../...../.....", 1, 0, id="a detour with bends"),
        pytest.param(WALLED, "S.#./o.#./..#./oooG", 0, 0, id="a broken path"),
        pytest.param(WALLED, "S.#./o.#./o.#./oo.G", 0, 0, id="a path that stops before G"),
        pytest.param(WALLED, "Soo./..o./..o./..oG", 0, 0, id="a path through walls"),
        pytest.param(WALLED, "S.#./o.../o.#./oooG", 0, 0, id="a wall became open"),
        pytest.param(WALLED, "S##./o.#./o.#./oooG", 0, 0, id="an open cell became a wall"),
        pytest.param(WALLED, "S.#o/o.#./o.#./oooG", 0, 0, id="an extra mark far away"),
        pytest.param(WALLED, "S.#./oo#./o.#./oooG", 0, 0, id="an extra mark next to the path"),
        pytest.param(WIDE, "SoooG/..o../..o../...../.....", 0, 0, id="a spur of two marks"),
        pytest.param(WALLED, "o.#./o.#./o.#./oooG", 0, 0, id="S is missing"),
        pytest.param(WALLED, "S.#./o.#./o.#./oooo", 0, 0, id="G is missing"),
        pytest.param(WALLED, "S.#./o.#./o.#./ooGG", 0, 0, id="a second G"),
        pytest.param(WALLED, WALLED, 0, 0, id="no mark at all"),
        pytest.param(WALLED, "S.#./o.#./o.#./o?oG", 0, 0, id="padding on the path"),
        pytest.param("SG/..", "SG/..", 1, 1, id="S and G side by side"),
        pytest.param("SG/..", "SG/oo", 1, 0, id="the long way round"),
    ],
)
def test_hand_made_predictions(question, predicted, valid, shortest):
    assert scores(question, [predicted])[0][:2] == (valid, shortest)


def test_a_valid_prediction_has_the_moves_that_it_is_too_long():
    rows = ["S...G/o...o/ooooo/...../.....", "SoooG/...../...../...../.....", WIDE]
    extras = [extra for _, _, extra in scores(WIDE, rows)]
    assert extras == [{"excess_moves": 4.0}, {"excess_moves": 0.0}, {}]


def has_simple_path(marks, here, goal):
    """Whether all of ``marks`` can be walked once, from ``here`` to ``goal``; plain recursion."""
    left = marks - {here}
    if here == goal:
        return not left
    row, column = here
    neighbours = {(row + 1, column), (row, column - 1), (row, column + 1), (row - 1, column)}
    return any(has_simple_path(left, there, goal) for there in neighbours & left)


@given(st.integers(2, 4), st.integers(2, 4), st.data())
@settings(deadline=None, max_examples=400)
def test_the_search_for_a_path_agrees_with_plain_recursion(height, width, data):
    places = list(itertools.product(range(height), range(width)))
    ends = data.draw(st.permutations(places))[:2]
    # Mostly marked: scattered marks are never a path.
    marks = {place for place in places if data.draw(st.integers(0, 3)) or place in ends}
    answer = np.full((height, width), OPEN, np.uint8)
    for place in marks:
        answer[place] = PATH
    answer[ends[0]], answer[ends[1]] = START, GOAL
    expected = len(marks) - 1 if has_simple_path(marks, ends[0], ends[1]) else -1
    assert paths.path_moves(answer.ravel(), height, width) == expected


def test_a_solid_blob_is_judged_in_bounded_time():
    blob = np.full(900, PATH, np.uint8)
    blob[0], blob[435] = START, GOAL
    assert paths.path_moves(blob, 30, 30) in (-1, 899)


@given(st.lists(st.sampled_from("#.."), min_size=25, max_size=25), st.permutations(range(25)))
@settings(deadline=None, max_examples=60)
def test_every_label_of_a_solvable_maze_is_valid_and_shortest(cells, order):
    cells[order[0]], cells[order[1]] = "S", "G"
    question = drawn("".join(cells))
    answer = solve(question, 5, 5)
    moves, shortest = paths.judge(question[None], answer[None], 5, 5)
    assert moves[0] == shortest[0]
    if shortest[0] > 1:
        answer[np.flatnonzero(answer == PATH)[0]] = OPEN
        assert paths.judge(question[None], answer[None], 5, 5)[0][0] == -1


def test_shortest_paths_are_those_of_the_compiled_search():
    walls = np.random.default_rng(0).random((200, 35)) < 0.3
    questions = np.where(walls, WALL, OPEN).astype(np.uint8)
    questions[:, 3], questions[:, 31] = START, GOAL
    expected = shortest_moves_all(questions, 7, 5).tolist()
    assert [paths.shortest_moves(question, 7, 5) for question in questions] == expected
    assert 0 < expected.count(-1) < 200


def test_a_question_that_nothing_is_marked_in_needs_no_shortest_path():
    question = drawn(FIELD)[None]
    moves, shortest = paths.judge(question, question, 4, 4)
    assert (moves.tolist(), shortest.tolist()) == ([-1], [-1])


def test_whole_mazes_filled_with_marks_are_no_paths():
    questions = np.where(np.random.default_rng(1).random((300, 900)) < 0.37, WALL, OPEN).astype(np.uint8)
    questions[:, 0], questions[:, 899] = START, GOAL
    filled = np.where(questions == OPEN, PATH, questions).astype(np.uint8)
    assert (paths.answer_moves(questions, filled, 30, 30) == -1).all()


def test_a_walk_all_over_a_solid_board_is_a_path_of_all_its_moves():
    board = np.full(900, PATH, np.uint8)
    board[0], board[870] = START, GOAL
    assert paths.path_moves(board, 30, 30) == 899
    board[870], board[840] = PATH, GOAL  # the colour of G no longer fits the number of moves
    assert paths.path_moves(board, 30, 30) == -1


EVALUATE = """
import sys
import numpy as np
from trm_bench.harness.api.predictions import Predictions
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo
from trm_bench.plugins.maze import trm_bench_register_evaluators

question = np.array([[3, 2, 2, 4]], np.uint8)
answer = np.array([[3, 5, 5, 4]], np.uint8)
puzzles = PuzzleSet.single_identity(question, answer, ["item"])
predictions = Predictions(answer, 1, np.ones(1, np.int64), np.full(1, np.nan))
for spec in trm_bench_register_evaluators():
    (sample,) = spec.evaluate(TaskInfo("maze-hard", "mini", 1, 4, 6), puzzles, predictions)
    assert sample.score == 1
print("numba" in sys.modules)
"""


def test_evaluating_compiles_nothing():
    done = subprocess.run([sys.executable, "-c", EVALUATE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

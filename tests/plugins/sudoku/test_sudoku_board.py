"""Board, symmetries, invariant and evaluator of the Sudoku task."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trm_bench.harness.api.predictions import Predictions
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo, Tokens
from trm_bench.plugins.sudoku.augment import SudokuSymmetries
from trm_bench.plugins.sudoku.board import BLANK, Shape, full_and_valid, keeps_givens
from trm_bench.plugins.sudoku.evaluate import sudoku_valid
from trm_bench.plugins.sudoku.symmetry import invariants

SHAPES = [Shape(2, 2), Shape(2, 3), Shape(3, 2), Shape(3, 3)]
shapes = st.sampled_from(SHAPES)
seeds = st.integers(0, 2**62)
ks = st.integers(0, 10_000)


def pattern(shape: Shape) -> Tokens:
    """The textbook grid: each row is the one above moved by a box."""
    rows = np.arange(shape.side)
    shift = rows % shape.box_height * shape.box_width + rows // shape.box_height
    return ((shift[:, None] + rows) % shape.side + 2).astype(np.uint8).reshape(1, -1)


def random_question(shape: Shape, seed: int) -> Tokens:
    grid = SudokuSymmetries(shape).transforms(seed, np.arange(1), np.ones(1, np.int64)).apply(pattern(shape))
    hidden = np.random.default_rng(seed).random(grid.shape) < 0.6
    return np.where(hidden, BLANK, grid).astype(np.uint8)


def transform(shape: Shape, seed: int, item: int, k: int):
    return SudokuSymmetries(shape).transforms(seed, np.array([item]), np.array([k]))


def test_boxes_of_a_6x6_board_are_two_rows_by_three_columns():
    boxes = Shape.of_side(6).box_of.reshape(6, 6)
    assert boxes.tolist()[0] == [0, 0, 0, 1, 1, 1]
    assert boxes[:, 0].tolist() == [0, 0, 2, 2, 4, 4]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_cell_sees_its_row_column_and_box(shape):
    expected = 2 * (shape.side - 1) + (shape.box_height - 1) * (shape.box_width - 1)
    assert shape.peers.shape == (shape.cells, expected)
    assert all(cell not in peers for cell, peers in enumerate(shape.peers))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_grid_is_valid_until_one_cell_changes(shape):
    grid = pattern(shape)
    broken = np.repeat(grid, shape.cells, axis=0)
    np.fill_diagonal(broken, np.where(grid == 2, 3, 2)[0])
    assert full_and_valid(shape, grid).all()
    assert not full_and_valid(shape, broken).any()


@pytest.mark.parametrize("token", [0, BLANK])
def test_a_grid_with_a_hole_is_not_full(token):
    grid = pattern(Shape(3, 3))
    grid[0, 40] = token
    assert not full_and_valid(Shape(3, 3), grid).any()


def test_a_prediction_must_keep_the_givens_only():
    answer = pattern(Shape(2, 2))
    question = np.full_like(answer, BLANK)
    question[0, 3] = answer[0, 3]
    assert keeps_givens(question, answer).tolist() == [True]
    question[0, 3] = answer[0, 2]
    assert keeps_givens(question, answer).tolist() == [False]


@given(shapes, seeds, st.integers(0, 10**6), ks)
def test_an_augmentation_of_a_valid_grid_is_valid(shape, seed, item, k):
    assert full_and_valid(shape, transform(shape, seed, item, k).apply(pattern(shape))).all()


@given(shapes, seeds, ks, st.data())
def test_invert_undoes_apply_for_any_tokens(shape, seed, k, data):
    cells = st.lists(st.integers(0, shape.vocab_size - 1), min_size=shape.cells, max_size=shape.cells)
    tokens = np.array([data.draw(cells)], dtype=np.uint8)
    moved = transform(shape, seed, 3, k)
    assert np.array_equal(moved.invert(moved.apply(tokens)), tokens)
    assert np.array_equal(moved.apply(moved.invert(tokens)), tokens)


@given(shapes, seeds, st.integers(0, 10**6))
def test_augmentation_0_is_the_puzzle_itself(shape, seed, item):
    tokens = random_question(shape, seed)
    assert np.array_equal(transform(shape, seed, item, 0).apply(tokens), tokens)


@given(shapes, seeds, ks)
def test_padding_and_blanks_keep_their_code(shape, seed, k):
    tokens = np.zeros((1, shape.cells), dtype=np.uint8)
    moved = transform(shape, seed, 0, k)
    assert np.array_equal(moved.apply(tokens), tokens)
    assert np.array_equal(moved.apply(tokens + BLANK), tokens + BLANK)


@given(shapes, seeds, st.lists(st.tuples(st.integers(0, 9), ks), min_size=1, max_size=8))
def test_an_augmentation_does_not_depend_on_its_company(shape, seed, pairs):
    items, numbers = np.array(pairs).T
    together = SudokuSymmetries(shape).transforms(seed, items, numbers)
    for n, (item, k) in enumerate(pairs):
        alone = transform(shape, seed, item, k)
        assert np.array_equal(together.cells[n], alone.cells[0])
        assert np.array_equal(together.tokens[n], alone.tokens[0])


def test_items_seeds_and_numbers_give_different_augmentations():
    made = [transform(Shape(3, 3), *axes) for axes in ((0, 1, 1), (0, 1, 2), (0, 2, 1), (1, 1, 1))]
    assert len({one.cells.tobytes() + one.tokens.tobytes() for one in made}) == 4


def test_every_cell_position_and_digit_is_reached_alike():
    many = SudokuSymmetries(Shape(2, 3)).transforms(0, np.arange(6000), np.ones(6000, np.int64))
    where = np.bincount(many.cells[:, 0], minlength=36)
    names = np.bincount(many.tokens[:, 2], minlength=8)[2:]
    assert where.min() > 100
    assert where.max() < 240
    assert names.min() > 850


def test_only_square_boxes_are_transposed():
    def transposed(shape: Shape) -> int:
        cells = SudokuSymmetries(shape).transforms(0, np.arange(400), np.ones(400, np.int64)).cells
        same_row = cells[:, 0] // shape.side == cells[:, 1] // shape.side
        return int((~same_row).sum())

    assert transposed(Shape(2, 3)) == 0
    assert 150 < transposed(Shape(3, 3)) < 250


@given(shapes, seeds, ks)
def test_symmetric_questions_have_one_invariant(shape, seed, k):
    question = random_question(shape, seed)
    moved = transform(shape, seed, 1, k).apply(question)
    assert invariants(shape, question) == invariants(shape, moved)


@settings(max_examples=50)
@given(seeds, st.integers(0, 80))
def test_one_given_more_changes_the_invariant(seed, cell):
    question = random_question(Shape(3, 3), seed)
    more = question.copy()
    more[0, cell] = 2 if question[0, cell] == BLANK else BLANK
    assert invariants(Shape(3, 3), question) != invariants(Shape(3, 3), more)


def test_a_transpose_is_no_symmetry_of_a_6x6_board():
    question = random_question(Shape(2, 3), 4)
    turned = question.reshape(6, 6).T.reshape(1, 36)
    assert invariants(Shape(2, 3), question) != invariants(Shape(2, 3), turned)


def test_invariants_of_many_chunks_equal_those_one_by_one(monkeypatch):
    questions = np.concatenate([random_question(Shape(3, 3), seed) for seed in range(7)])
    monkeypatch.setattr("trm_bench.plugins.sudoku.symmetry.CHUNK", 3)
    together = invariants(Shape(3, 3), questions)
    assert together.tolist() == [invariants(Shape(3, 3), one[None])[0] for one in questions]
    assert len(set(together.tolist())) == 7


def test_the_evaluator_wants_a_valid_grid_with_the_givens():
    grid = pattern(Shape(3, 3))
    other = transform(Shape(3, 3), 0, 0, 1).apply(grid)
    question = np.where(np.arange(81) < 20, grid, BLANK).astype(np.uint8)
    hole = grid.copy()
    hole[0, 80] = BLANK
    puzzles = PuzzleSet.single_identity(
        np.repeat(question, 3, axis=0), np.repeat(grid, 3, axis=0), list("abc")
    )
    predictions = Predictions(
        np.concatenate([grid, other, hole]), 1, np.ones(3, np.int64), np.full(3, np.nan)
    )
    samples = sudoku_valid(TaskInfo("sudoku-extreme", "lite", 9, 9, 11), puzzles, predictions)
    assert [(sample.item, sample.cluster, sample.score) for sample in samples] == [
        ("a", "a", 1.0),
        ("b", "b", 0.0),
        ("c", "c", 0.0),
    ]

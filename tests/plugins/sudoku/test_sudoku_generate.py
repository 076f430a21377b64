"""The solver, the generator and the generated source of the Sudoku task."""

from __future__ import annotations

import gzip
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from trm_bench.harness.api.errors import DataError, UsageError
from trm_bench.harness.api.specs import AugmentationRequest, BuildRequest
from trm_bench.plugins.sudoku.augment import SudokuSymmetries
from trm_bench.plugins.sudoku.board import BLANK, Shape, full_and_valid, keeps_givens
from trm_bench.plugins.sudoku.generate import GUESSES, RECIPES, Recipe, Splits, generate, guess_ranges
from trm_bench.plugins.sudoku.solver import solve
from trm_bench.plugins.sudoku.symmetry import invariants
from trm_bench.plugins.sudoku.task import augmentation, build

NINE = Shape(3, 3)
EASY = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
EASY_ANSWER = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
SMALL_9X9 = Recipe(NINE, None, train=24, validation=4, test=8)


def tokens(*puzzles: str) -> np.ndarray:
    return np.array([[1 if c in ".0" else int(c) + 1 for c in puzzle] for puzzle in puzzles], np.uint8)


@cache
def mini() -> Splits:
    return generate(RECIPES["mini"], 0)


@cache
def small() -> Splits:
    return generate(SMALL_9X9, 0, workers=3)


def parts(splits: Splits) -> list:
    return [splits.train, splits.validation, splits.test]


def test_a_known_easy_puzzle_needs_no_guess():
    solved = solve(NINE, tokens(EASY))
    assert np.array_equal(solved.answers, tokens(EASY_ANSWER))
    assert (solved.solutions[0], solved.guesses[0]) == (1, 0)


def test_solutions_are_counted_up_to_the_limit():
    empty = np.full((1, 16), BLANK, np.uint8)
    assert solve(Shape(2, 2), empty, limit=1000).solutions[0] == 288
    assert solve(Shape(2, 2), empty).solutions[0] == 2


def test_two_equal_digits_in_a_row_have_no_solution():
    assert solve(NINE, tokens("11" + "." * 79)).solutions[0] == 0
    # The row wants 9 in its last cell, and the column already has one.
    assert solve(NINE, tokens("12345678." + "........9" + "." * 63)).solutions[0] == 0


def test_a_deadly_rectangle_has_two_solutions():
    question = tokens(EASY_ANSWER)
    grid = question.reshape(9, 9)
    for cells in np.ndindex(9, 9):
        row, column = cells
        for other_row in range(row + 1, 9):
            for other in range(column + 1, 9):
                square = grid[np.ix_([row, other_row], [column, other])]
                boxes = {(r // 3, c // 3) for r in (row, other_row) for c in (column, other)}
                if square[0, 0] == square[1, 1] and square[0, 1] == square[1, 0] and len(boxes) == 2:
                    grid[np.ix_([row, other_row], [column, other])] = BLANK
                    solved = solve(NINE, question)
                    assert (solved.solutions[0], solved.guesses[0]) == (2, 1)
                    return
    raise AssertionError("the grid has no such rectangle")


def test_questions_of_the_multi_solution_file_have_several(data_dir):
    lines = gzip.decompress((data_dir / "sudoku" / "multi_solution_500.txt.gz").read_bytes()).decode().split()
    assert (solve(NINE, tokens(*lines)).solutions == 2).all()


@pytest.mark.slow
def test_symmetric_puzzles_have_the_symmetric_answer():
    train = small().train
    moved = SudokuSymmetries(NINE).transforms(1, np.arange(len(train)), np.full(len(train), 9))
    solved = solve(NINE, moved.apply(train.inputs))
    assert np.array_equal(moved.invert(solved.answers), train.targets)


@pytest.mark.slow
@pytest.mark.parametrize("make", [mini, small])
def test_every_generated_puzzle_has_its_answer_as_only_solution(make):
    splits = make()
    for part in parts(splits):
        shape = Shape.of_side(int(part.inputs.shape[1] ** 0.5))
        solved = solve(shape, part.inputs)
        assert (solved.solutions == 1).all()
        assert np.array_equal(solved.answers, part.targets)
        assert full_and_valid(shape, part.targets).all()
        assert keeps_givens(part.inputs, part.targets).all()


def test_mini_has_its_sizes_and_18_blanks():
    assert [len(part) for part in parts(mini())] == [1000, 200, 500]
    assert all(((part.inputs == BLANK).sum(axis=1) == 18).all() for part in parts(mini()))


@pytest.mark.slow
@pytest.mark.parametrize("make", [mini, small])
def test_no_two_generated_puzzles_are_symmetric(make):
    splits = make()
    shape = Shape.of_side(int(splits.train.inputs.shape[1] ** 0.5))
    values = np.concatenate([invariants(shape, part.inputs) for part in parts(splits)])
    assert len(np.unique(values)) == len(values)


def test_repeats_up_to_symmetry_are_rejected():
    """4×4 puzzles with two blanks fall in few classes, so the generator has to skip candidates."""
    crowded = generate(Recipe(Shape(2, 2), 14, train=3, validation=1, test=0), 0)
    values = np.concatenate([invariants(Shape(2, 2), part.inputs) for part in parts(crowded)[:2]])
    assert len(set(values.tolist())) == 4
    with pytest.raises(DataError, match="of 50 train puzzles that are not symmetric"):
        generate(Recipe(Shape(2, 2), 15, train=50, validation=0, test=0), 0)


def grid_classes(shape: Shape, grids: np.ndarray) -> set[tuple[int, ...]]:
    """An invariant of full grids, which all look alike to colour refinement until a cell is blanked."""
    blanked = np.repeat(grids, shape.cells, axis=0)
    blanked[np.arange(len(blanked)), np.tile(np.arange(shape.cells), len(grids))] = BLANK
    values = np.sort(invariants(shape, blanked).reshape(-1, shape.cells), axis=1)
    return {tuple(row) for row in values.tolist()}


@pytest.mark.slow
def test_grids_come_from_many_symmetry_classes():
    assert len(grid_classes(Shape(2, 3), mini().train.targets)) > 30
    assert len(grid_classes(NINE, small().train.targets)) == len(small().train)


def test_9x9_puzzles_are_minimal():
    question = small().train.inputs[0]
    given = np.nonzero(question != BLANK)[0]
    without = np.repeat(question[None], len(given), axis=0)
    without[np.arange(len(given)), given] = BLANK
    assert (solve(NINE, without).solutions == 2).all()


def test_9x9_puzzles_stay_hard_when_turned():
    train = small().train
    moved = SudokuSymmetries(NINE).transforms(1, np.arange(len(train)), np.ones(len(train), np.int64))
    easy, turned = (solve(NINE, questions).guesses for questions in (train.inputs, moved.apply(train.inputs)))
    assert np.median(turned) > 5
    assert turned.mean() > 0.5 * easy.mean()


def test_difficulties_are_drawn_in_the_stated_proportions():
    ranges = guess_ranges(7, np.arange(20_000))
    for low, high, weight in GUESSES:
        share = ((ranges == (low, high)).all(axis=1)).mean()
        assert abs(share - weight / 1000) < 0.015
    assert sum(weight for *_, weight in GUESSES) == 1000


@pytest.mark.slow
def test_the_same_seed_gives_the_same_puzzles_on_any_number_of_threads():
    recipe = replace(RECIPES["mini"], train=40, validation=5, test=9)
    three = generate(recipe, 0, workers=3), small()
    one = generate(recipe, 0, workers=1), generate(SMALL_9X9, 0, workers=1)
    for ours, theirs in zip(three, one, strict=True):
        assert [p.fingerprint() for p in parts(ours)] == [p.fingerprint() for p in parts(theirs)]


def test_another_seed_gives_other_puzzles():
    recipe = replace(RECIPES["mini"], train=20, validation=0, test=0)
    values = [set(invariants(Shape(2, 3), generate(recipe, seed).train.inputs).tolist()) for seed in (0, 1)]
    assert not values[0] & values[1]


def test_a_longer_split_begins_with_the_shorter_one():
    short = generate(replace(RECIPES["mini"], test=50), 0).test
    assert np.array_equal(mini().test.inputs[:50], short.inputs)


def test_progress_counts_up_to_the_whole():
    calls: list[tuple[int, int, str]] = []
    recipe = replace(RECIPES["mini"], train=10, validation=0, test=0)
    generate(recipe, 0, progress=lambda *call: calls.append(call))
    assert calls[-1] == (10, 10, "sudoku train")
    assert [done for done, *_ in calls] == sorted(done for done, *_ in calls)


def test_build_makes_the_mini_task():
    data = build(BuildRequest("mini", seed=0))
    assert (data.info.height, data.info.vocab_size, data.source.kind) == (6, 8, "generated")
    assert data.train.fingerprint() == mini().train.fingerprint()
    request = AugmentationRequest(data.info, data.train, None, training=True)
    moved = augmentation(request).transforms(0, np.arange(5), np.ones(5, np.int64))
    assert full_and_valid(Shape(2, 3), moved.apply(data.train.targets[:5])).all()


def test_unknown_sources_and_scales_are_refused():
    with pytest.raises(UsageError, match="unknown source 'offical'; did you mean 'official'"):
        build(BuildRequest("lite", seed=0, source="offical"))
    with pytest.raises(UsageError, match="unknown scale 'huge'"):
        build(BuildRequest("huge", seed=0))


@pytest.mark.parametrize("source", ["official", "hub"])
def test_official_puzzles_are_refused_at_mini(source):
    with pytest.raises(DataError, match="9×9 only; use --scale small, lite or paper"):
        build(BuildRequest("mini", seed=0, source=source))


def test_the_plugin_registers_its_task_without_heavy_imports():
    code = (
        "import sys, trm_bench.plugins.sudoku as s; t, = s.trm_bench_register_tasks();"
        "e, = s.trm_bench_register_evaluators(); assert e.name in t.evaluators and t.primary == 'exact';"
        "bad = {'torch', 'numba', 'scipy', 'pandas'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

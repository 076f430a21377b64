"""Generated mazes: what they are like, that splits do not meet, and that they repeat exactly."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, ks_2samp
from trm_bench.harness.api.errors import DataError
from trm_bench.harness.api.specs import BuildRequest
from trm_bench.plugins.maze import generate as generating
from trm_bench.plugins.maze import grid, hard
from trm_bench.plugins.maze.dice import below, new_dice, uniform
from trm_bench.plugins.maze.generate import generate
from trm_bench.plugins.maze.grid import shortest_moves_all
from trm_bench.plugins.maze.official import load_mazes
from trm_bench.plugins.maze.scales import (
    GOAL,
    HARD,
    HARD_WALLS,
    MINI,
    OPEN,
    PATH,
    SCALES,
    SHAPES,
    SMALL,
    SMALL_WALLS,
    START,
    WALL,
)
from trm_bench.plugins.maze.shallow import is_shallow
from trm_bench.plugins.maze.symmetry import canonical_walls, dihedral_cells
from trm_bench.plugins.maze.task import build, files


@pytest.fixture(scope="module")
def mini():
    calls = []
    data = build(BuildRequest("mini", seed=0, progress=lambda *call: calls.append(call)))
    return data, calls


@pytest.fixture(scope="module")
def thousand():
    """1000 hard mazes of seed 0: the train split of ``--scale lite``."""
    return generate(HARD, 0, 1000)[0]


def facts(questions):
    """Walls, moves and Manhattan distance of S and G of 30x30 mazes."""
    start, goal = ((questions == token).argmax(axis=1) for token in (START, GOAL))
    return {
        "walls": (questions == WALL).sum(axis=1),
        "moves": grid.shortest_moves_all(questions, 30, 30),
        "manhattan": abs(start // 30 - goal // 30) + abs(start % 30 - goal % 30),
    }


def test_importing_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, trm_bench.plugins.maze\n"
        "print([name for name in ('torch', 'numba', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_scale_has_a_shape_of_its_own_name():
    assert SHAPES.keys() == SCALES.keys()
    assert all(name == scale.name for name, scale in SCALES.items())
    assert SHAPES["lite"] == SHAPES["paper"]


@pytest.mark.slow
def test_small_mazes_follow_the_law_of_the_hard_ones_on_a_quarter_of_the_cells():
    questions, answers = generate(SMALL, 0, 300)
    assert questions.shape == answers.shape == (300, 225)
    walls = (questions == WALL).sum(axis=1)
    assert SMALL_WALLS[0] <= walls.min() <= walls.max() <= SMALL_WALLS[1]
    moves = shortest_moves_all(questions, SMALL.side, SMALL.side)
    assert moves.min() >= SMALL.min_moves == HARD.min_moves // 4 + 1
    assert ((answers == PATH).sum(axis=1) == moves - 1).all()


@pytest.mark.slow
def test_mini_has_the_promised_splits(mini):
    data, calls = mini
    assert (len(data.train), len(data.validation), len(data.test)) == (MINI.train, MINI.validation, MINI.test)
    assert data.info.cells == 25
    assert data.test.ids[7] == "test/5x5-v1-seed0/7"
    assert data.source.kind == "generated"
    assert data.source.caveats == ()
    assert calls[-1] == (MINI.total, MINI.total, "mazes")
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)


@pytest.mark.slow
def test_mini_mazes_are_far_and_have_one_shortest_path_which_is_the_label(mini):
    for puzzles in (mini[0].train, mini[0].validation, mini[0].test):
        assert np.array_equal(grid.solve_all(puzzles.inputs, 5, 5), puzzles.targets)
        assert grid.shortest_moves_all(puzzles.inputs, 5, 5).min() == MINI.min_moves
        for question in puzzles.inputs:
            assert np.bincount(question, minlength=6)[[START, GOAL]].tolist() == [1, 1]
            assert grid.count_shortest(question, 5, 5, 10) == 1


def test_the_splits_share_no_wall_map_up_to_symmetry(mini):
    splits = (mini[0].train, mini[0].validation, mini[0].test)
    keys = [key for puzzles in splits for key in canonical_walls(puzzles.inputs, 5).tolist()]
    assert len(set(keys)) == len(keys) == MINI.total


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "count"), [(HARD, 6), (MINI, 300)])
def test_the_number_of_workers_and_of_mazes_changes_nothing(shape, count):
    questions, answers = generate(shape, 5, count, workers=1)
    more, labels = generate(shape, 5, count + 2, workers=3)
    assert np.array_equal(more[:count], questions)
    assert np.array_equal(labels[:count], answers)
    other, _ = generate(shape, 6, 1, workers=2)
    assert not np.array_equal(other, questions[:1])


def test_a_turned_repeat_is_drawn_again(monkeypatch):
    mazes, _ = generate(MINI, 0, 4)
    shape = dataclasses.replace(MINI, min_moves=1)
    turned = mazes[:, dihedral_cells(5)]  # (4, 8, 25)
    monkeypatch.setitem(generating.DRAWS, (shape.task, shape.side), lambda *_: turned.reshape(32, 25))
    assert np.array_equal(generate(shape, 0, 4)[0], mazes)
    with pytest.raises(DataError, match="only 4 different 5x5 mazes found, not 5"):
        generate(shape, 0, 5)


def random_board(side, share, seed):
    rng = np.random.default_rng(seed)
    tokens = np.where(rng.random(side * side) < share, WALL, OPEN).astype(np.uint8)
    return grid.board_of(tokens, side, side)


def far_pairs(board, side, min_moves):
    """All unordered pairs of open places ``min_moves`` apart or more, by a search from each place."""
    distance, queue = np.empty(len(board), np.int32), np.empty(len(board), np.int32)
    pairs = set()
    for place in np.flatnonzero(board):
        grid.flood(board, side, place, distance, queue)
        pairs |= {frozenset((int(place), int(there))) for there in np.flatnonzero(distance >= min_moves)}
    return pairs


@pytest.mark.slow
@given(st.integers(4, 12), st.floats(0.15, 0.5), st.integers(2, 30), st.integers(0, 2**31))
@settings(deadline=None, max_examples=300)
def test_every_far_pair_is_counted_once_and_no_such_maze_is_passed_over(side, share, min_moves, seed):
    board = random_board(side, share, seed)
    pairs = far_pairs(board, side, min_moves)
    one, other, count = hard.far_pair(board, side, min_moves, new_dice(seed))
    assert count == len(pairs)
    if pairs:
        assert frozenset((one, other)) in pairs
        assert not is_shallow(board, side, min_moves)


@pytest.mark.slow
def test_the_pair_is_drawn_uniformly():
    board = random_board(7, 0.3, 3)
    pairs = sorted(far_pairs(board, 7, 10), key=sorted)
    dice = new_dice(1)
    drawn = [frozenset(hard.far_pair(board, 7, 10, dice)[:2]) for _ in range(200 * len(pairs))]
    assert len(pairs) > 5
    assert chisquare([drawn.count(pair) for pair in pairs]).pvalue > 0.001


@pytest.mark.slow
def test_wall_maps_are_kept_in_proportion_to_their_far_pairs():
    # 3x3 with 3 walls has 84 wall maps: each must occur as often as its pairs over open * (open - 1).
    kept = hard.draw_hard(new_dice(2), 400_000, 3, 4, 3, 3, 1.0)
    maps = list(itertools.combinations(range(9), 3))
    weights, counts = [], []
    found = [tuple(np.flatnonzero(question == WALL).tolist()) for question in kept]
    for walls in maps:
        tokens = np.full(9, OPEN, np.uint8)
        tokens[list(walls)] = WALL
        weights.append(2 * len(far_pairs(grid.board_of(tokens, 3, 3), 3, 4)) / 30)
        counts.append(found.count(walls))
    share, seen = np.array(weights), np.array(counts)
    assert (seen[share == 0] == 0).all()
    possible = share > 0
    expected = share[possible] / share.sum() * len(kept)
    assert chisquare(seen[possible], expected).pvalue > 0.001
    assert len(kept) == pytest.approx(400_000 * share.mean(), rel=0.02)


@pytest.mark.slow
def test_a_cap_keeps_rich_wall_maps_alike():
    # 4x4 without a wall: with a tiny cap every draw is kept.
    assert len(hard.draw_hard(new_dice(2), 50, 4, 6, 0, 0, 1e-6)) == 50


def test_the_dice_are_splitmix64_and_fair():
    dice = new_dice(1234567)
    # First output of the published reference for this seed: 6457827717110365317.
    assert uniform(dice) == (6457827717110365317 >> 11) * 2.0**-53
    rolls = [below(dice, 6) for _ in range(6000)]
    assert chisquare(np.bincount(rolls, minlength=6)).pvalue > 0.001


@pytest.mark.slow
def test_hard_mazes_are_what_they_should_be(thousand):
    values = facts(thousand)
    assert values["moves"].min() == HARD.min_moves
    assert values["walls"].min() >= HARD_WALLS[0]
    assert values["walls"].max() <= HARD_WALLS[1]
    assert len(set(canonical_walls(thousand, 30).tolist())) == 1000
    # S is as often above G as below it: neither order is favoured (5 sd of a fair coin).
    start, goal = ((thousand == token).argmax(axis=1) for token in (START, GOAL))
    assert abs((start < goal).sum() - 500) < 80


@pytest.mark.slow
@pytest.mark.parametrize("fact", ["walls", "moves", "manhattan"])
def test_hard_mazes_are_distributed_as_the_official_ones(data_dir, thousand, fact):
    request = BuildRequest("paper", 0, "official", data_dir / "maze")
    official = np.concatenate([load_mazes([path]).questions for path in files(request)])
    assert ks_2samp(facts(thousand)[fact], facts(official)[fact]).statistic <= 0.05

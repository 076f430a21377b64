"""Searches, the tie-break, symmetries and augmentation of mazes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.maze import to_tokens
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo
from trm_bench.harness.api.specs import AugmentationRequest
from trm_bench.plugins.maze import grid, paths
from trm_bench.plugins.maze.augment import Dihedral, dihedral
from trm_bench.plugins.maze.scales import GOAL, MINI, OPEN, PATH, START, VOCAB_SIZE, WALL
from trm_bench.plugins.maze.symmetry import canonical_walls, dihedral_cells

STEPS = {"D": (1, 0), "L": (0, -1), "R": (0, 1), "U": (-1, 0)}


@st.composite
def questions(draw, sides=(2, 3, 4, 5)):
    """A small square maze with S and G, which may have no path."""
    side = draw(st.sampled_from(sides))
    cells = draw(st.lists(st.sampled_from([WALL, OPEN, OPEN]), min_size=side**2, max_size=side**2))
    ends = draw(st.permutations(range(side**2)))
    cells[ends[0]], cells[ends[1]] = START, GOAL
    return np.array(cells, np.uint8), side


def shortest_strings(question, side):
    """All shortest move strings from S to G, by plain enumeration level by level."""
    square = question.reshape(side, side)
    start = tuple(np.argwhere(square == START)[0])
    level, seen = {start: [""]}, {start}
    while level:
        following = {}
        for (row, column), strings in level.items():
            if square[row, column] == GOAL:
                return strings
            for name, (down, right) in STEPS.items():
                there = (row + down, column + right)
                inside = 0 <= there[0] < side and 0 <= there[1] < side
                if inside and there not in seen and square[there] != WALL:
                    following.setdefault(there, []).extend(string + name for string in strings)
        seen |= set(following)
        level = following
    return []


def marked(question, side, moves):
    answer = question.copy().reshape(side, side)
    row, column = np.argwhere(answer == START)[0]
    for name in moves[:-1]:
        row, column = row + STEPS[name][0], column + STEPS[name][1]
        answer[row, column] = PATH
    return answer.ravel()


@given(questions())
@settings(deadline=None, max_examples=150)
def test_distance_count_and_label_agree_with_enumeration(maze):
    question, side = maze
    strings = shortest_strings(question, side)
    assert grid.shortest_moves(question, side, side) == (len(strings[0]) if strings else -1)
    assert grid.count_shortest(question, side, side, 10**9) == len(strings)
    label = marked(question, side, min(strings)) if strings else question
    assert np.array_equal(grid.solve(question, side, side), label)


def test_the_count_of_shortest_paths_stops_at_its_limit():
    question = np.full(900, OPEN, np.uint8)
    question[0], question[899] = START, GOAL
    assert grid.count_shortest(question, 30, 30, 2) == 2
    assert grid.count_shortest(question, 30, 30, 10**12) == 10**12


def test_text_and_tokens_are_inverse_and_unknown_letters_are_padding():
    assert to_tokens("# SGo").tolist() == [1, 2, 3, 4, 5]
    assert grid.to_text(to_tokens("S oG#")) == "S oG#"
    assert grid.to_text(np.array([0], np.uint8)) == "?"


@given(questions())
@settings(deadline=None, max_examples=60)
def test_a_wall_map_has_the_same_key_in_all_eight_positions(maze):
    question, side = maze
    turned = question[dihedral_cells(side)]
    assert len(set(canonical_walls(turned, side).tolist())) == 1


def test_keys_of_all_3x3_wall_maps_make_the_known_number_of_classes():
    maps = np.array(list(itertools.product([WALL, OPEN], repeat=9)), np.uint8)
    # Burnside for 3x3 two-colourings: (2^9 + 2 * 2^3 + 2^5 + 4 * 2^6) / 8.
    assert len(set(canonical_walls(maps, 3).tolist())) == 102


def test_the_table_holds_eight_different_permutations_closed_under_composition():
    table = dihedral_cells(5)
    elements = {tuple(element) for element in table.tolist()}
    assert len(elements) == 8
    assert table[0].tolist() == list(range(25))
    assert {tuple(one[other]) for one in table for other in table} == elements


@given(questions(sides=(5,)), st.integers(0, 7), st.integers(0, 2**62), st.integers(0, 10**6))
@settings(deadline=None, max_examples=100)
def test_a_turned_shortest_path_is_a_shortest_path_of_the_turned_maze(maze, k, seed, item):
    question, side = maze
    answer = grid.solve(question, side, side)
    transforms = Dihedral(side, VOCAB_SIZE).transforms(seed, np.array([item]), np.array([k]))
    moves, shortest = paths.judge(
        transforms.apply(question[None]), transforms.apply(answer[None]), side, side
    )
    assert shortest[0] == grid.shortest_moves(question, side, side)
    assert moves[0] == shortest[0]


@given(st.integers(0, 2**62), st.lists(st.integers(0, 7), min_size=1, max_size=9), st.data())
@settings(deadline=None)
def test_invert_undoes_apply_and_an_augmentation_is_a_function_of_seed_item_and_k(seed, ks, data):
    items = np.array(data.draw(st.lists(st.integers(0, 999), min_size=len(ks), max_size=len(ks))))
    tokens = np.random.default_rng(seed).integers(0, VOCAB_SIZE, (len(ks), 25)).astype(np.uint8)
    augmentation = Dihedral(5, VOCAB_SIZE)
    transforms = augmentation.transforms(seed, items, np.array(ks))
    turned = transforms.apply(tokens)
    assert np.array_equal(transforms.invert(turned), tokens)
    backwards = augmentation.transforms(seed, items[::-1], np.array(ks)[::-1])
    assert np.array_equal(backwards.apply(tokens[::-1]), turned[::-1])


def test_the_augmentations_of_a_puzzle_are_the_eight_elements_and_the_first_is_the_identity():
    items, ks = np.repeat(np.arange(50), 8), np.tile(np.arange(8), 50)
    elements, others = (Dihedral(5, VOCAB_SIZE).elements(seed, items, ks).reshape(50, 8) for seed in (7, 8))
    assert (elements[:, 0] == 0).all()
    assert (np.sort(elements, axis=1) == np.arange(8)).all()
    # Shuffled for each puzzle and each seed: with A=2 every element but the identity occurs.
    assert set(elements[:, 1].tolist()) == set(range(1, 8))
    assert not np.array_equal(elements, others)


@pytest.mark.parametrize("k", [-1, 8])
def test_there_is_no_ninth_augmentation(k):
    with pytest.raises(ValueError, match="augmentations 0 to 7"):
        Dihedral(5, VOCAB_SIZE).transforms(0, np.array([0]), np.array([k]))


def test_the_augmentation_fits_square_tasks_only():
    def requested(height, width):
        tokens = np.ones((1, height * width), np.uint8)
        puzzles = PuzzleSet.single_identity(tokens, tokens, ["maze"])
        info = TaskInfo("maze-hard", "mini", height, width, VOCAB_SIZE)
        return AugmentationRequest(info, puzzles, None, training=True)

    assert dihedral(requested(MINI.side, MINI.side)).max_augmentations == 8
    with pytest.raises(ValueError, match="5x6 maze is not square"):
        dihedral(requested(5, 6))

"""The rules, their symmetries, the puzzles and the metric. ``python -m pytest`` in this folder."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from trm_bench_life import (
    ALIVE,
    IMAGES,
    SIDE,
    Torus,
    build,
    generate,
    step,
    trm_bench_register_evaluators,
    trm_bench_register_tasks,
    valid,
)

from trm_bench import BuildRequest, DataError, Predictions, PuzzleSet, TaskData, TrmBenchError

CELLS = SIDE * SIDE
boards = arrays(np.bool_, (1, CELLS))
images = st.integers(0, len(IMAGES) - 1)
quick = settings(max_examples=50, deadline=None)


def drawn(*rows: str) -> NDArray[np.bool_]:
    return np.array([[cell == "O" for cell in "".join(rows)]])


@functools.cache
def small(seed: int = 0) -> TaskData:
    return build(BuildRequest("mini", seed, at_most=40))


def scores(puzzles: PuzzleSet, tokens: NDArray[np.uint8]) -> list[float]:
    count = len(puzzles)
    predictions = Predictions(tokens, 1, np.ones(count, np.int64), np.full(count, np.nan))
    samples = valid(small().info, puzzles, predictions)
    assert [sample.item for sample in samples] == puzzles.ids.tolist()
    return [sample.score for sample in samples]


def test_a_block_stays_and_a_blinker_turns() -> None:
    block = drawn("......", ".OO...", ".OO...", "......", "......", "......")
    upright = drawn("......", "..O...", "..O...", "..O...", "......", "......")
    lying = drawn("......", "......", ".OOO..", "......", "......", "......")
    assert (step(block) == block).all()
    assert (step(upright) == lying).all()
    assert (step(lying) == upright).all()


def test_a_glider_is_back_after_going_around_the_torus() -> None:
    """Four generations move it by one cell, down and to the right."""
    glider = drawn(".O....", "..O...", "OOO...", "......", "......", "......")
    after = glider
    for generation in range(1, 4 * SIDE + 1):
        after = step(after)
        if generation == 4:
            assert (after.reshape(SIDE, SIDE) == np.roll(glider.reshape(SIDE, SIDE), (1, 1), (0, 1))).all()
    assert (after == glider).all()


def test_the_images_are_different_permutations_and_the_first_changes_nothing() -> None:
    assert len(IMAGES) == 8 * CELLS == len(np.unique(IMAGES, axis=0))
    assert (np.sort(IMAGES, axis=1) == np.arange(CELLS)).all()
    assert (IMAGES[0] == np.arange(CELLS)).all()


@quick
@given(boards, images)
def test_symmetric_boards_step_to_symmetric_boards(board: NDArray[np.bool_], image: int) -> None:
    assert (step(board[:, IMAGES[image]]) == step(board)[:, IMAGES[image]]).all()


@quick
@given(arrays(np.uint8, (1, CELLS), elements=st.integers(0, 2)), st.integers(0, 2**40), images, images)
def test_an_augmentation_can_be_undone(tokens: NDArray[np.uint8], seed: int, item: int, k: int) -> None:
    transforms = Torus().transforms(seed, np.array([item]), np.array([k]))
    assert (transforms.invert(transforms.apply(tokens)) == tokens).all()
    assert k or (transforms.apply(tokens) == tokens).all()


@quick
@given(st.integers(0, 2**40), st.integers(0, 10**6))
def test_the_augmentations_of_a_puzzle_are_all_images_in_an_order_of_its_own(seed: int, item: int) -> None:
    ks = np.arange(len(IMAGES))
    orders = [Torus().transforms(seed, np.full(len(ks), one), ks).cells for one in (item, item + 1)]
    for order in orders:
        assert len(np.unique(order, axis=0)) == len(IMAGES)
    assert not (orders[0] == orders[1]).all()
    some = ks[::-7]  # what else is requested at the same time plays no part
    assert (Torus().transforms(seed, np.full(len(some), item), some).cells == orders[0][some]).all()


@quick
@given(st.integers(0, 39), images)
def test_every_label_and_every_augmentation_of_it_is_accepted(row: int, k: int) -> None:
    puzzles = small().train.take(np.array([row]))
    transforms = Torus().transforms(0, np.array([row]), np.array([k]))
    inputs, targets = transforms.apply(puzzles.inputs), transforms.apply(puzzles.targets)
    assert scores(PuzzleSet.single_identity(inputs, targets, ["a"]), targets) == [1.0]


@quick
@given(st.integers(0, 39), st.integers(0, CELLS - 1))
def test_a_spoilt_label_is_judged_by_the_rules(row: int, cell: int) -> None:
    puzzles = small().train.take(np.array([row]))
    spoilt = puzzles.targets.copy()
    spoilt[0, cell] = 3 - spoilt[0, cell]
    still = (step(spoilt == ALIVE) == (puzzles.inputs == ALIVE)).all()
    assert scores(puzzles, spoilt) == [float(still)]
    spoilt[0, cell] = 0  # padding is neither dead nor alive
    assert scores(puzzles, spoilt) == [0.0]


def test_most_spoilt_labels_are_refused() -> None:
    """Else the metric would measure nothing."""
    puzzles = small().train
    kept = []
    for cell in range(CELLS):
        spoilt = puzzles.targets.copy()
        spoilt[:, cell] = 3 - spoilt[:, cell]
        kept += scores(puzzles, spoilt)
    assert np.mean(kept) < 0.3


@pytest.mark.parametrize(
    "predict", [lambda p: p.inputs, lambda p: np.full_like(p.inputs, 1)], ids=["copy", "empty"]
)
def test_a_copy_and_an_empty_board_are_never_right(
    predict: Callable[[PuzzleSet], NDArray[np.uint8]],
) -> None:
    puzzles = small().train
    assert scores(puzzles, predict(puzzles)) == [0.0] * len(puzzles)


def test_no_two_questions_are_the_same_up_to_symmetry() -> None:
    data = small()
    seen: set[bytes] = set()
    for question in np.concatenate([data.train.inputs, data.validation.inputs, data.test.inputs]):
        assert question.tobytes() not in seen
        seen |= {question[image].tobytes() for image in IMAGES}


def test_a_seed_gives_its_own_puzzles_and_always_the_same() -> None:
    again = build(BuildRequest("mini", 0, at_most=40))
    assert again.train.fingerprint() == small().train.fingerprint()
    assert small(1).train.fingerprint() != small().train.fingerprint()


@pytest.mark.parametrize("density", ["none", "0", "1", "-0.5", "nan"])
def test_a_density_that_is_none_is_refused(density: str) -> None:
    with pytest.raises(TrmBenchError, match=f"density={density}: write a share"):
        build(BuildRequest("mini", 0, options={"density": density}))


def test_too_few_boards_are_refused_with_their_number() -> None:
    with pytest.raises(DataError, match="density=1e-05 gives only 0 boards, not 3"):
        generate(0, 3, 1e-5)


def test_what_is_registered_fits_together() -> None:
    (task,), (evaluator,) = trm_bench_register_tasks(), trm_bench_register_evaluators()
    assert task.primary == evaluator.name == task.evaluators[0]
    assert task.scales["mini"].augmentations == Torus.max_augmentations
    assert {task.api_version, evaluator.api_version} == {"1.0"}

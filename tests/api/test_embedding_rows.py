"""Rows of the puzzle embedding, and draws of puzzles that have identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trm_bench.harness.api.embedding_rows import BLANK, EmbeddingRows, PuzzleIds
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.puzzles import Identities
from trm_bench.harness.data.draws import DrawStream
from trm_bench.harness.data.examples import ExampleStream, Exploration

from trm_bench import NoAugmentation, PuzzleSet

COUNTS = [5, 1, 100, 3]


def identities(counts: list[int] = COUNTS) -> Identities:
    names = np.array([f"rule-{place}" for place in range(len(counts))])
    return Identities(names, np.array(counts, np.int64), np.full(len(counts), ""))


def rows(augmentations: int, trained: list[int] | None = None) -> EmbeddingRows:
    wanted = np.arange(len(COUNTS)) if trained is None else np.array(trained)
    return EmbeddingRows.lay_out(identities(), wanted, augmentations)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 9), st.data())
def test_every_trained_augmentation_has_a_row_of_its_own_and_none_the_blank_one(
    counts: list[int], augmentations: int, data: st.DataObject
) -> None:
    places = st.integers(0, len(counts) - 1)
    trained = np.array(sorted(data.draw(st.sets(places, min_size=1))))
    table = EmbeddingRows.lay_out(identities(counts), trained, augmentations)
    named = [(who, k) for who in trained for k in range(min(counts[who], augmentations))]
    found = table.of(np.array([who for who, _ in named]), np.array([k for _, k in named]))
    assert sorted(found.tolist()) == list(range(1, table.total))


def test_what_was_not_trained_on_gets_the_blank_row() -> None:
    table = rows(4, trained=[0, 2])
    assert table.total == 1 + 4 + 4
    assert table.of(np.array([1, 3, 0]), np.array([0, 2, 4])).tolist() == [BLANK] * 3


def test_blank_ids_are_blank_for_every_identity() -> None:
    found = rows(4).at_evaluation(np.array([0, 2]), np.array([0, 3]), PuzzleIds.BLANK, seed=0)
    assert found.tolist() == [BLANK, BLANK]


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_ids_are_never_ones_own_and_always_trained(seed: int) -> None:
    table = rows(4, trained=[0, 2, 3])
    who, ks = np.repeat([0, 2, 3], 3), np.tile(np.arange(3), 3)
    own, shuffled = table.of(who, ks), table.at_evaluation(who, ks, PuzzleIds.SHUFFLED, seed)
    owner = np.searchsorted(table.first[[0, 2, 3]], shuffled, side="right") - 1
    assert (shuffled != BLANK).all()
    assert (np.array([0, 2, 3])[owner] != who).all()
    assert len(set(owner[::3].tolist())) == 3
    assert table.at_evaluation(who, ks, PuzzleIds.OWN, seed).tolist() == own.tolist()


def test_a_single_trained_identity_has_no_other_to_be_shuffled_with() -> None:
    table = rows(4, trained=[2])
    with pytest.raises(UsageError, match="not two identities that were trained on"):
        table.at_evaluation(np.array([2]), np.array([0]), PuzzleIds.SHUFFLED, 0)


def test_identities_must_be_unique_and_have_an_augmentation() -> None:
    with pytest.raises(ValueError, match="unique"):
        Identities(np.array(["a", "a"]), np.array([1, 1]), np.array(["", ""]))
    with pytest.raises(ValueError, match="one augmentation at least"):
        Identities(np.array(["a"]), np.array([0]), np.array([""]))


# --- draws ---------------------------------------------------------------------------------------

WHO = np.array([0, 0, 0, 1, 2, 2, 3])


def stream(augmentations: int, seed: int = 0) -> DrawStream:
    return DrawStream(seed, len(WHO), augmentations, (WHO, np.array(COUNTS)))


def test_an_epoch_holds_every_puzzle_once_and_an_identity_in_one_piece() -> None:
    for epoch in range(20):
        items, ks = stream(8).at(epoch * len(WHO), len(WHO))
        assert sorted(items.tolist()) == list(range(len(WHO)))
        who = WHO[items]
        assert int((who[1:] != who[:-1]).sum()) == 3
        assert all(len(set(ks[who == one].tolist())) == 1 for one in range(4))


def test_only_augmentations_that_an_identity_has_are_drawn_and_all_of_them() -> None:
    items, ks = stream(8).at(0, 7 * 500)
    for who, count in enumerate(COUNTS):
        assert set(ks[WHO[items] == who].tolist()) == set(range(min(8, count)))


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 39))
def test_draws_do_not_depend_on_their_portions(start: int, count: int, cut: int) -> None:
    cut = min(cut, count)
    whole = stream(8).at(start, count)
    parts = [stream(8).at(start, cut), stream(8).at(start + cut, count - cut)]
    for column in (0, 1):
        assert whole[column].tolist() == [value for part in parts for value in part[column].tolist()]


def test_examples_carry_the_row_of_their_augmentation() -> None:
    who = np.array([0, 0, 2], np.int32)
    tokens = np.ones((3, 2), np.uint8)
    puzzles = PuzzleSet(tokens, tokens, np.array(["a", "b", "c"]), np.array(["r", "r", "s"]), who)
    table = rows(3, trained=[0, 2])
    examples = ExampleStream(
        puzzles,
        NoAugmentation(),
        3,
        task_seed=0,
        seed=0,
        exploration=Exploration(0.0, 1),
        identities=identities(),
        rows=table,
    )
    items, ks = examples.stream.at(0, 60)
    assert examples.draws(0, 60).puzzle_ids.tolist() == table.of(who[items], ks).tolist()
    assert set(table.of(who[items], ks).tolist()) == set(range(1, 7))

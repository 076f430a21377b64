"""The draw stream, addressable randomness and the examples that models are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trm_bench.harness.api.augment import CellTokenTransforms, NoAugmentation
from trm_bench.harness.api.puzzles import PuzzleSet
from trm_bench.harness.api.randomness import hashed, mix, named_seed, permutations
from trm_bench.harness.data.draws import DrawStream
from trm_bench.harness.data.examples import ExampleStream, Exploration, Feed

SEEDS = st.integers(0, 2**63 - 1)


def puzzles(count: int = 7, cells: int = 4) -> PuzzleSet:
    tokens = (np.arange(count * cells).reshape(count, cells) % 200 + 1).astype(np.uint8)
    return PuzzleSet.single_identity(tokens, tokens, [str(i) for i in range(count)])


def stream(seed: int = 0, most: int = 4) -> ExampleStream:
    return ExampleStream(
        puzzles(),
        NoAugmentation(),
        1,
        task_seed=0,
        seed=seed,
        exploration=Exploration(0.5, most),
    )


@settings(max_examples=40, deadline=None)
@given(
    SEEDS, st.integers(1, 40), st.integers(1, 9), st.integers(0, 100), st.integers(0, 60), st.integers(0, 60)
)
def test_a_draw_does_not_depend_on_how_it_is_requested(
    seed: int, count: int, augmentations: int, start: int, first: int, second: int
) -> None:
    draws = DrawStream(seed, count, augmentations)
    whole = draws.at(start, first + second)
    parts = draws.at(start, first), draws.at(start + first, second)
    for axis in (0, 1):
        assert np.array_equal(whole[axis], np.concatenate([part[axis] for part in parts]))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 30), st.integers(0, 5))
def test_every_epoch_holds_each_puzzle_once(seed: int, count: int, epoch: int) -> None:
    items, _ = DrawStream(seed, count, 3).at(epoch * count, count)
    assert sorted(items.tolist()) == list(range(count))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    draws = DrawStream(0, 50, 1)
    first, second = draws.at(0, 50)[0], draws.at(50, 50)[0]
    other = DrawStream(1, 50, 1).at(0, 50)[0]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_augmentations_are_uniform_and_within_range() -> None:
    _, ks = DrawStream(3, 10, 8).at(0, 16_000)
    counts = np.bincount(ks, minlength=8)
    assert len(counts) == 8
    assert counts.min() > 1800
    assert counts.max() < 2200


def test_distinct_counts_what_the_stream_gave() -> None:
    draws = DrawStream(5, 6, 4)
    items, ks = draws.at(0, 17)
    assert draws.distinct(17) == len(set(zip(items.tolist(), ks.tolist(), strict=True)))
    assert draws.distinct(17, portion=5) == draws.distinct(17)
    assert draws.distinct(10_000) == 24


def test_draws_that_never_repeat_are_counted_without_a_table_of_all_augmentations() -> None:
    endless = DrawStream(puzzles=1000, augmentations=10**17, seed=3)
    assert endless.distinct(5000) == 5000


def test_a_stream_needs_puzzles_and_augmentations() -> None:
    with pytest.raises(ValueError, match="at least one puzzle and one augmentation"):
        DrawStream(0, 0, 1)


def test_examples_are_the_same_in_any_portions() -> None:
    whole = stream().draws(0, 30)
    parts = [stream().draws(*portion) for portion in ((0, 1), (1, 7), (8, 12), (20, 10))]
    for name in ("inputs", "targets", "puzzle_ids", "may_halt"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(1, 3),
    st.integers(0, 50),
    st.lists(st.integers(0, 9), max_size=60),
)
def test_the_feed_always_has_the_draws_that_a_step_may_take(
    slots: int, block: int, behind: int, start: int, taken: list[int]
) -> None:
    """However late the host learns of it: as with an accelerator that is ``behind`` steps late."""
    source = stream()
    feed = Feed(source, slots, torch.device("cpu"), block, behind=behind)
    feed.go_to(start)
    drawn = start
    for count in taken:
        feed.refresh()
        expected = source.draws(drawn, slots)
        got = feed.at(torch.arange(drawn, drawn + slots))
        assert torch.equal(got.inputs, expected.inputs.long())
        assert torch.equal(got.may_halt, expected.may_halt)
        drawn += min(count, slots)
        feed.note(torch.tensor(drawn))


def test_exploration_is_tossed_at_every_step_and_belongs_to_the_draw() -> None:
    """Step s is forbidden with the stated chance, if the least number of steps, U{2..16}, is above s."""
    may_halt = Exploration(0.1, 16).may_halt(seed=4, start=0, count=100_000)
    assert may_halt.shape == (100_000, 16)
    expected = 0.1 * (16 - np.maximum(np.arange(1, 17), 1)) / 15
    assert np.abs((~may_halt).mean(0) - expected).max() < 0.004
    assert may_halt[:, 15].all()
    again = Exploration(0.1, 16).may_halt(seed=4, start=1000, count=10)
    assert np.array_equal(again, may_halt[1000:1010])


def test_the_tosses_of_two_steps_are_independent() -> None:
    forbidden = ~Exploration(0.5, 16).may_halt(seed=1, start=0, count=100_000)
    both = (forbidden[:, 0] & forbidden[:, 1]).mean()
    assert both == pytest.approx(forbidden[:, 0].mean() * forbidden[:, 1].mean(), abs=0.006)


def test_a_puzzle_that_wants_to_halt_at_once_takes_few_steps_more() -> None:
    """1.11 steps at the papers' settings; one toss for all steps would make it 1.8."""
    may_halt = Exploration(0.1, 16).may_halt(seed=0, start=0, count=100_000)
    assert (may_halt.argmax(1) + 1).mean() == pytest.approx(1.11, abs=0.01)


def test_a_one_step_model_explores_nothing() -> None:
    assert Exploration(1.0, 1).may_halt(0, 0, 100).tolist() == [[True]] * 100


def test_hashing_broadcasts_and_depends_on_every_axis() -> None:
    base = hashed(1, np.arange(4)[:, None], np.arange(3))
    assert base.shape == (4, 3)
    assert len(np.unique(base)) == 12
    assert not np.array_equal(base, hashed(2, np.arange(4)[:, None], np.arange(3)))
    assert base[2, 1] == hashed(1, np.asarray(2), np.asarray(1))
    assert hashed(1, np.asarray(1), np.asarray(2)) != hashed(1, np.asarray(2), np.asarray(1))


def test_mixing_spreads_single_bits() -> None:
    with np.errstate(over="ignore"):
        a = mix(np.arange(2000, dtype=np.uint64))
    ones = np.unpackbits(a.view(np.uint8)).reshape(2000, 64).mean(axis=0)
    assert ones.min() > 0.45
    assert ones.max() < 0.55


def test_permutations_are_permutations_and_uniform() -> None:
    orders = permutations(hashed(0, np.arange(6000)[:, None], np.arange(3)))
    assert (np.sort(orders, axis=1) == np.arange(3)).all()
    kinds, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(kinds) == 6
    assert counts.min() > 880


def test_named_seeds_tell_axes_apart() -> None:
    assert named_seed("a", 1) != named_seed("a", "1")
    assert named_seed("ab") != named_seed("a", "b")
    assert named_seed("x", 0) == named_seed("x", 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_cell_and_token_transforms_are_undone(count: int, cells: int, vocab: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    transforms = CellTokenTransforms(
        np.argsort(rng.random((count, cells)), axis=1),
        np.argsort(rng.random((count, vocab)), axis=1).astype(np.uint8),
    )
    tokens = rng.integers(0, vocab, (count, cells)).astype(np.uint8)
    assert np.array_equal(transforms.invert(transforms.apply(tokens)), tokens)
    assert np.array_equal(transforms.apply(transforms.invert(tokens)), tokens)

"""Ballots: counting, ties, wrong votes, and the first N votes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trm_bench.harness.api.voting import BallotBox, Ballots

CELLS = 3


def ballots(*items: list[tuple[int, float]]) -> Ballots:
    """For each item its votes in order: (prediction, halt probability); prediction 0 is all padding."""
    box = BallotBox(np.array([len(votes) for votes in items]))
    for item, votes in enumerate(items):
        tokens = np.array([[prediction] * CELLS for prediction, _ in votes], np.uint8).reshape(-1, CELLS)
        probabilities = np.array([probability for _, probability in votes], float)
        box.add(np.full(len(votes), item), np.arange(len(votes)), tokens, probabilities)
    return box.ballots()


def order(of: Ballots, first: int | None = None) -> list[list[int]]:
    """The predictions for each item, best first."""
    return [of.candidates[chosen, 0].tolist() for chosen in of.ranked(first)]


def test_the_prediction_with_the_most_votes_comes_first() -> None:
    assert order(ballots([(1, 0.9), (2, 0.1), (2, 0.1)])) == [[2, 1]]


def test_of_two_with_equal_votes_the_surer_one_comes_first() -> None:
    assert order(ballots([(1, 0.2), (2, 0.9), (1, 0.4), (2, 0.1), (3, 1.0)])) == [[2, 1, 3]]


def test_of_two_alike_in_both_the_one_of_the_lowest_augmentation_comes_first() -> None:
    assert order(ballots([(7, 0.5), (4, 0.5), (9, 0.5)])) == [[7, 4, 9]]
    assert order(ballots([(4, 0.5), (9, 0.5), (9, 0.25), (4, 0.25)])) == [[4, 9]]


def test_without_a_halt_logit_only_votes_and_augmentations_count() -> None:
    nan = float("nan")
    assert order(ballots([(5, nan), (3, nan), (3, nan), (8, nan)])) == [[3, 5, 8]]


def test_a_prediction_of_padding_is_counted_like_the_others() -> None:
    counted = ballots([(0, 1.0), (0, 1.0), (6, 0.0)], [(0, 1.0)])
    assert order(counted) == [[0, 6], [0]]
    assert counted.votes.tolist() == [3, 1]


def test_equal_predictions_for_two_items_are_two_candidates() -> None:
    counted = ballots([(4, 0.5)], [(4, 0.5), (4, 0.5)])
    assert order(counted) == [[4], [4]]
    assert len(counted.candidates) == 2


@pytest.mark.parametrize(("first", "expected"), [(1, [[1]]), (2, [[1, 2]]), (3, [[2, 1]]), (9, [[2, 1]])])
def test_the_first_votes_are_those_of_the_lowest_augmentations(first: int, expected: list[list[int]]) -> None:
    assert order(ballots([(1, 0.5), (2, 0.1), (2, 0.1)]), first) == expected


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.5])), min_size=1), min_size=1))
def test_the_order_is_that_of_counting_by_hand(items: list[list[tuple[int, float]]]) -> None:
    def by_hand(votes: list[tuple[int, float]]) -> list[int]:
        def worth(prediction: int) -> tuple[float, float, int]:
            own = [probability for voted, probability in votes if voted == prediction]
            return -len(own), -sum(own) / len(own), [voted for voted, _ in votes].index(prediction)

        return sorted({prediction for prediction, _ in votes}, key=worth)

    assert order(ballots(*items)) == [by_hand(votes) for votes in items]


@given(st.integers(1, 7), st.integers(0, 1000))
def test_portions_of_votes_make_no_difference(portion: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    votes = random.integers(1, 5, 4)
    item = np.repeat(np.arange(4), votes)
    k = np.concatenate([np.arange(count) for count in votes])
    tokens = random.integers(0, 3, (len(item), CELLS)).astype(np.uint8)
    probability = random.random(len(item))
    whole, parts = BallotBox(votes), BallotBox(votes)
    whole.add(item, k, tokens, probability)
    for start in range(0, len(item), portion):
        here = slice(start, start + portion)
        parts.add(item[here], k[here], tokens[here], probability[here])
    assert order(whole.ballots()) == order(parts.ballots())

"""Variance shares, seeds that would be needed, equivalence, and summaries across tasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from trm_bench.harness.stats.across_tasks import across_tasks
from trm_bench.harness.stats.power import equivalence, narrower, seeds_to_see, variance_shares
from trm_bench.harness.stats.rules import Kind
from trm_bench.harness.stats.tests import crossed_test
from trm_bench.harness.stats.variance import parts_of

RANDOM = np.random.default_rng(0)


def scores(
    seeds: int, clusters: int, seed_sd: float = 0.0, item_sd: float = 0.0, noise: float = 0.0
) -> np.ndarray:
    """Means around one half with three sources of variance."""
    values = 0.5 + RANDOM.normal(0, seed_sd, (seeds, 1)) + RANDOM.normal(0, item_sd, clusters)
    return np.clip(values + RANDOM.normal(0, noise, (seeds, clusters)), 0, 1)


# --- shares --------------------------------------------------------------------------------------


def test_seeds_that_differ_are_the_seeds_share() -> None:
    a = scores(5, 500, seed_sd=0.1, noise=0.01)
    b = a[::-1]  # which scatters as much
    shares, parts = variance_shares(a, b), parts_of(a, b)
    assert shares is not None
    assert parts is not None
    assert shares.seeds > 0.95
    # 1 − 1/√2, and the quantile of t for 18 degrees of freedom instead of 8
    for alpha in (0.05, 0.05 / 6):
        quantiles = stats.t.ppf(1 - alpha / 2, [18, 8])
        assert narrower(parts, alpha, seeds=2) == pytest.approx(
            1 - quantiles[0] / quantiles[1] / 2**0.5, abs=0.01
        )
    assert narrower(parts, clusters=2) < 0.02


def test_items_on_which_models_differ_are_the_items_share() -> None:
    a, b = (scores(5, 50, item_sd=0.15, noise=0.01) for _ in range(2))
    shares, parts = variance_shares(a, b), parts_of(a, b)
    assert shares is not None
    assert parts is not None
    assert shares.items > 0.95
    assert narrower(parts, clusters=2) > 0.27
    assert narrower(parts, seeds=2) < 0.02


def test_what_neither_explains_is_residual_and_either_helps() -> None:
    a, b = (scores(6, 400, noise=0.1) for _ in range(2))
    shares, parts = variance_shares(a, b), parts_of(a, b)
    assert shares is not None
    assert parts is not None
    assert shares.residual > 0.5
    assert narrower(parts, clusters=2) > 0.1
    assert narrower(parts, seeds=2) > 0.1


@given(
    arrays(float, st.tuples(st.integers(2, 4), st.just(6)), elements=st.floats(0, 1)),
    arrays(float, st.tuples(st.integers(2, 4), st.just(6)), elements=st.floats(0, 1)),
)
def test_shares_add_up_to_one(a: np.ndarray, b: np.ndarray) -> None:
    shares = variance_shares(a, b)
    if shares is None:
        parts = parts_of(a, b)
        assert parts is not None
        assert max(parts.seeds_a + parts.seeds_b, parts.items) < 1e-12
        return
    assert shares.seeds + shares.items + shares.residual == pytest.approx(1)
    assert min(shares.seeds, shares.items, shares.residual) >= 0
    parts = parts_of(a, b)
    assert parts is not None
    for more in ({"seeds": 2}, {"clusters": 2}) if parts.total else ():
        assert 0 <= narrower(parts, **more) < 1


@pytest.mark.parametrize(("a", "b"), [((1, 9), (3, 9)), ((3, 1), (3, 1))])
def test_one_seed_or_one_cluster_has_no_shares(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert variance_shares(np.zeros(a), np.zeros(b)) is None
    assert parts_of(np.zeros(a), np.zeros(b)) is None


def test_without_variance_there_is_nothing_to_share() -> None:
    assert variance_shares(np.ones((3, 5)), np.zeros((3, 5))) is None
    parts = parts_of(np.ones((3, 5)), np.zeros((3, 5)))
    assert parts is not None
    assert seeds_to_see(parts, 0.1) is None


# --- more seeds ----------------------------------------------------------------------------------


def test_the_number_of_seeds_is_the_first_that_would_do() -> None:
    a, b = scores(5, 400, seed_sd=0.05, noise=0.2), scores(5, 400, seed_sd=0.05, noise=0.2)
    parts = parts_of(a, b)
    assert parts is not None
    needed = seeds_to_see(parts, 0.03)
    assert needed is not None

    def detectable(seeds: int) -> float:
        return parts.with_seeds(seeds).error.decidable()

    assert detectable(needed) <= 0.03 < detectable(needed - 1)


def test_as_many_seeds_as_there_are_change_nothing() -> None:
    a, b = scores(4, 60, seed_sd=0.05, item_sd=0.1, noise=0.1), scores(4, 60, seed_sd=0.05, item_sd=0.1)
    parts = parts_of(a, b)
    assert parts is not None
    same = parts.with_seeds(4)
    assert same.total == pytest.approx(parts.total)
    assert same.error.half_width(0.05) == pytest.approx(parts.error.half_width(0.05))


def test_where_items_are_too_few_no_number_of_seeds_helps() -> None:
    a, b = scores(5, 10, item_sd=0.2, noise=0.01), scores(5, 10, item_sd=0.2, noise=0.01)
    parts = parts_of(a, b)
    assert parts is not None
    assert seeds_to_see(parts, 0.001) is None


# --- equivalence ---------------------------------------------------------------------------------


def test_models_that_are_alike_are_shown_to_be_so_within_a_wide_margin_only() -> None:
    shared = scores(1, 1000, item_sd=0.2)
    a = np.clip(shared + RANDOM.normal(0, 0.01, (5, 1000)), 0, 1)
    b = np.clip(shared + RANDOM.normal(0, 0.01, (5, 1000)), 0, 1)
    difference = crossed_test(a, b)
    assert equivalence(difference, 0.02).equivalent
    assert not equivalence(difference, 1e-5).equivalent


def test_equivalence_agrees_with_the_ninety_percent_interval() -> None:
    """Two one-sided tests at 5 % reject exactly if the 90 % interval lies within the margin."""
    difference = crossed_test(scores(5, 80, seed_sd=0.03, noise=0.2), scores(5, 80, seed_sd=0.03, noise=0.2))
    assert difference.error is not None
    edge = abs(difference.delta) + difference.error.half_width(0.1)
    assert equivalence(difference, edge * 1.001).equivalent
    assert not equivalence(difference, edge * 0.999).equivalent


def test_a_large_difference_is_not_equivalent_and_an_untested_one_neither() -> None:
    difference = crossed_test(scores(5, 80, noise=0.1), scores(5, 80, noise=0.1) * 0.2)
    assert not equivalence(difference, 0.05).equivalent
    untested = replace(difference, kind=Kind.UNTESTED, error=None)
    assert equivalence(untested, 0.5).p is None
    assert not equivalence(untested, 0.5).equivalent


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan")])
def test_a_margin_must_be_positive(margin: float) -> None:
    difference = crossed_test(scores(3, 9, noise=0.1), scores(3, 9, noise=0.1))
    with pytest.raises(ValueError, match="margin"):
        equivalence(difference, margin)


# --- across tasks --------------------------------------------------------------------------------

TASKS = [
    {"a": [0.9, 0.8], "b": [0.5, 0.5], "only-here": [1.0]},
    {"a": [0.4, 0.2], "b": [0.6, 0.6]},
    {"a": [0.7, 0.7], "b": [0.7, 0.7]},
]


def test_ranks_are_means_over_tasks_and_ties_share_theirs() -> None:
    overall = {one.model: one for one in across_tasks(TASKS)}
    assert set(overall) == {"a", "b"}
    assert overall["a"].mean_rank == pytest.approx((1 + 2 + 1.5) / 3)
    assert overall["b"].mean_rank == pytest.approx((2 + 1 + 1.5) / 3)
    assert overall["a"].runs == 6
    assert overall["a"].note == "descriptive only: 6 runs"


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end() -> None:
    runs = [0.0, 0.5, 0.5, 1.0]
    tasks = [{"a": runs}, {"a": runs}, {"a": runs}]
    (one,) = across_tasks(tasks)
    assert one.interquartile_mean == pytest.approx(0.5)
    assert one.note == "descriptive only"


def test_two_tasks_have_no_summary() -> None:
    assert across_tasks(TASKS[:2]) == []
    turned = across_tasks([{"a": [0.1, 0.2, 0.3], "b": [0.3, 0.2, 0.1]}] * 3)  # sums differ in the last bit
    assert [one.mean_rank for one in turned] == [1.5, 1.5]
    assert across_tasks([{"a": [1.0]}, {"b": [1.0]}, {"c": [1.0]}]) == []

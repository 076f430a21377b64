"""The same weights evaluated in two modes: the paired test, when it is taken, and which rows it compares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as sps
from support.folders import (
    TRM,
    quick,
)
from trm_bench.harness.stats.rules import Kind
from trm_bench.harness.stats.scores import Floats
from trm_bench.harness.stats.tests import Difference, crossed_test, paired_test

__all__ = ["quick"]

UNHURRIED = settings(deadline=None, max_examples=60)  # the machine may be busy

# --- the formula ---------------------------------------------------------------------------------


def test_paired_test_by_hand() -> None:
    # Differences 1 0 0 0 / 1 1 0 0 / 1 1 1 0. Seed means 1/4, 1/2, 3/4 give v_S = (1/16) / 3 = 9/432; cluster
    # means 1, 2/3, 1/3, 0 give v_I = (5/27) / 4 = 20/432; residuals square to 5/6, so that r = (5/6) / 6 / 12
    # = 5/432. V = 24/432 = 1/18. Two degrees of freedom for the seeds' 9/432, three for the clusters' 15/432.
    a = np.array([[1.0, 0, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    b = np.array([[0.0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    found = paired_test(a, b)
    two, three = (float(sps.t.ppf(0.975, df)) ** 2 for df in (2, 3))
    half = max((two * 9 + three * 15) / 432, three / 18) ** 0.5
    assert found.delta == pytest.approx(0.5)
    assert found.se == pytest.approx(1 / 18**0.5)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert (found.kind, found.seeds, found.note) == (Kind.CROSSED, 3, "")


def test_items_that_react_alike_leave_a_paired_t_test_over_seeds() -> None:
    a, b = (np.repeat(np.array(column)[:, None], 8, axis=1) for column in ([0.5, 0.75, 1], [0.25, 0.75, 0.5]))
    found, expected = paired_test(a, b), sps.ttest_rel(a[:, 0], b[:, 0])
    assert found.p == pytest.approx(float(expected.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_seeds_that_react_alike_leave_a_paired_t_test_over_clusters() -> None:
    a, b = np.tile([1.0, 1, 1, 0, 1], (3, 1)), np.tile([0.0, 1, 0, 0, 1], (3, 1))
    found, expected = paired_test(a, b), sps.ttest_rel(a[0], b[0])
    assert found.p == pytest.approx(float(expected.pvalue))


# Quarters: sums and differences of few of them are exact, so a variance is 0 or far from it.
QUARTERS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def twice(draw: st.DrawFn) -> tuple[Floats, Floats]:
    shape = draw(st.integers(3, 5)), draw(st.integers(2, 8))
    a, b = (draw(hnp.arrays(np.float64, shape, elements=QUARTERS)) for _ in range(2))
    return a, b


def numbers(found: Difference) -> list[float]:
    each = (found.delta, found.low, found.high, found.p, found.se)
    return [math.nan if value is None else value for value in each]


def agree(one: Difference, other: Difference) -> None:
    assert one.kind is other.kind
    np.testing.assert_allclose(numbers(one), numbers(other), rtol=1e-6, atol=1e-9, equal_nan=True)


def by_loops(a: Floats, b: Floats) -> float:
    """V of docs/statistics.md, one number at a time."""
    S, C = a.shape
    d = [[a[s, c] - b[s, c] for c in range(C)] for s in range(S)]
    seeds = [sum(row) / C for row in d]
    clusters = [sum(row[c] for row in d) / S for c in range(C)]
    mean = sum(seeds) / S
    of_seeds = sum((x - mean) ** 2 for x in seeds) / (S - 1) / S
    of_clusters = sum((x - mean) ** 2 for x in clusters) / (C - 1) / C
    rest = sum((d[s][c] - seeds[s] - clusters[c] + mean) ** 2 for s in range(S) for c in range(C))
    residual = rest / ((S - 1) * (C - 1)) / (S * C)
    return float(max(of_seeds + of_clusters - residual, of_seeds, of_clusters))


@UNHURRIED
@given(twice())
def test_the_variance_is_that_of_the_documentation(pair: tuple[Floats, Floats]) -> None:
    found = paired_test(*pair)
    assert (found.se or 0) ** 2 == pytest.approx(by_loops(*pair), abs=1e-12)
    assert (found.kind is Kind.DEGENERATE) == (by_loops(*pair) < 1e-20)


# --- against the crossed test --------------------------------------------------------------------


@UNHURRIED
@given(twice(), QUARTERS)
def test_against_a_way_that_never_varies_both_tests_are_one(pair: tuple[Floats, Floats], flat: float) -> None:
    a, b = pair[0], np.full_like(pair[0], flat)
    agree(paired_test(a, b), crossed_test(a, b))


@UNHURRIED
@given(twice())
def test_it_is_the_crossed_test_of_the_differences_against_nothing(pair: tuple[Floats, Floats]) -> None:
    found = paired_test(*pair)
    halved = crossed_test((1 + pair[0] - pair[1]) / 2, np.full_like(pair[0], 0.5))
    doubled = [None if x is None else 2 * x for x in (halved.delta, halved.low, halved.high)]
    delta, low, high = doubled
    assert delta is not None
    rescaled = replace(halved, delta=delta, low=low, high=high)
    np.testing.assert_allclose(
        numbers(found)[:4], numbers(rescaled)[:4], rtol=1e-6, atol=1e-9, equal_nan=True
    )


def reacting(rng: np.random.Generator, S: int = 5, C: int = 60) -> tuple[Floats, Floats]:
    """Two ways that differ a little from one another, for every seed and cluster."""
    a, b = (0.5 + rng.normal(0, 0.05, C) + rng.normal(0, 0.01, (S, C)) for _ in range(2))
    return a.clip(0.2, 0.8), b.clip(0.2, 0.8)


def test_what_a_seed_has_in_common_in_both_ways_changes_nothing_and_widens_the_crossed_test() -> None:
    rng = np.random.default_rng(0)
    a, b = reacting(rng)
    of_seed = np.linspace(-0.15, 0.15, len(a))[:, None]
    agree(paired_test(a + of_seed, b + of_seed), paired_test(a, b))
    alone, spread = crossed_test(a, b).se, crossed_test(a + of_seed, b + of_seed).se
    assert alone is not None
    assert spread is not None
    assert spread > 3 * alone


def test_what_a_cluster_has_in_common_in_both_ways_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    a, b = reacting(rng)
    of_cluster = rng.normal(0, 0.05, a.shape[1]).clip(-0.15, 0.15)
    agree(paired_test(a + of_cluster, b + of_cluster), paired_test(a, b))


def test_a_seed_that_reacts_by_itself_is_not_paired_away() -> None:
    rng = np.random.default_rng(2)
    a, b = reacting(rng)
    reaction = np.linspace(-0.1, 0.1, len(a))[:, None]
    before, after = paired_test(a, b).se, paired_test(a + reaction, b - reaction).se
    assert before is not None
    assert after is not None
    assert after > 3 * before


# --- symmetries ----------------------------------------------------------------------------------


@UNHURRIED
@given(twice(), st.integers(0, 2**32 - 1))
def test_the_order_of_seeds_and_clusters_does_not_matter(pair: tuple[Floats, Floats], seed: int) -> None:
    a, b = pair
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(a.shape[0]), rng.permutation(a.shape[1])
    agree(paired_test(a, b), paired_test(a[rows][:, columns], b[rows][:, columns]))


def test_which_seed_of_the_one_goes_with_which_of_the_other_matters() -> None:
    a, b = reacting(np.random.default_rng(3))
    of_seed = np.linspace(-0.15, 0.15, len(a))[:, None]
    right, wrong = (
        paired_test(a + of_seed, other).se for other in (b + of_seed, np.roll(b + of_seed, 1, axis=0))
    )
    assert right is not None
    assert wrong is not None
    assert wrong > 2 * right


@UNHURRIED
@given(twice())
def test_swapping_both_ways_only_turns_the_sign(pair: tuple[Floats, Floats]) -> None:
    there, back = paired_test(*pair), paired_test(*pair[::-1])
    turned = replace(
        back,
        delta=-back.delta,
        low=None if back.high is None else -back.high,
        high=None if back.low is None else -back.low,
    )
    agree(there, turned)


@UNHURRIED
@given(twice())
def test_the_interval_holds_delta_and_agrees_with_p(pair: tuple[Floats, Floats]) -> None:
    found = paired_test(*pair)
    if found.kind is Kind.DEGENERATE:
        return
    assert found.low is not None
    assert found.high is not None
    assert found.p is not None
    assert found.low < found.delta < found.high
    if abs(found.p - 0.05) > 1e-6:
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


# --- where there is no test ----------------------------------------------------------------------


@pytest.mark.parametrize(("seeds", "note"), [(1, "single training run"), (2, "a paired test needs 3")])
def test_under_three_seeds_there_is_no_test(seeds: int, note: str) -> None:
    rng = np.random.default_rng(0)
    found = paired_test(rng.random((seeds, 50)), rng.random((seeds, 50)))
    assert numbers(found)[1:] == pytest.approx([math.nan] * 4, nan_ok=True)
    assert (found.kind, found.seeds) == (Kind.UNTESTED, seeds)
    assert note in found.note


def test_one_cluster_is_no_test() -> None:
    found = paired_test([[1.0], [0.5], [0.25]], [[0.0], [0.5], [0.5]])
    assert (found.p, found.kind) == (None, Kind.UNTESTED)
    assert "one cluster" in found.note


@pytest.mark.parametrize(
    ("a", "b", "delta", "note"),
    [
        (np.ones((3, 4)), np.ones((3, 4)), 0, "both models solved every puzzle in every seed"),
        (np.ones((3, 4)), np.zeros((3, 4)), 1, "A solved every puzzle in every seed, B solved none in any"),
        (TRM, TRM, 0, "neither the seeds' means nor the puzzles' differences vary"),
        (np.full((4, 3), 0.75), np.full((4, 3), 0.5), 0.25, "neither the seeds' means nor"),
    ],
)
def test_no_variance_gives_words_and_no_numbers(a: Floats, b: Floats, delta: float, note: str) -> None:
    found = paired_test(a, b)
    assert found.delta == pytest.approx(delta)
    assert (found.low, found.high, found.p, found.error, found.se) == (None,) * 5
    assert found.kind is Kind.DEGENERATE
    assert found.note.startswith(note)


@pytest.mark.parametrize("shape", [(4, 5), (3, 6), (1, 5)])
def test_shapes_that_differ_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"must have one shape, not \(3, 5\) and"):
        paired_test(np.zeros((3, 5)), np.zeros(shape))


@pytest.mark.parametrize("bad", [1.5, -0.1, math.nan])
def test_scores_outside_the_unit_interval_are_refused(bad: float) -> None:
    whole, broken = np.full((3, 4), 0.5), np.full((3, 4), 0.5)
    broken[1, 2] = bad
    for pair in ((whole, broken), (broken, whole)):
        with pytest.raises(ValueError, match="within 0 to 1"):
            paired_test(*pair)


# --- error rates ---------------------------------------------------------------------------------

STUDIES, CLUSTERS = 400, 200


def ways(rng: np.random.Generator, seeds: int, of_seed: float, of_item: float) -> tuple[Floats, Floats]:
    """The same weights twice; what the change does to a seed and to an item has mean 0."""
    logit = rng.normal(0.4, 1.5, CLUSTERS) + rng.normal(0, 0.3, (seeds, 1))
    change = rng.normal(0, of_seed, (seeds, 1)) + rng.normal(0, of_item, CLUSTERS)
    noise = rng.random((seeds, CLUSTERS))
    a, b = (noise < 1 / (1 + np.exp(-logit - sign * change / 2)) for sign in (1, -1))
    return a.astype(np.float64), b.astype(np.float64)


def found_at_5_percent(tests: Sequence[Difference]) -> float:
    return sum(test.p is not None and test.p < 0.05 for test in tests) / len(tests)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("of_seed", "of_item"), [(0.2, 0.5), (0.0, 0.5), (0.5, 0.2), (0.0, 1.0)])
def test_equal_ways_are_rarely_told_apart(seeds: int, of_seed: float, of_item: float) -> None:
    rng = np.random.default_rng([seeds, int(10 * of_seed), int(10 * of_item)])
    studies = [ways(rng, seeds, of_seed, of_item) for _ in range(STUDIES)]
    assert found_at_5_percent([paired_test(*study) for study in studies]) < 0.09


def test_a_small_gain_of_the_same_weights_is_seen_where_the_crossed_test_sees_none() -> None:
    rng = np.random.default_rng(7)
    studies = []
    for _ in range(100):
        a, b = ways(rng, 5, 0.0, 0.2)
        gain = rng.random(a.shape) < 0.05
        studies.append((np.maximum(a, gain), np.minimum(b, a)))
    seen, unseen = (
        found_at_5_percent([test(*one) for one in studies]) for test in (paired_test, crossed_test)
    )
    assert seen > 0.9
    assert unseen < 0.5 * seen

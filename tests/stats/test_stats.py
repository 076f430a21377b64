"""The report's statistics: each formula by hand, its symmetries, its edge cases, its error rates."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as sps
from support.paths import ROOT
from trm_bench.harness.stats.interval import score_interval
from trm_bench.harness.stats.rules import Kind
from trm_bench.harness.stats.scores import Floats, cluster_means
from trm_bench.harness.stats.split import SMALLEST_P, SplitError, pooled
from trm_bench.harness.stats.tests import (
    Difference,
    crossed_test,
    mcnemar,
)

A = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
B = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
T_975_2 = 4.302653  # of a printed t table
Z_975 = 1.959964
UNHURRIED = settings(deadline=None)  # the machine may be busy

# --- cluster means -------------------------------------------------------------------------------


def test_clusters_of_unequal_size_weigh_the_same() -> None:
    clusters = np.array(["b", "a", "b", "b"])
    means = cluster_means([[1, 0, 1, 0], [0, 1, 0, 1]], clusters)
    np.testing.assert_allclose(means, [[0, 2 / 3], [1, 1 / 3]])


def test_an_item_of_its_own_is_its_own_cluster() -> None:
    assert cluster_means([[0.25, 0.75]], np.array(["q", "p"])).tolist() == [[0.75, 0.25]]


def test_a_mean_never_leaves_the_unit_interval() -> None:
    for count in range(1, 30):
        means = cluster_means(np.full((2, count), 1.0), np.full(count, "a"))
        assert means.tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("bad", [[[0.5, 1.5]], [[-0.1, 0.5]], [[math.nan, 0.5]]])
def test_scores_outside_the_unit_interval_are_refused(bad: list[list[float]]) -> None:
    for call in (
        lambda: cluster_means(bad, np.array(["p", "q"])),
        lambda: crossed_test(bad, [[0, 1]]),
        lambda: crossed_test([[0, 1]], bad),
        lambda: score_interval(bad),
    ):
        with pytest.raises(ValueError, match="within 0 to 1"):
            call()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="must name the 3 items"):
        cluster_means(A, np.array(["p", "q"]))
    with pytest.raises(ValueError, match="A has 3 clusters, B has 2"):
        crossed_test(A, B[:, :2])
    with pytest.raises(ValueError, match="not empty"):
        score_interval(np.empty((2, 0)))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        score_interval(A[0])


# --- the crossed test ----------------------------------------------------------------------------


def test_crossed_test_by_hand() -> None:
    # v_A = v_B = r_A = r_B = 1/36; item differences 1, 0, 0 give v_I = V = 1/9. The seeds' 1/18 has two
    # degrees of freedom, one of each model, and so have the items' 1/9 - 1/18: together t²/9, as V alone.
    result = crossed_test(A, B)
    half = float(sps.t.ppf(0.975, 2)) / 3
    assert result.delta == pytest.approx(1 / 3)
    assert result.se == pytest.approx(1 / 3)
    assert result.error == SplitError(
        ((pytest.approx(1 / 18), 2.0),), *map(pytest.approx, (1 / 18, 1 / 9)), 2.0
    )
    assert result.p == pytest.approx(2 * float(sps.t.sf(1, 2)))
    assert (result.low, result.high) == pytest.approx((1 / 3 - half, 1 / 3 + half))
    assert (result.kind, result.seeds) == (Kind.CROSSED, 2)


def test_crossed_test_of_unequal_seeds_by_hand() -> None:
    # B solved in three seeds: seed means 0, 1/3, 2/3 give v_B = 1/27; item means 0, 2/3, 1/3;
    # SS_resid(B) = 2/3, so r_B = (2/3)/4/9 = 1/54. Item differences 1, -1/6, -1/3 give
    # v_I = 19/108 and V = 1/36 + 1/27 + 19/108 - 1/36 - 1/54 = 21/108.
    b = [[0, 0, 0], [0, 1, 0], [0, 1, 1]]
    result = crossed_test(A, b)
    assert result.delta == pytest.approx(1 / 2 - 1 / 3)
    # Each model's part has a t of its own: one degree of freedom for A, two for B and for the items.
    one, two = (float(sps.t.ppf(0.975, df)) ** 2 for df in (1, 2))
    half = max(one / 36 + two / 27 + two * (19 / 108 - 1 / 36 - 1 / 54), two * 21 / 108) ** 0.5
    assert result.se == pytest.approx((21 / 108) ** 0.5)
    assert (result.low, result.high) == pytest.approx((1 / 6 - half, 1 / 6 + half))
    assert result.seeds == 2


def test_seeds_that_all_agree_leave_a_paired_t_test_over_clusters() -> None:
    # V = v_I = 1/9 with two degrees of freedom, whose p has the closed form 1 - t/sqrt(2 + t²).
    result = crossed_test(np.tile([1, 1, 0], (3, 1)), np.tile([0, 1, 0], (3, 1)))
    assert result.p == pytest.approx(1 - 1 / 3**0.5)
    assert result.low == pytest.approx(1 / 3 - T_975_2 / 3, abs=1e-6)
    assert result.note == ""


def test_items_that_all_agree_leave_a_welch_test_over_seeds() -> None:
    a, b = (
        np.repeat([[0.5], [0.625], [0.75]], 8, axis=1),
        np.repeat([[0.25], [0.5], [0.25]], 8, axis=1),
    )
    result = crossed_test(a, b)
    welch = sps.ttest_ind(a[:, 0], b[:, 0], equal_var=False)
    assert result.p == pytest.approx(float(welch.pvalue))
    assert (result.low, result.high) == pytest.approx(tuple(welch.confidence_interval()))


def test_a_pooled_part_has_no_fewer_degrees_of_freedom_than_its_own_parts() -> None:
    assert pooled(((1.0, 3.0), (0.0, 9.0))) == (1.0, 3.0)
    assert pooled(((1.0, 3.0), (1.0, 3.0))) == (2.0, 6.0)
    assert pooled(((0.0, 3.0), (0.0, 9.0))) == (0.0, 3.0)


def test_the_fewer_seeds_of_a_model_that_scatters_count_for_it_alone() -> None:
    """Ten steady runs of the other model say nothing about three runs that scatter."""
    scattering, steady = np.repeat([[0.2], [0.5], [0.8]], 9, axis=1), np.full((10, 9), 0.5)
    result = crossed_test(scattering, steady)
    assert result.high == pytest.approx(T_975_2 * (0.09 / 3) ** 0.5)


@UNHURRIED
@given(st.floats(1e-6, 1.0), st.floats(0, 0.1), st.floats(0, 0.1), st.integers(1, 9), st.integers(1, 999))
def test_p_is_the_level_whose_interval_ends_at_zero(
    distance: float, of_seeds: float, of_items: float, few: int, many: int
) -> None:
    whole = max(of_seeds + of_items, 1e-9)
    error = SplitError(((of_seeds, few),), of_items, whole, many)
    p = error.p(distance)
    assert 0 < p <= 1
    if p > SMALLEST_P:
        # Next to p = 1 the solver's accuracy is all that there is: 1e-9 is a ten-millionth of a point.
        assert error.half_width(p) == pytest.approx(distance, rel=1e-6, abs=1e-9)
    assert error.p(-distance) == p
    assert error.half_width(0.05 / 20) > error.half_width(0.05)


def test_a_p_value_is_never_zero() -> None:
    a = np.ones((3, 5000))
    a[:, 0] = 0
    result = crossed_test(a, np.zeros((3, 5000)))
    assert result.p is not None
    assert 0 < result.p < 1e-70


@pytest.mark.parametrize(("seeds_a", "seeds_b"), [(1, 5), (5, 1), (1, 1)])
def test_one_seed_on_either_side_is_no_method_test(seeds_a: int, seeds_b: int) -> None:
    result = crossed_test(np.tile([1, 1, 0, 1], (seeds_a, 1)), np.tile([0, 1, 0, 0], (seeds_b, 1)))
    assert result.delta == pytest.approx(0.5)
    assert (result.low, result.high, result.p, result.error, result.se) == (None,) * 5
    assert result.kind is Kind.UNTESTED
    assert result.note == "single training run; checkpoint-level only"


def test_one_cluster_is_no_method_test() -> None:
    result = crossed_test([[1.0], [0.5]], [[0.0], [0.5]])
    assert (result.p, result.kind) == (None, Kind.UNTESTED)
    assert "one cluster" in result.note


ONES, ZEROS, HALF = np.ones((3, 4)), np.zeros((3, 4)), np.tile([1.0, 0.0, 1.0, 0.0], (3, 1))
CANCELLING = np.array([[1.0, 0.0], [0.0, 1.0]])
ROUNDED = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])  # the seeds' means differ in the last bit


@pytest.mark.parametrize(
    ("a", "b", "delta", "note"),
    [
        (ONES, ONES, 0, "both models solved every puzzle in every seed"),
        (ZEROS, ZEROS[:2], 0, "neither model solved any puzzle in any seed"),
        (ONES, ZEROS, 1, "A solved every puzzle in every seed, B solved none in any"),
        (ZEROS, ONES, -1, "B solved every puzzle in every seed, A solved none in any"),
        (HALF, HALF, 0, "every seed of A and of B scored the same on every puzzle"),
        (ONES / 3, ONES / 3, 0, "every seed of A and of B scored the same on every puzzle"),
        (CANCELLING, CANCELLING, 0, "neither the seeds' means nor the puzzles' differences vary"),
        (ROUNDED, ROUNDED, 0, "neither the seeds' means nor the puzzles' differences vary"),
        (ONES / 3, ONES / 7, 4 / 21, "neither the seeds' means nor the puzzles' differences vary"),
    ],
)
def test_no_variance_gives_words_and_no_numbers(a: Floats, b: Floats, delta: float, note: str) -> None:
    result = crossed_test(a, b)
    assert result.delta == pytest.approx(delta)
    assert (result.low, result.high, result.p, result.error, result.se) == (None,) * 5
    assert result.kind is Kind.DEGENERATE
    assert result.note.startswith(note)


def test_a_single_differing_score_of_millions_is_variance() -> None:
    a = np.ones((5, 400_000))
    a[0, 7] = 0
    assert crossed_test(a, np.ones((5, 400_000))).kind is Kind.CROSSED


# Quarters: sums and differences of few of them are exact, so a variance is 0 or far from it.
def matrices(seeds: st.SearchStrategy[int], clusters: int) -> st.SearchStrategy[Floats]:
    quarters = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    return seeds.flatmap(lambda S: hnp.arrays(np.float64, (S, clusters), elements=quarters))


@st.composite
def pairs(draw: st.DrawFn, low: int = 2) -> tuple[Floats, Floats]:
    clusters, seeds = draw(st.integers(2, 9)), st.integers(low, 5)
    return draw(matrices(seeds, clusters)), draw(matrices(seeds, clusters))


def numbers(result: Difference) -> list[float]:
    found = (result.delta, result.low, result.high, result.p, result.se)
    return [math.nan if value is None else value for value in found]


def close(first: list[float], second: list[float]) -> None:
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-9, equal_nan=True)


@UNHURRIED
@given(pairs(low=1))
def test_swapping_a_and_b_only_turns_the_sign(pair: tuple[Floats, Floats]) -> None:
    there, back = crossed_test(*pair), crossed_test(*pair[::-1])
    delta, low, high, *rest = numbers(back)
    close(numbers(there), [-delta, -high, -low, *rest])
    assert there.kind is back.kind


@UNHURRIED
@given(pairs(low=1), st.integers(0, 2**32 - 1))
def test_the_order_of_seeds_and_clusters_does_not_matter(pair: tuple[Floats, Floats], seed: int) -> None:
    a, b = pair
    rng = np.random.default_rng(seed)
    columns = rng.permutation(a.shape[1])
    shuffled_a, shuffled_b = rng.permutation(a)[:, columns], rng.permutation(b)[:, columns]
    close(numbers(crossed_test(a, b)), numbers(crossed_test(shuffled_a, shuffled_b)))
    found, shuffled = score_interval(a), score_interval(shuffled_a)
    close([found.mean, found.low, found.high], [shuffled.mean, shuffled.low, shuffled.high])


@UNHURRIED
@given(matrices(st.integers(1, 3), 8), st.permutations(range(8)))
def test_the_order_of_items_does_not_matter_to_cluster_means(scores: Floats, order: list[int]) -> None:
    clusters = np.array(list("aabbbbcd"))
    np.testing.assert_allclose(
        cluster_means(scores, clusters),
        cluster_means(scores[:, order], clusters[order]),
        atol=1e-12,
    )


@UNHURRIED
@given(pairs())
def test_the_interval_holds_delta_and_agrees_with_p(pair: tuple[Floats, Floats]) -> None:
    result = crossed_test(*pair)
    if result.kind is Kind.DEGENERATE:
        return
    assert result.low is not None
    assert result.high is not None
    assert result.p is not None
    assert result.low < result.delta < result.high
    assert 0 < result.p <= 1
    if abs(result.p - 0.05) > 1e-6:
        assert (result.p < 0.05) == (not result.low <= 0 <= result.high)


@UNHURRIED
@given(pairs())
def test_the_variance_is_never_below_seeds_alone_or_items_alone(pair: tuple[Floats, Floats]) -> None:
    a, b = pair
    result = crossed_test(a, b)
    of_seeds = sum(np.var(x.mean(axis=1), ddof=1) / len(x) for x in pair)
    of_items = np.var(a.mean(axis=0) - b.mean(axis=0), ddof=1) / a.shape[1]
    assert (result.se or 0) ** 2 >= max(of_seeds, of_items) - 1e-12


# --- one checkpoint against one ------------------------------------------------------------------


def test_mcnemar_by_hand() -> None:
    # Of seven discordant items six are A's: p = 2 · (C(7,0) + C(7,1)) / 2⁷ = 1/8.
    result = mcnemar([1] * 6 + [0] + [1, 0], [0] * 6 + [1] + [1, 0])
    assert (result.a_only, result.b_only) == (6, 1)
    assert result.p == pytest.approx(1 / 8)
    assert result.kind is Kind.CHECKPOINT
    assert result.note == "single training run; checkpoint-level only"


def test_mcnemar_without_discordant_items_decides_nothing() -> None:
    assert mcnemar([1, 0], [1, 0]).p == 1


def test_mcnemar_of_fractions_is_a_sign_test() -> None:
    result = mcnemar([0.5, 0.75, 0.5, 1], [0.25, 0.5, 0.5, 0])
    assert (result.a_only, result.b_only) == (3, 0)
    assert result.p == pytest.approx(1 / 4)


def test_mcnemar_refuses_several_seeds_and_unequal_items() -> None:
    with pytest.raises(ValueError, match="alike"):
        mcnemar(A, B)
    with pytest.raises(ValueError, match="alike"):
        mcnemar([1, 0], [1])


@UNHURRIED
@given(pairs(low=1))
def test_mcnemar_turns_with_its_arguments(pair: tuple[Floats, Floats]) -> None:
    there, back = mcnemar(pair[0][0], pair[1][0]), mcnemar(pair[1][0], pair[0][0])
    assert (there.a_only, there.b_only) == (back.b_only, back.a_only)
    assert 0 < there.p == back.p <= 1


# --- the interval of one model -------------------------------------------------------------------


def test_score_interval_by_hand() -> None:
    # v_A = r = 1/36, item means 1, 1/2, 0 give v_I = 1/12 = V. Two of three items hold a success, and two a
    # failure: one degree of freedom, as for the two seeds. Its quantile squared times v_I - r = 1/18, or
    # times V, is more than three items can vary, t² p (1 - p) / C = t² / 12 with two degrees of freedom.
    found = score_interval(A)
    one, two = (float(sps.t.ppf(0.975, df)) for df in (1, 2))
    ratio = 4 * (one**2 / 36 + two**2 / 12)
    half = (ratio / 4 + ratio**2 / 4) ** 0.5 / (1 + ratio)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
    assert found.seed_sd == pytest.approx((1 / 18) ** 0.5)
    assert (found.seeds, found.items, found.clusters, found.kind, found.note) == (2, 3, 3, Kind.CROSSED, "")


def test_one_seed_gives_wilson_s_interval_as_scipy_has_it() -> None:
    found = score_interval([[1] * 8 + [0] * 2])
    known = sps.binomtest(8, 10).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert (found.seed_sd, found.kind) == (None, Kind.CHECKPOINT)
    assert found.note == "single training run; checkpoint-level only"


@pytest.mark.parametrize("seeds", [1, 5])
def test_all_right_and_all_wrong_leave_room_for_doubt(seeds: int) -> None:
    # At p = 1 Wilson's lower end is n / (n + t²), at p = 0 the upper end is t² / (n + t²).
    t = {1: Z_975, 5: float(sps.t.ppf(0.975, 399))}[seeds]  # how often the seeds agree says nothing about it
    right, wrong = score_interval(np.ones((seeds, 400))), score_interval(np.zeros((seeds, 400)))
    assert (right.mean, right.high) == (1, 1)
    assert right.low == pytest.approx(400 / (400 + t**2), abs=1e-6)
    assert (wrong.mean, wrong.low) == (0, 0)
    assert wrong.high == pytest.approx(t**2 / (400 + t**2), abs=1e-6)
    assert right.kind is wrong.kind is (Kind.CHECKPOINT if seeds == 1 else Kind.DEGENERATE)


def test_more_seeds_that_never_disagree_do_not_count_as_more_items() -> None:
    found = score_interval(CANCELLING)
    t = float(sps.t.ppf(0.975, 1))
    assert found.high - 0.5 == pytest.approx(t * (1 / 8 + t**2 / 16) ** 0.5 / (1 + t**2 / 2))
    assert (found.kind, found.note) == (
        Kind.DEGENERATE,
        "neither the seeds' means nor the puzzles' vary, so the interval counts the 2 puzzles once",
    )
    assert score_interval(np.ones((2, 3))).note == (
        "all seeds agree on every puzzle, so the interval counts the 3 puzzles once"
    )


def test_a_score_on_one_cluster_is_nearly_unknown() -> None:
    found = score_interval([[0.5], [1.0], [0.75]], items=4)
    assert (found.items, found.clusters, found.kind) == (4, 1, Kind.DEGENERATE)
    assert found.high - found.low > 0.8


@UNHURRIED
@given(matrices(st.integers(1, 5), 7))
def test_an_interval_holds_its_mean_and_has_a_width(scores: Floats) -> None:
    found = score_interval(scores)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0.01


@UNHURRIED
@given(matrices(st.integers(1, 5), 7))
def test_an_interval_is_mirrored_by_mirrored_scores(scores: Floats) -> None:
    found, mirrored = score_interval(scores), score_interval(1 - scores)
    close([found.low, found.high], [1 - mirrored.high, 1 - mirrored.low])


# --- the documentation ---------------------------------------------------------------------------


def test_every_number_in_the_examples_of_the_documentation_is_what_comes_out() -> None:
    page = ROOT / "docs" / "statistics.md"
    outcome = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert outcome.attempted > 10
    assert outcome.failed == 0

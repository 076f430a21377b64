"""A difference as one of several tests: Holm's steps, intervals in the family, power, verdicts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trm_bench.harness.stats.power import decidable_from_scatter
from trm_bench.harness.stats.rules import Kind
from trm_bench.harness.stats.split import SplitError
from trm_bench.harness.stats.tests import (
    Difference,
    InFamily,
    Verdict,
    crossed_test,
    holm,
    holm_steps,
    in_family,
    may_decide,
    verdict,
)

A = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
B = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
T_975_2 = 4.302653  # of a printed t table
Z_975 = 1.959964
UNHURRIED = settings(deadline=None)  # the machine may be busy


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_untested_pairs_pass_through_and_do_not_enlarge_the_family() -> None:
    assert holm([None, 0.01, None, 0.5]) == [None, pytest.approx(0.02), None, pytest.approx(0.5)]
    assert holm([None]) == [None]
    assert holm([]) == []


@UNHURRIED
@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_holm_is_no_smaller_than_raw_and_keeps_the_order(raw: list[float | None]) -> None:
    adjusted = holm(raw)
    assert [p is None for p in adjusted] == [p is None for p in raw]
    both = sorted((p, q) for p, q in zip(raw, adjusted, strict=True) if p is not None and q is not None)
    # p times an integer is rounded once, hence the hair's breadth.
    assert all(p * (1 - 1e-12) <= q <= 1 for p, q in both)
    assert all(earlier[1] <= later[1] for earlier, later in itertools.pairwise(both))


def test_what_is_decidable_by_hand() -> None:
    of_items = SplitError(((0.0, 4.0),), 1e-4, 1e-4, 1e9)
    assert of_items.decidable() == pytest.approx(0.01 * (1.959964 + 0.841621), abs=1e-7)
    of_seeds = SplitError(((1e-4, 4.0),), 0.0, 1e-4, 1e9)
    assert of_seeds.decidable() == pytest.approx(0.01 * (2.776445 + 0.940965), abs=1e-7)
    assert of_seeds.decidable(0.05 / 2) == pytest.approx(0.01 * (3.495406 + 0.940965), abs=1e-7)
    # The same from the scatter of runs: 5 seeds of each model, 8 degrees of freedom.
    assert decidable_from_scatter(5, 1, 0.1) == pytest.approx((2.306004 + 0.888890) * (2 * 0.01 / 5) ** 0.5)


PLAIN = Difference(0.1, 0.05, 0.15, 0.001, None, Kind.CROSSED, 5)


def family(p: float) -> InFamily:
    return InFamily(tests=9, level=0.05 / 9, p=p, low=-1.0, high=1.0, decidable=0.5)


@pytest.mark.parametrize(
    ("difference", "holm_p", "word"),
    [
        (PLAIN, 0.0499, Verdict.A_BETTER),
        (replace(PLAIN, delta=-0.1), 0.0499, Verdict.B_BETTER),
        (PLAIN, 0.05, Verdict.ONLY_ALONE_A),
        (replace(PLAIN, delta=-0.1), 0.05, Verdict.ONLY_ALONE_B),
        (replace(PLAIN, p=0.05), 0.45, Verdict.UNDECIDED),
        (PLAIN, None, Verdict.UNTESTED),
        (replace(PLAIN, p=None), 0.01, Verdict.UNTESTED),
    ],
)
def test_verdict(difference: Difference, holm_p: float | None, word: Verdict) -> None:
    assert verdict(difference, None if holm_p is None else family(holm_p)) is word


def test_two_seeds_of_a_model_are_no_member_of_a_family() -> None:
    assert may_decide(replace(PLAIN, seeds=3))
    assert not may_decide(replace(PLAIN, seeds=2))
    assert not may_decide(replace(PLAIN, p=None))


def test_holm_steps_by_hand() -> None:
    """Of four tests the two smallest decide; the third does not, and its level is that of the fourth, too."""
    steps = holm_steps([0.03, 0.001, None, 0.04, 0.016])
    assert [None if step is None else round(step.level, 6) for step in steps] == [
        0.025,
        0.0125,
        None,
        0.025,
        0.016667,
    ]
    assert [None if step is None else round(step.p, 6) for step in steps] == [0.06, 0.004, None, 0.06, 0.048]
    assert {step.tests for step in steps if step is not None} == {4}


@UNHURRIED
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(1e-6, 0.2)), min_size=1, max_size=9))
def test_an_interval_in_the_family_excludes_zero_exactly_where_the_verdict_is_decided(
    drawn: list[tuple[float, float]],
) -> None:
    errors = [SplitError(((variance, 4.0),), variance / 3, 1.2 * variance, 99.0) for _, variance in drawn]
    found = [
        replace(PLAIN, delta=delta, p=error.p(delta), error=error)
        for (delta, _), error in zip(drawn, errors, strict=True)
    ]
    steps = holm_steps([one.p for one in found])
    for one, step in zip(found, steps, strict=True):
        member = in_family(one, step)
        assert member is not None
        assert step is not None
        if abs(step.p - 0.05) > 1e-6:
            assert verdict(one, member).is_decided == (not member.low <= 0 <= member.high)
        assert member.decidable > (member.high - member.low) / 2


def test_two_seeds_are_tested_but_claim_nothing_of_methods() -> None:
    result = crossed_test(A, B)
    assert result.note == "2 seeds; a claim on methods needs 3 of each"


def test_verdicts_print_as_the_words_of_the_table() -> None:
    words = "A > B|B > A|equivalent|undecided (alone: A > B)|undecided (alone: B > A)|undecided|untested"
    assert [str(word) for word in Verdict] == words.split("|")

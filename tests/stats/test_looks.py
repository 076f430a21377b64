"""Seeds until decided: the levels against published tables, the decisions by hand, the error simulated."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
import until_decided
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.stats.looks import FEW_SEEDS, Plan, decide, interval
from trm_bench.harness.stats.tests import crossed_test

PLAN = Plan()
P_VALUES = st.lists(
    st.lists(st.none() | st.floats(1e-6, 1.0), min_size=3, max_size=3), min_size=1, max_size=3
)


def whole(*seeds: int) -> Plan:
    """A plan that spends all of 5 %."""
    return Plan(seeds, alpha=0.05 / FEW_SEEDS)


@pytest.mark.parametrize(
    ("seeds", "bounds"),
    [
        ((3, 6, 9), [3.71, 2.51, 1.99]),
        ((5, 10), [2.96, 1.97]),
        ((3, 6, 9, 12, 15), [4.88, 3.36, 2.68, 2.29, 2.03]),
    ],
)
def test_levels_are_those_of_published_tables(seeds: tuple[int, ...], bounds: list[float]) -> None:
    """Lan & DeMets 1983, spending like O'Brien & Fleming at equal steps, two-sided 5 %."""
    levels = [whole(*seeds).level(look) for look in range(len(seeds))]
    assert norm.isf(np.array(levels) / 2) == pytest.approx(bounds, abs=0.006)


def test_one_look_spends_everything() -> None:
    assert whole(10).level(0) == pytest.approx(0.05)
    assert Plan((10,)).level(0, tests=2) == pytest.approx(0.05 * FEW_SEEDS / 2)


def test_a_normal_process_leaves_the_bounds_as_often_as_planned() -> None:
    random = np.random.default_rng(0)
    sums = random.normal(size=(400_000, 10)).cumsum(axis=1)
    outside = np.zeros(len(sums), bool)
    for look, seeds in enumerate(PLAN.seeds):
        outside |= 2 * norm.sf(np.abs(sums[:, seeds - 1]) / seeds**0.5) < PLAN.level(look)
    assert outside.mean() == pytest.approx(0.05 * FEW_SEEDS, abs=4 * (0.05 / 400_000) ** 0.5)


@pytest.mark.parametrize("tests", [1, 2, 3, 8])
def test_levels_rise_with_looks_and_stay_below_the_whole(tests: int) -> None:
    levels = [PLAN.level(look, tests) for look in range(3)]
    assert levels == sorted(set(levels))
    assert levels[-1] < 0.05 / tests < sum(levels) / FEW_SEEDS


@settings(max_examples=20)
@given(st.sets(st.integers(3, 30), min_size=1, max_size=6), st.integers(1, 9))
def test_levels_fall_with_the_number_of_tests(seeds: set[int], tests: int) -> None:
    """What the proof of the family error rests on."""
    plan = Plan(tuple(sorted(seeds)))
    for look in range(len(seeds)):
        assert plan.level(look, tests + 1) < plan.level(look, tests)


@pytest.mark.parametrize("seeds", [(), (2, 5), (5, 5), (8, 5)])
def test_looks_that_are_no_plan_are_refused(seeds: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="must rise and begin with 3"):
        Plan(seeds)


def test_an_error_rate_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"alpha=5 must lie between 0 and 1"):
        Plan(alpha=5)


def test_decisions_by_hand() -> None:
    """The second test is decided first, which leaves the first a level for two; the third never is."""
    first = PLAN.level(0, 3) * 0.9
    second = (PLAN.level(1, 3) + PLAN.level(1, 2)) / 2
    found = decide(PLAN, [[0.9, first, 0.9], [second, 0.9, 0.9], [0.9, 0.9, PLAN.level(2, 1) * 1.1]])
    assert [one.decided for one in found] == [True, True, False]
    assert [one.seeds for one in found] == [8, 5, 10]
    assert [one.tests for one in found] == [2, 3, 1]
    assert [one.level for one in found] == [PLAN.level(1, 2), PLAN.level(0, 3), PLAN.level(2, 1)]


def test_one_look_decides_several_in_turn() -> None:
    """As Holm's: the second p is held to the level of two, and the third is not reached."""
    levels = [PLAN.level(0, tests) for tests in (3, 2, 1)]
    found = decide(PLAN, [[levels[2] * 1.01, levels[1] * 0.99, levels[0] * 0.99]])
    assert [one.decided for one in found] == [False, True, True]
    assert decide(PLAN, [[levels[0] * 1.01] * 3])[0].decided is False


def test_a_test_that_is_none_counts_and_decides_nothing() -> None:
    p = (PLAN.level(0, 2) + PLAN.level(0, 1)) / 2
    assert [one.decided for one in decide(PLAN, [[p, None]])] == [False, False]
    assert [one.decided for one in decide(PLAN, [[p]])] == [True]
    assert decide(PLAN, [[]]) == []


@pytest.mark.parametrize(
    ("p_values", "message"), [([], "0 looks"), ([[1]] * 4, "4 looks"), ([[1], []], "same")]
)
def test_looks_that_do_not_fit_are_refused(p_values: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decide(PLAN, p_values)


@given(P_VALUES)
def test_what_is_decided_stays_decided(p_values: list[list[float | None]]) -> None:
    for looks in range(1, len(p_values)):
        before, after = decide(PLAN, p_values[:looks]), decide(PLAN, p_values)
        assert all(late == early for early, late in zip(before, after, strict=True) if early.decided)


@given(P_VALUES)
def test_the_order_of_the_tests_does_not_matter(p_values: list[list[float | None]]) -> None:
    """But for the level at which each of two equal p-values was tested, as in Holm's procedure itself."""
    found = decide(PLAN, p_values)
    for order in permutations(range(3)):
        moved = decide(PLAN, [[look[test] for test in order] for look in p_values])
        assert [(one.decided, one.look) for one in moved] == [
            (found[test].decided, found[test].look) for test in order
        ]


def test_an_interval_excludes_0_exactly_where_a_test_is_decided() -> None:
    random = np.random.default_rng(0)
    outcomes = set()
    for gain in np.linspace(0, 0.3, 31):
        a, b = (random.random((5, 60)) < np.array(rate) for rate in (0.5 + gain, 0.5))
        difference = crossed_test(a, b)
        (decision,) = decide(PLAN, [[difference.p]])
        ends = interval(difference, decision)
        assert ends is not None
        assert (ends[0] > 0 or ends[1] < 0) is decision.decided
        outcomes.add(decision.decided)
    assert outcomes == {True, False}
    same = np.ones((5, 60))
    assert interval(crossed_test(same, same), decision) is None


@pytest.mark.slow
def test_the_error_of_looking_until_decided_is_kept() -> None:
    studies = 600
    hardest = [study for study in until_decided.designs() if study.family.name == "two equal"][-1]
    found = until_decided.rates(hardest, studies)
    assert found.naive is not None
    assert found.planned is not None
    assert found.planned <= binom.ppf(0.999, studies, 0.05) / studies
    assert found.planned < found.naive
    assert found.coverage >= 1 - binom.ppf(0.999, studies, 0.05) / studies


@pytest.mark.slow
def test_t_tests_on_few_seeds_keep_it_too() -> None:
    studies = 100_000
    error = until_decided.t_error(0.25, 1, 0.05, studies)
    assert error <= binom.ppf(0.999, studies, 0.05) / studies
    assert until_decided.t_error(0.25, 1, 0.05 / FEW_SEEDS, studies) > 0.052  # why `FEW_SEEDS` is there


@pytest.mark.slow
def test_the_script_prints_a_table_and_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [until_decided.designs()[0], until_decided.designs()[-1]]
    monkeypatch.setattr(until_decided, "designs", lambda: wanted)
    words = ["--studies", "20", "--jobs", "1"]
    until_decided.main(words)
    header, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert "false: naive" in header
    assert len(rows) == 2
    until_decided.main([*words, "--json"])
    content = json.loads(capsys.readouterr().out)
    assert [one["power"] is None for one in content] == [True, False]

"""Numbers in sentences are those of the tables: digits, signs and rounding."""

from __future__ import annotations

import pytest
from trm_bench.harness.report.notes import _limits
from trm_bench.harness.report.words import points, signed
from trm_bench.plugins.reporters.grids import percent, signed_interval


def test_equal_scores_are_printed_alike_however_they_were_added_up() -> None:
    one, other = 0.8195, 0.8195 - 1e-16
    assert one != other
    assert points(one) == points(other) == percent(one) == percent(other)
    assert signed(one) == signed(other)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.031, "+3.1"), (-0.031, "−3.1"), (0.0002, "+0.02"), (-0.0004, "−0.04"), (0.0, "+0.0")],
)
def test_an_end_of_an_interval_near_zero_has_a_side(value: float, shown: str) -> None:
    assert signed(value) == shown
    assert signed_interval(value, 0.5) == f"[{shown}, +50.0]"


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (0.003, 0.48, "differences from 0.3 to 48 points on, by pair"),
        (0.003, 2.0, "differences from 0.3 points on, by pair; by some pairs none"),
        (0.12, 0.12, "differences from 12 points on, by pair"),
        (2.0, 3.0, "no difference, by any pair"),
    ],
)
def test_small_decidable_differences_are_not_printed_as_none(least: float, most: float, words: str) -> None:
    assert _limits(least, most) == words

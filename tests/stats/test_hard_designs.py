"""The designs that are harder than those of `calibrate` and that the docs do not name as incurable."""

from __future__ import annotations

import pytest
from hard_designs import Family, Side, errors, families
from scipy.stats import binom

INCURABLE = ("skewed", "two kinds")
STUDIES = 1000
MOST = float(binom.ppf(0.999, STUDIES, 0.06) / STUDIES)
"""What a true rate of 6 % would not exceed in one of a thousand simulations."""


def test_every_design_is_listed_once() -> None:
    assert len(set(families())) == len(families()) > 20


@pytest.mark.parametrize("family", [one for one in families() if one.name not in INCURABLE], ids=str)
def test_the_crossed_test_keeps_its_word(family: Family) -> None:
    assert errors(family, STUDIES).error <= MOST


def test_the_designs_that_the_docs_warn_about_are_worse() -> None:
    assert errors(Family("two kinds", (Side(3, 0.0), Side(3, 0.1, "two kinds"))), STUDIES).error > 0.15

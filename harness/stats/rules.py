"""The rules that all statistics share: error rate, power, and what a number rests on."""

from __future__ import annotations

from enum import StrEnum

from scipy import stats

ALPHA = 0.05
"""Two-sided error rate of every test and one minus the coverage of every interval."""
POWER = 0.80
"""Power at which `SplitError.decidable` states what a design can see."""
METHOD_SEEDS = 3
"""Seeds each model needs before a difference may be called one between methods."""
SINGLE_RUN = "single training run; checkpoint-level only"


class Kind(StrEnum):
    """The kind of test behind a number."""

    CROSSED = "crossed"
    """Seeds and items both vary: speaks of methods."""
    CHECKPOINT = "checkpoint"
    """One training run: items vary, seeds do not."""
    DEGENERATE = "degenerate"
    """The sample holds no variance to estimate an error from."""
    UNTESTED = "untested"
    """Too few seeds or clusters for a test between methods."""


def t_quantile(probability: float, df: float) -> float:
    """The quantile of Student's t distribution."""
    return float(stats.t.ppf(probability, df))

"""The stock studies, each a YAML file next to this module."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...harness.api.hookspecs import hookimpl
from ...harness.api.specs import StudySpec

SUMMARIES = {
    "depth": "what do more supervision steps at inference bring, and what do fewer cost?",
    "depth-at-equal-flops": "at equal compute, is it better to recurse deeper within a step or to take more?",
    "identity": "does an ARC score depend on knowing which task a puzzle belongs to?",
    "less-is-more": "the ablations of the TRM paper - which of its choices matter on Sudoku?",
    "recursion-or-augmentation": "is it the recursion or the augmentation, whichever budget is made equal?",
    "registers": "do positions without a cell (registers) help where there is no identity to tell?",
    "rollouts": "do many noisy answers of TRM help, and is it the sampling or the compute?",
    "successors": "do the successors of TRM beat it under one budget, with one answer each?",
    "votes": "how much of an ARC score comes from voting over augmented views?",
    "where-the-gain-is": "from one pass to TRM in four steps - which of them brings the gain?",
}
"""Question of each study, so that `trm-bench list` reads no file."""


@hookimpl
def trm_bench_register_studies() -> Iterable[StudySpec]:
    """The studies, each with its file."""
    folder = Path(__file__).parent
    return [StudySpec(name, summary, folder / f"{name}.yaml") for name, summary in SUMMARIES.items()]

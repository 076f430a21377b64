"""Several tasks at a time: mean rank and interquartile mean, which describe and test nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST_TASKS = 3
FEW_RUNS = 10
"""Runs under which an interquartile mean is too coarse to be more than a description."""


@dataclass(frozen=True)
class Overall:
    """One model over all tasks.

    Attributes:
        model: its name.
        mean_rank: over tasks, 1 for the best; equal means share the mean of their ranks.
        interquartile_mean: of all its runs on all tasks, without the lowest and highest quarter
            (Agarwal et al. 2021, section 4.3), 0 to 1.
        runs: how many those are.
    """

    model: str
    mean_rank: float
    interquartile_mean: float
    runs: int

    @property
    def note(self) -> str:
        """The note that goes with it."""
        return "descriptive only" + (f": {self.runs} runs" if self.runs < FEW_RUNS else "")


def across_tasks(scores: Sequence[Mapping[str, Sequence[float]]]) -> list[Overall]:
    """Summarise each task's seed means by model; the models that every task has.

    Empty under three tasks: a rank over fewer says nothing that the tables do not.
    """
    if len(scores) < FEWEST_TASKS:
        return []
    models = [model for model in scores[0] if all(task.get(model) for task in scores)]
    means = np.array([[np.mean(task[model]) for model in models] for task in scores])
    if not models:
        return []
    # Rounded: the order in which seeds are added up must not tell equal means apart.
    ranks = stats.rankdata(-means.round(12), axis=1).mean(axis=0)
    overall = []
    for place, model in enumerate(models):
        runs = np.concatenate([task[model] for task in scores])
        overall.append(Overall(model, float(ranks[place]), float(stats.trim_mean(runs, 0.25)), len(runs)))
    return overall

"""Runs aligned by their items, and error rates by simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from trm_bench.harness.api.errors import TrmBenchError
from trm_bench.harness.stats.interval import score_interval
from trm_bench.harness.stats.scores import Floats, ItemScores, align, cluster_means, stack
from trm_bench.harness.stats.tests import crossed_test, mcnemar

# --- alignment -----------------------------------------------------------------------------------


def scores_of(name: str, items: list[str], values: list[list[float]], clusters: str = "") -> ItemScores:
    names = np.array(items)
    return ItemScores(name, names, np.array(list(clusters)) if clusters else names, np.array(values))


def test_align_brings_the_second_into_the_order_of_the_first() -> None:
    a = scores_of("trm", ["p", "q", "r"], [[1, 0, 0]], "xxy")
    b = scores_of("hrm", ["r", "p", "q"], [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "yxx")
    first, second = align(a, b)
    assert first is a
    assert second.name == "hrm"
    assert second.items.tolist() == ["p", "q", "r"]
    assert second.clusters.tolist() == ["x", "x", "y"]
    assert second.scores.tolist() == [[0.2, 0.3, 0.1], [0.5, 0.6, 0.4]]


def test_a_missing_item_is_named_with_both_counts() -> None:
    a = scores_of("trm", ["p", "q", "r", "s"], [[1, 0, 1, 0]])
    b = scores_of("hrm", ["s", "p"], [[1, 0]])
    with pytest.raises(TrmBenchError, match=r"trm has 4 items, hrm has 2; 2 missing from hrm, the first 'q'"):
        align(a, b)
    with pytest.raises(TrmBenchError, match=r"hrm has 2 items, trm has 4; 2 missing from hrm, the first 'q'"):
        align(b, a)


def test_equal_counts_of_other_items_do_not_match() -> None:
    a, b = scores_of("trm", ["p", "q"], [[1, 0]]), scores_of("hrm", ["p", "z"], [[1, 0]])
    with pytest.raises(TrmBenchError, match=r"from hrm, the first 'q'; 1 missing from trm, the first 'z'"):
        align(a, b)


def test_an_item_that_is_there_twice_is_refused() -> None:
    once, twice = scores_of("trm", ["p", "q"], [[1, 0]]), scores_of("hrm", ["p", "q", "q"], [[1, 0, 0]])
    with pytest.raises(TrmBenchError, match=r"hrm: 3 scores for 2 items; 'q' is there twice"):
        align(once, twice)


def test_an_item_that_changes_its_cluster_is_refused() -> None:
    a, b = scores_of("trm", ["p", "q"], [[1, 0]], "xy"), scores_of("hrm", ["q", "p"], [[1, 0]], "xx")
    with pytest.raises(TrmBenchError, match=r"'q' is in cluster 'y' for trm but in 'x' for hrm; 1 of 2"):
        align(a, b)


def test_item_scores_refuse_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"trm: items \(2,\)"):
        scores_of("trm", ["p", "q"], [[1, 0, 1]])
    with pytest.raises(ValueError, match=r"trm: items \(2,\)"):
        ItemScores("trm", np.array(["p", "q"]), np.array(["p", "q"]), np.array([1.0, 0.0]))


def test_stack_puts_the_seeds_of_one_model_on_one_order() -> None:
    runs = [scores_of("seed 0", ["p", "q"], [[1, 0]]), scores_of("seed 1", ["q", "p"], [[0.5, 0.25]])]
    whole = stack("trm", runs)
    assert (whole.name, whole.items.tolist(), whole.scores.tolist()) == (
        "trm",
        ["p", "q"],
        [[1, 0], [0.25, 0.5]],
    )
    with pytest.raises(TrmBenchError, match="the first 'q'"):
        stack("trm", [runs[0], scores_of("seed 2", ["p"], [[1]])])
    with pytest.raises(ValueError, match="trm: no runs"):
        stack("trm", [])


# --- error rates, simulated ----------------------------------------------------------------------

REPLICATIONS = 1000


@dataclass(frozen=True)
class Design:
    """Two models on the same items: probit difficulty, seed effects, and an interaction.

    ``seed_sd`` is the standard deviation of a training run's expected score, in points, about a
    mean of one half; ``gain`` is the true difference, in points.
    """

    seeds: int
    seed_sd: float
    items: int = 400
    cluster_size: int = 1
    gain: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.str_]]:
        difficulty = 1.5 * rng.standard_normal(self.items // self.cluster_size)
        names = np.arange(len(difficulty)).repeat(self.cluster_size)
        # Each model finds other clusters hard, though both are equally good on all that could be drawn.
        models = [difficulty + 0.5 * rng.standard_normal(len(difficulty)) for _ in range(2)]
        spread = (1.5**2 + 0.5**2 + 1) ** 0.5
        points = spread / 0.3989 / 100  # slope of the normal distribution function at its centre
        shifts = points * (self.seed_sd * rng.standard_normal((2, self.seeds, 1)) + [[[self.gain]], [[0]]])
        noise = rng.standard_normal((2, self.seeds, self.items))
        a, b = (
            (model[names] + shift + rest > 0).astype(float)
            for model, shift, rest in zip(models, shifts, noise, strict=True)
        )
        return a, b, names.astype(str)

    def replications(self, count: int = REPLICATIONS) -> Iterator[tuple[Floats, Floats, NDArray[np.str_]]]:
        rng = np.random.default_rng(20240601)
        return (self.draw(rng) for _ in range(count))


QUIET = Design(seeds=3, seed_sd=2.4)
NOISY = Design(seeds=5, seed_sd=5.2)
CLUSTERED = Design(seeds=5, seed_sd=2.4, cluster_size=4)


def crossed_rate(design: Design) -> float:
    """Share of replications in which the crossed test has p < 0.05."""
    found = [
        crossed_test(cluster_means(a, names), cluster_means(b, names)).p
        for a, b, names in design.replications()
    ]
    return float(np.mean([p is not None and p < 0.05 for p in found]))


def mcnemar_rate(design: Design) -> float:
    """Share of replications in which one seed's McNemar test has p < 0.05."""
    return float(np.mean([mcnemar(a[0], b[0]).p < 0.05 for a, b, _ in design.replications()]))


def coverage(design: Design) -> float:
    """Share of replications in which the interval holds the method's true score, one half."""
    intervals = [score_interval(cluster_means(a, names)) for a, _, names in design.replications()]
    return float(np.mean([found.low <= 0.5 <= found.high for found in intervals]))


@pytest.mark.parametrize("design", [QUIET, NOISY, CLUSTERED])
def test_equal_methods_are_called_different_in_at_most_six_of_a_hundred(design: Design) -> None:
    assert 0.005 < crossed_rate(design) <= 0.06


@pytest.mark.slow
def test_the_simulation_has_the_seed_noise_that_misleads_mcnemar() -> None:
    assert mcnemar_rate(QUIET) > 0.10
    assert mcnemar_rate(NOISY) > 0.35


def test_five_seeds_find_a_gain_of_twelve_points() -> None:
    assert crossed_rate(replace(QUIET, seeds=5, gain=12)) > 0.9


@pytest.mark.parametrize("design", [QUIET, NOISY, CLUSTERED])
def test_an_interval_covers_the_true_score(design: Design) -> None:
    assert 0.93 < coverage(design) < 0.995

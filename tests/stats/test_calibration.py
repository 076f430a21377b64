"""The statistics judged by simulation, and the simulation by what it claims to simulate."""

from __future__ import annotations

import json

import numpy as np
import pytest
from calibrate import CROSSED, METHODS, ONE_SEED, POOLED, Design, designs, judge, main, simulate
from scipy.stats import binom
from trm_bench.harness.stats.scores import cluster_means

STUDIES = 400


def many(design: Design, studies: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [simulate(design, random).a for _ in range(studies)]


@pytest.mark.parametrize("accuracy", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_simulated_studies_have_the_accuracy_they_claim(accuracy: float) -> None:
    means = [scores.mean() for scores in many(Design(5, 400, accuracy=accuracy, seed_sd=0.025), 400)]
    error = np.std(means) / len(means) ** 0.5
    assert abs(np.mean(means) - accuracy) < 4 * error


@pytest.mark.parametrize("seed_sd", [0.0, 0.025, 0.05])
def test_simulated_runs_differ_as_much_as_they_claim(seed_sd: float) -> None:
    """The variance between runs of one study, beyond what a finite test set adds to each run."""
    studies = many(Design(10, 2000, accuracy=0.5, seed_sd=seed_sd), 150)
    between = np.mean([scores.mean(axis=1).var(ddof=1) for scores in studies])
    within = np.mean([(scores - scores.mean(axis=0)).var(axis=0, ddof=1).mean() / 2000 for scores in studies])
    assert max(between - within, 0) ** 0.5 == pytest.approx(seed_sd, abs=0.004)


def test_a_gain_moves_the_first_model_towards_one_half() -> None:
    for accuracy, wanted in ((0.3, 0.4), (0.9, 0.8)):
        random = np.random.default_rng(1)
        studies = [simulate(Design(3, 400, accuracy=accuracy, gain=0.1), random) for _ in range(300)]
        assert np.mean([study.a.mean() for study in studies]) == pytest.approx(wanted, abs=0.01)
        assert np.mean([study.b.mean() for study in studies]) == pytest.approx(accuracy, abs=0.01)


def test_clusters_differ_in_size_and_hold_all_items() -> None:
    study = simulate(Design(3, 400, cluster=4), np.random.default_rng(0))
    sizes = np.unique(study.clusters, return_counts=True)[1]
    assert sizes.sum() == 400
    assert sizes.min() >= 1
    assert sizes.max() <= 7
    assert len(set(sizes.tolist())) > 3
    within = [study.a[0, study.clusters == name].var() for name in np.unique(study.clusters)]
    assert np.mean(within) < study.a[0].var()  # items of a cluster stand or fall together


def test_the_seed_sd_leaves_room_at_the_edges() -> None:
    assert Design(3, 100, accuracy=0.01, seed_sd=0.05).possible_seed_sd == 0.005
    assert Design(3, 100, accuracy=0.5, seed_sd=0.05).possible_seed_sd == 0.05


def test_every_design_is_listed_once() -> None:
    listed = [str(design) for design in designs()]
    assert len(listed) == len(set(listed)) > 150
    assert {design.seeds for design in designs()} == {2, 3, 5, 10}
    assert {design.items for design in designs()} == {120, 400, 1000}
    assert {design.accuracy for design in designs()} == {0.01, 0.1, 0.5, 0.9, 0.99}


def test_the_same_design_gives_the_same_rates() -> None:
    assert judge(Design(3, 60), 30, 0.05) == judge(Design(3, 60), 30, 0.05)


def at_most(rate: float, studies: int) -> float:
    """What a true rate would not exceed in one of a thousand simulations."""
    return float(binom.ppf(0.999, studies, rate) / studies)


@pytest.mark.slow
@pytest.mark.parametrize(
    "design",
    [
        Design(2, 400, seed_sd=0.025),
        Design(3, 120, seed_sd=0.05),
        Design(5, 400, seed_sd=0.0),
        Design(5, 400, seed_sd=0.05),
        Design(5, 400, cluster=4),
        Design(10, 120, accuracy=0.99, seed_sd=0.025),
        Design(3, 1000, accuracy=0.01, seed_sd=0.025),
    ],
    ids=str,
)
def test_the_headline_test_and_the_intervals_keep_their_word(design: Design) -> None:
    rates = judge(design, STUDIES, 0.0, rivals=False)
    assert rates.false_positives[CROSSED] <= at_most(0.06, STUDIES)
    assert rates.difference_coverage >= 1 - at_most(0.06, STUDIES)
    assert rates.coverage >= 1 - at_most(0.06, 2 * STUDIES)


@pytest.mark.slow
def test_what_papers_do_instead_does_not() -> None:
    rates = judge(Design(5, 400, seed_sd=0.05), STUDIES, 0.0)
    assert rates.false_positives[ONE_SEED] > 0.2
    assert rates.false_positives[POOLED] > 0.2


@pytest.mark.slow
def test_more_seeds_have_more_power() -> None:
    few, many_seeds = (judge(Design(seeds, 400), 200, 0.064, rivals=False).power for seeds in (3, 10))
    assert few < many_seeds


@pytest.mark.slow
def test_the_script_prints_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--quick", "--studies", "20", "--jobs", "1"]
    main(words)
    header, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert all(name in header for name in METHODS)
    assert len(rows) == 3
    main([*words, "--json"])
    content = json.loads(capsys.readouterr().out)
    assert [one["design"]["seeds"] for one in content] == [3, 5, 5]
    assert all(set(one["false_positives"]) == set(METHODS) for one in content)


def test_cluster_means_of_names_and_of_codes_are_the_same() -> None:
    study = simulate(Design(3, 50, cluster=4), np.random.default_rng(0))
    codes = np.unique(study.clusters, return_inverse=True)[1]
    assert (cluster_means(study.a, study.clusters) == cluster_means(study.a, codes)).all()

"""Which of several settings is the best on validation, and which may be as good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.folders import ITEMS, quick, request, solved, write_model, write_run
from trm_bench.harness.report.read import read_folders
from trm_bench.harness.report.tuning import Setting, Tried, judge
from trm_bench.harness.store.records import Status

__all__ = ["quick"]

GOOD, CLOSE, BAD = solved(1, 0.95, 0.96, 0.94), solved(2, 0.88, 0.9, 0.91), solved(3, 0.1, 0.15, 0.12)
NONE = np.zeros((3, ITEMS))


def judged(folder: Path, *settings: np.ndarray, failed: int | None = None) -> list[Setting]:
    """Settings with these scores (S, I); the last seed of one has failed."""
    names: list[list[str]] = []
    for place, scores in enumerate(settings):
        kept = scores[:-1] if place == failed else scores
        runs = write_model(folder, f"m[lr={place + 1}]", kept)
        if place == failed:
            runs.append(write_run(folder, f"m[lr={place + 1}]", len(kept), [], status=Status.FAILED))
        names.append(runs)
    request(folder, [name for runs in names for name in runs])
    found = {run.name: run for run in read_folders([folder]).runs}
    tries = [
        Tried(
            {"lr": str(place + 1)},
            f"m[lr={place + 1}]",
            {seed: found[name] for seed, name in enumerate(runs)},
        )
        for place, runs in enumerate(names)
    ]
    return list(judge(tries, "exact"))


@pytest.mark.parametrize("first", [True, False])
def test_the_highest_mean_is_best_and_the_rest_is_told_apart_or_not(first: bool, tmp_path: Path) -> None:
    scores = [GOOD, CLOSE, BAD] if first else [BAD, CLOSE, GOOD]
    standings = [setting.standing.value for setting in judged(tmp_path, *scores)]
    assert standings == (["best", "undecided", "worse"] if first else ["worse", "undecided", "best"])


def test_a_setting_with_a_failed_seed_is_not_chosen(tmp_path: Path) -> None:
    settings = judged(tmp_path, BAD, GOOD, failed=1)
    assert [one.standing.value for one in settings] == ["best", "failed"]
    assert [seed.status for seed in settings[1].seeds] == ["done", "done", "failed"]
    assert settings[1].summary is not None  # of the seeds that are done


def test_equal_settings_are_undecided_and_the_first_is_best(tmp_path: Path) -> None:
    assert [one.standing.value for one in judged(tmp_path, GOOD, GOOD)] == ["best", "undecided"]


def test_nothing_is_chosen_where_all_score_zero(tmp_path: Path) -> None:
    assert [one.standing.value for one in judged(tmp_path, NONE, NONE)] == ["scores 0", "scores 0"]


def test_a_difference_without_variance_is_a_difference(tmp_path: Path) -> None:
    best, other = judged(tmp_path, np.ones((3, ITEMS)), NONE)
    assert (best.standing.value, other.standing.value, other.p) == ("best", "worse", None)


def test_one_seed_is_tested_on_puzzles_alone(tmp_path: Path) -> None:
    settings = judged(tmp_path, GOOD[:1], CLOSE[:1], BAD[:1])
    assert [one.standing.value for one in settings] == ["best", "undecided", "worse"]
    assert settings[0].summary is not None
    assert settings[0].summary.seed_sd is None


def test_p_is_adjusted_over_the_settings_of_the_model(tmp_path: Path) -> None:
    (_, alone) = judged(tmp_path / "two", GOOD, CLOSE)
    (_, of_three, _) = judged(tmp_path / "three", GOOD, CLOSE, CLOSE)
    assert alone.p is not None
    assert of_three.p == pytest.approx(min(1, 2 * alone.p))

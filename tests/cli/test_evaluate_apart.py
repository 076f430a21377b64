"""Weights of different trainings stay apart, however they are evaluated, and so do ways to evaluate them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.stored import asked, evaluate, evaluated, manifests, run, runs
from trm_bench.harness.host.host import OWN_DISTRIBUTION
from trm_bench.harness.report.build import build_report
from trm_bench.harness.report.read import read_folders
from trm_bench.harness.store.records import Status

pytestmark = pytest.mark.usefixtures("one_thread")
MODEL = asked("trm-mlp")


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds on the usual puzzles."""
    return run(tmp_path_factory.mktemp("usual") / "out", MODEL, seeds="0-1")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same seeds on others."""
    more = ("--set", "task_seed=7")
    return run(tmp_path_factory.mktemp("other") / "out", MODEL, seeds="0-1", more=more)


def test_weights_of_other_puzzles_are_no_seeds_of_the_same_row(
    usual: Path, other: Path, tmp_path: Path
) -> None:
    ended = evaluate(tmp_path / "out", usual, other)
    assert ended.code == 2
    assert "several values of task_seed (0, 7); choose the puzzles to evaluate on with --set task_seed=0" in (
        ended.err
    )
    evaluated(tmp_path / "out", usual, other, more=("--set", "task_seed=0"))
    (table,) = build_report(read_folders([tmp_path / "out"])).tables
    assert [[seed.seed for seed in row.seeds] for row in table.rows] == [[0, 1], [0, 1]]


def test_an_evaluation_never_takes_the_place_of_another_training_s(
    usual: Path, other: Path, tmp_path: Path
) -> None:
    (first,) = evaluated(tmp_path / "out", runs(usual)[0].folder)
    kept = first.manifest()
    evaluated(tmp_path / "out", runs(other)[0].folder, more=("--set", "task_seed=0"))
    assert first.manifest() == kept
    assert len(runs(tmp_path / "out")) == 2


def test_a_later_evaluation_of_another_training_takes_no_seeds_out_of_an_earlier_row(
    usual: Path, other: Path, tmp_path: Path
) -> None:
    evaluated(tmp_path / "out", usual, more=("--steps", 2))
    evaluated(tmp_path / "out", runs(other)[0].folder, more=("--steps", 2, "--set", "task_seed=0"))
    reading = read_folders([tmp_path / "out"])
    (table,) = build_report(reading).tables
    assert sorted([seed.seed for seed in row.seeds] for row in table.rows) == [[0], [0, 1]]
    assert not any("replaced" in remark for remark in reading.remarks)


def test_a_seed_that_has_not_finished_marks_its_own_model_until_it_is_there(tmp_path: Path) -> None:
    looped = asked("transformer-looped")
    folder = run(tmp_path / "trained", MODEL, looped, seeds="0-1")
    unfinished = next(
        one for one in runs(folder) if one.name.startswith("transformer") and "-s1-" in one.name
    )
    whole = unfinished.manifest()
    unfinished.write_manifest(whole.model_copy(update={"status": Status.FAILED}))

    def reasons(model: str) -> set[str]:
        found = [one for one in manifests(tmp_path / "out") if one.description.requested.startswith(model)]
        return {reason for one in found for reason in one.not_citable_because if "evaluated" in reason}

    evaluated(tmp_path / "out", folder, more=("--steps", 1))
    name = whole.description.model
    assert reasons("trm") == set()
    assert reasons("transformer") == {f"requested and not evaluated: {name} seed 1"}
    unfinished.write_manifest(whole)
    evaluated(tmp_path / "out", folder, more=("--steps", 1))
    assert reasons("trm") | reasons("transformer") == set()


def test_another_precision_or_number_of_threads_is_another_run_and_told(usual: Path, tmp_path: Path) -> None:
    trained = runs(usual)[0]
    (half,) = evaluated(tmp_path / "half", trained.folder, more=("--set", "precision=bf16"))
    assert half.name != trained.name
    reasons = half.manifest().not_citable_because
    assert "changed protocol: precision bf16; trained in float32" in reasons
    (wide,) = evaluated(tmp_path / "wide", trained.folder, more=("--set", "threads=2"))
    assert wide.manifest().identity.threads == 2
    assert wide.name != trained.name
    (same,) = evaluated(tmp_path / "same", trained.folder, more=("--set", "threads=1"))
    assert same.name == trained.name


def test_noise_is_told_apart_to_the_last_digit(usual: Path, tmp_path: Path) -> None:
    more = ("--noise", "0.30000001,0.30000002", "--limit", 8)
    evaluated(tmp_path / "out", runs(usual)[0].folder, more=more)
    assert sorted(one.evaluation for one in manifests(tmp_path / "out")) == [
        "noise=0.30000001",
        "noise=0.30000002",
    ]


def test_weights_of_an_earlier_version_are_evaluated_by_the_one_that_is_here(
    usual: Path, tmp_path: Path
) -> None:
    """Their evaluation is no other version's, whose numbers it may not reuse, and knows what trained them."""
    trained = shutil.copytree(usual, tmp_path / "trained")
    for one in runs(trained):
        manifest = one.manifest()
        parts = [
            part.model_copy(update={"version": "0.0.9"}) if part.distribution == OWN_DISTRIBUTION else part
            for part in manifest.identity.parts
        ]
        identity = manifest.identity.model_copy(update={"parts": parts, "procedure": 1})
        one.write_manifest(manifest.model_copy(update={"identity": identity}))
    evaluated(tmp_path / "here", usual)
    evaluated(tmp_path / "earlier", trained)
    (here, *_), (earlier, *_) = manifests(tmp_path / "here"), manifests(tmp_path / "earlier")
    assert earlier.run != here.run
    assert earlier.identity.parts == here.identity.parts
    assert earlier.identity.procedure == here.identity.procedure
    assert here.identity.trained is None
    assert earlier.identity.trained is not None
    assert earlier.identity.trained["procedure"] == 1
    assert any(part.endswith(" 0.0.9") for part in earlier.identity.trained["parts"])

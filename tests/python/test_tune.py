"""`trm_bench.tune` from end to end: ordinary runs, scored on validation, from which a setting is chosen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.stored import in_this_process, manifests, run_here, runs
from trm_bench.harness.planning.identity import run_name
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.requests import RequestedRun, read_requested, write_requested

import trm_bench
from trm_bench import TrmBenchError, Tuning, UsageError

pytestmark = pytest.mark.usefixtures("one_thread")

TRM = "trm-mlp[blocks=1,cycles=1,heads=2,hidden=16,multiple=16,supervision=2,updates=1]"
GRID = {"lr": [0.0001, 0.05], "weight_decay": [0.1, 1.0]}
SHORT: dict[str, Any] = {"steps": 60, "batch_size": 16, "seeds": "0-1"}


def tune(folder: Path, models: str = "mirror", grid: Any = GRID, **more: Any) -> Tuning:
    with in_this_process():
        return trm_bench.tune(models, "tiny", grid, output=folder, **{**SHORT, **more})


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    return tune(tmp_path_factory.mktemp("tune") / "out")


def test_the_table_the_choice_and_the_recipe(tuned: Tuning) -> None:
    (model,) = tuned.models
    assert list(tuned.table["setting"]) == [one.label for one in model.settings]
    assert tuned.failed == {}
    assert model.best is not None
    assert model.best.values["lr"] == "0.05"
    assert all(
        one.summary.mean == 0 for one in model.settings if one.summary and one.values["lr"] == "0.0001"
    )
    recipe = yaml.safe_load((tuned.folder / "recipe.yaml").read_text())
    chosen = {key: float(value) for key, value in model.best.values.items()}
    assert recipe == {"tiny": {"mini": {"training": chosen}}}
    record = json.loads((tuned.folder / "tuning.json").read_text())
    assert record["axes"] == {"lr": ["0.0001", "0.05"], "weight_decay": ["0.1", "1.0"]}
    assert (record["tries"], record["shuffle"], record["seeds"]) == (None, 0, [0, 1])
    assert [len(one["settings"]) for one in record["models"]] == [4]


def test_its_runs_are_scored_on_validation_and_not_citable(tuned: Tuning) -> None:
    for run in runs(tuned.folder):
        manifest = run.manifest()
        assert manifest.identity.split == "validation"
        assert "scored on validation, not on test" in manifest.not_citable_because
        assert len(run.records()) == manifest.description.counts["validation"] == 20
    report = trm_bench.load_results(tuned.folder).data
    (table,) = report.tables
    assert table.title.endswith("120 train, 20 validation")
    assert "the test set was not read" in table.notes[0]


@pytest.mark.parametrize("models", ["mirror", TRM])
def test_the_test_puzzles_are_not_read(models: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path / "cache"))
    prepared = trm_bench.prepare("tiny")
    for name in ("test.npz", "features.npz"):
        (prepared.folder / name).unlink()
    found = tune(tmp_path / "out", models, {"lr": [0.01, 0.05]}, steps=4, seeds="0")
    assert found.failed == {}
    assert [one.seeds[0].status for one in found.models[0].settings] == ["done", "done"]


def test_a_search_that_was_stopped_continues(tuned: Tuning, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tuned.folder, tmp_path / "copied"))
    first = runs(folder)[0]
    shutil.rmtree(first.folder)
    carried: list[str] = []

    def watched(jobs: Any, *rest: Any) -> Any:
        carried.extend(job.run.name for job in jobs)
        return run_here(jobs, *rest)

    with in_this_process(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("trm_bench.harness.running.runner.run_jobs", watched)
        again = trm_bench.tune("mirror", "tiny", GRID, output=folder, **SHORT)
    assert carried == [first.name]
    assert again.models == tuned.models


def test_a_run_that_another_recipe_gave_another_name_is_found(tuned: Tuning, tmp_path: Path) -> None:
    """Both names are requested and one run: its score must not be missing."""
    folder = Path(shutil.copytree(tuned.folder, tmp_path / "copied"))
    first = runs(folder)[0]
    manifest = first.manifest()
    older = run_name("aaa[b=1]", manifest.identity)
    shutil.copytree(first.folder, folder / older)
    described = manifest.description.model_copy(update={"model": "aaa[b=1]", "requested": "aaa[b=1]"})
    left = manifest.model_copy(update={"run": older, "description": described})
    RunFolder(folder / older).write_manifest(left)
    asked = RequestedRun(run=older, model="aaa[b=1]", requested="aaa[b=1]", seed=manifest.identity.seed)
    write_requested(folder, [asked, *read_requested(folder)])
    assert tune(folder).table.equals(tuned.table)


def test_a_damaged_run_is_named_and_runs_again(
    tuned: Tuning, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(tuned.folder, tmp_path / "copied"))
    samples = runs(folder)[0].folder / "samples.jsonl.gz"
    samples.write_bytes(samples.read_bytes()[:-9])
    again = tune(folder, progress=True)
    assert f"{samples}: truncated or changed since it was written; it runs again" in capsys.readouterr().err
    assert again.models == tuned.models


def test_resume_knows_the_split(tuned: Tuning, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tuned.folder, tmp_path / "copied"))
    shutil.rmtree(runs(folder)[0].folder)
    with in_this_process():
        results = trm_bench.resume(folder)
    assert results.failed == {}
    assert {one.identity.split for one in manifests(folder)} == {"validation"}
    assert len(manifests(folder)) == 8


def test_a_failed_try_counts_and_is_shown(tmp_path: Path) -> None:
    found = tune(tmp_path, grid={"explode": ["true", "false"]}, seeds="0", steps=20, lr=0.05)
    (failed, done) = found.models[0].settings
    assert (failed.standing.value, failed.summary) == ("failed", None)
    assert done.complete
    assert any("failed: mirror[explode=true], seed 0" in note for note in found.notes)
    assert len(found.failed) == 1


def test_settings_that_were_tried_before_are_named(tuned: Tuning, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tuned.folder, tmp_path / "copied"))
    again = tune(folder, grid={"lr": [0.05], "weight_decay": [0.1]})
    same = again.models[0].settings[0].variant
    assert set(again.earlier) == {one.variant for one in tuned.models[0].settings} - {same}
    sentence = "3 other settings had been tried in this folder before (mirror[lr=0.0001"
    assert any(note.startswith(sentence) for note in again.notes)
    assert f"# {sentence}" in again.recipes
    assert tuned.earlier == ()


def test_a_limit_is_in_the_number_of_puzzles(tmp_path: Path) -> None:
    assert tune(tmp_path, grid={"lr": [0.05]}, seeds="0", steps=2, limit=5).title.endswith(", 5 validation")


def test_a_model_with_a_smaller_grid_is_named(tmp_path: Path) -> None:
    grid = {"lr": [0.01, 0.02], "updates": [1, 2]}
    found = tune(tmp_path, f"{TRM.replace(',updates=1', '')},mirror", grid, seeds="0", steps=2)
    assert [len(model.settings) for model in found.models] == [4, 2]
    assert "mirror: 2 settings, others have 4: it has no option updates" in found.notes
    assert any(note.startswith("one seed a setting: nothing is known") for note in found.notes)


def test_tries_are_the_same_for_every_model_and_recorded(tmp_path: Path) -> None:
    found = tune(tmp_path, f"mirror,{TRM}", tries=3, shuffle=5, seeds="0", steps=2)
    first, second = ([dict(one.values) for one in model.settings] for model in found.models)
    assert first == second
    assert len(first) == 3
    assert "3 of the 4 settings of the grid, drawn with --shuffle 5" in found.notes
    assert json.loads((tmp_path / "tuning.json").read_text())["shuffle"] == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"grid": {"lr": [place / 1000 for place in range(1, 102)]}}, r"202 runs \(101 settings × 2 seeds\)"),
        ({"tries": 0}, "--tries 0: not a whole number from 1"),
        ({"shuffle": -1}, "--shuffle -1: not a whole number from 0"),
        ({"lr": 0.1}, "--grid lr: --set lr=0.1 sets it too"),
        ({"models": ""}, "--models is missing"),
        ({"seeds": ""}, "--seeds '': cannot read"),
        ({"study": "x"}, "setting study=x: unknown key"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        tune(tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


# --- next to runs that are scored on test ----------------------------------------------------------


def test_runs_of_the_two_splits_share_no_folder_table_or_comparison(tuned: Tuning, tmp_path: Path) -> None:
    best = "mirror[lr=0.05,weight_decay=0.1]"
    with in_this_process(), pytest.raises(UsageError, match="split is 'validation' there and 'test' here"):
        trm_bench.run(best, "tiny", output=tuned.folder, **SHORT)
    with in_this_process():
        on_test = trm_bench.run(best, "tiny", output=tmp_path / "test", **SHORT)
    with pytest.raises(UsageError, match="split is 'test' there and 'validation' here"):
        tune(tmp_path / "test")
    both = trm_bench.load_results(tuned.folder, *on_test.folders)
    assert [table.split for table in both.data.tables] == ["validation", "test"]
    assert set(both.table["split"]) == set(both.runs["split"]) == {"validation", "test"}
    one = next(run for run in runs(tuned.folder) if run.manifest().description.requested == best)
    with pytest.raises(TrmBenchError, match="scored on different puzzles: validation and test"):
        trm_bench.compare(one.folder, on_test.folders[0], problems=[])


def test_the_same_training_has_the_same_weights_whatever_it_is_scored_on(
    tuned: Tuning, tmp_path: Path
) -> None:
    with in_this_process():
        on_test = trm_bench.run("mirror[lr=0.05,weight_decay=0.1]", "tiny", output=tmp_path, **SHORT)
    ours = {one.tensors_sha256 for one in manifests(tuned.folder)}
    assert {one.tensors_sha256 for one in manifests(on_test.folders[0])} < ours


def test_evaluate_on_validation_gives_the_samples_of_the_search(tuned: Tuning, tmp_path: Path) -> None:
    with in_this_process():
        again = trm_bench.evaluate(tuned.folder, split="validation", output=tmp_path)
    assert [run.records() for run in runs(again.folders[0])] == [run.records() for run in runs(tuned.folder)]
    assert [run.name for run in runs(tmp_path)] == [run.name for run in runs(tuned.folder)]


def test_weights_of_a_search_may_be_evaluated_on_test(tuned: Tuning, tmp_path: Path) -> None:
    run = runs(tuned.folder)[0]
    with in_this_process():
        trm_bench.evaluate(run.folder, output=tmp_path)
    (manifest,) = manifests(tmp_path)
    assert manifest.identity.split == "test"
    assert len(RunFolder(tmp_path / manifest.run).records()) == 40
    assert "scored on validation, not on test" not in manifest.not_citable_because


def test_an_unknown_split_is_refused(tuned: Tuning) -> None:
    with pytest.raises(UsageError, match="--split train: choose test or validation"):
        trm_bench.evaluate(tuned.folder, split="train")


@pytest.mark.parametrize(
    ("models", "noted"),
    [
        (["mirror[lr=0.01]", "mirror[lr=0.02]"], True),
        (["mirror[lr=0.01]", "mirror[lr=0.02,hidden=8]"], False),
        (["mirror", "copy"], False),
    ],
)
def test_run_says_where_tuning_belongs(models: list[str], noted: bool, tmp_path: Path) -> None:
    with in_this_process():
        results = trm_bench.run(models, "tiny", output=tmp_path, seeds="0", steps=2)
    notes = [note for note in results.data.tables[0].notes if "trm-bench tune" in note]
    assert len(notes) == noted
    assert all("mirror[lr=0.01], mirror[lr=0.02] differ only in training settings" in note for note in notes)

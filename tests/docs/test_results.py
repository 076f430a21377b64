"""The kept results are complete, and their pages are generated from their records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.paths import ROOT
from trm_bench.harness.api.puzzles import TaskInfo
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.models import resolve_model
from trm_bench.harness.planning.study import FILE, declared_in, grid_folder
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Status
from trm_bench.harness.store.requests import read_requested

RESULTS = ROOT / "results"
RUNS = sorted(
    path.parent for kept in ("mini", "small", "studies") for path in (RESULTS / kept).rglob("manifest.json")
)


@pytest.mark.slow
def test_the_pages_are_generated_from_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RESULTS))
    import generate

    # Versions of the library that draws differ in the last digit; that it draws is tested with `report`.
    monkeypatch.setattr(generate, "as_svg", lambda *_: "")
    for path, content in generate.pages().items():
        if path.suffix == ".svg":
            assert path.is_file(), path
        else:
            assert path.read_text(encoding="utf-8") == content, path


def test_every_kept_table_may_be_cited() -> None:
    pages = sorted(RESULTS.rglob("*.md"))
    assert pages
    assert [page for page in pages if "NOT CITABLE" in page.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("place", sorted({run.parent for run in RUNS}), ids=lambda path: path.name)
def test_kept_runs_are_complete_citable_and_small(place: Path) -> None:
    for folder in (run for run in RUNS if run.parent == place):
        run = RunFolder(folder)
        manifest = run.manifest()
        assert manifest.status is Status.DONE, folder
        assert manifest.citable, (folder, manifest.not_citable_because)
        assert len(run.records()) == manifest.samples, folder
        assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000, folder


@pytest.mark.parametrize("name", ["sudoku-extreme", "maze-hard", "arc-agi-1"])
def test_recipes_are_the_winners_of_the_kept_search(name: str) -> None:
    found = json.loads((RESULTS / "tuning" / name / "tuning.json").read_text(encoding="utf-8"))
    task = TaskInfo(found["task"], found["scale"], 6, 6, 7)
    for model in found["models"]:
        best = max(model["settings"], key=lambda setting: float(setting["summary"]["mean"]))
        recipe = resolve_model(host(), model["model"], task, {}).training
        assert {key: getattr(recipe, key) for key in found["axes"]} == {
            key: float(value) for key, value in best["values"].items()
        }, model["model"]


def test_there_are_eight_seeds_of_four_models_on_three_tasks() -> None:
    identities = [RunFolder(folder).manifest().identity for folder in RUNS if "mini" in folder.parts]
    tasks = {identity.part("task").name for identity in identities}
    assert {"maze-hard", "sudoku-extreme", "arc-agi-1"} <= tasks
    for task in tasks:
        of_task = [identity for identity in identities if identity.part("task").name == task]
        trained = [identity for identity in of_task if identity.part("model").name != "copy"]
        assert len({identity.part("model").name for identity in trained}) >= 4
        assert {identity.seed for identity in trained} >= set(range(8))


def test_every_kept_study_requested_eight_seeds_of_every_row() -> None:
    folders = sorted(path.parent for path in (RESULTS / "studies").glob(f"*/{FILE}"))
    assert folders
    for folder in folders:
        declared = declared_in(folder)
        assert declared is not None
        for grid in declared.study.grids:
            rows = set(declared.resolved[grid].values())
            requested = read_requested(grid_folder(folder, grid))
            assert {run.requested for run in requested} == rows
            for row in rows:
                assert len({run.seed for run in requested if run.requested == row}) >= 8

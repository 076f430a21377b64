"""The results that are kept: complete, and their page is what their records give."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.paths import ROOT
from trm_bench.harness.planning.study import declared_in, grid_folder
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Status
from trm_bench.harness.store.requests import read_requests

RESULTS = ROOT / "results"
CELLS = sorted(
    path.parent for kept in ("mini", "studies") for path in (RESULTS / kept).rglob("manifest.json")
)


def test_the_pages_are_what_the_records_give() -> None:
    sys.path.insert(0, str(RESULTS))
    try:
        import generate
    finally:
        sys.path.remove(str(RESULTS))
    for path, content in generate.pages().items():
        assert path.read_text(encoding="utf-8") == content, path


@pytest.mark.parametrize("folder", CELLS, ids=lambda path: path.name)
def test_a_kept_cell_is_whole_and_small(folder: Path) -> None:
    cell = RunFolder(folder)
    manifest = cell.manifest()
    assert manifest.status is Status.DONE
    assert manifest.citable, manifest.not_citable_because
    assert len(cell.records()) == manifest.samples
    assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000


def test_there_are_five_seeds_of_four_models_on_three_tasks() -> None:
    identities = [RunFolder(folder).manifest().identity for folder in CELLS if "mini" in folder.parts]
    tasks = {identity.task for identity in identities}
    assert {"maze-hard", "sudoku-extreme", "arc-agi-1"} <= tasks
    for task in tasks:
        trained = [one for one in identities if one.task == task and one.model != "copy"]
        assert len({one.model for one in trained}) >= 4
        assert {one.seed for one in trained} >= set(range(5))


def test_every_puzzle_study_has_three_seeds_of_every_cell_that_it_asks_for() -> None:
    for place in sorted((RESULTS / "studies").glob("*/definition.json")):
        declared = declared_in(place.parent)
        assert declared is not None
        for grid in declared.study.grids:
            rows = set(declared.stands_for[grid].values())
            requests = read_requests(grid_folder(place.parent, grid))
            assert {one.asked for one in requests} == rows
            for row in rows:
                assert len({one.seed for one in requests if one.asked == row}) >= 3

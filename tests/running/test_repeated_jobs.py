"""Jobs of a runner that repeat what is finished, or have several runs of one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import load_file
from support.processes import SMALL
from support.queued import submission
from support.shelf import Shelf
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.api.runners import JobState, Phase
from trm_bench.harness.python.api import prepare_run
from trm_bench.harness.python.status import cancel, status
from trm_bench.harness.running.queued_run import QueuedRun
from trm_bench.harness.running.run import first_manifest
from trm_bench.harness.running.runner import begin as begin_grid
from trm_bench.harness.store.folders import WEIGHTS, Output, RunFolder
from trm_bench.harness.store.submitted import add_submitted, read_submitted
from trm_bench.harness.store.tensors import tensors_sha256

import trm_bench


def old_result(folder: Path) -> RunFolder:
    """A finished run of a time before any submission."""
    trm_bench.run("copy", "tiny", seeds=0, output=folder)
    (run,) = Output(folder).runs()
    run.write_manifest(run.manifest().model_copy(update={"started": "2019-01-01T00:00:00+00:00"}))
    return run


def test_a_repetition_that_fails_on_the_runner_leaves_the_earlier_result(
    shelf: Shelf, tmp_path: Path
) -> None:
    run = old_result(tmp_path)
    shelf.lazy, shelf.reason = True, "NODE_FAIL"
    results = trm_bench.run("copy", "tiny", seeds=0, on="shelf", output=tmp_path, force=True)
    assert run.is_done()
    assert run.manifest().started.startswith("2019")
    assert results.failed == {run.name: "failed; the result that is there was kept"}
    assert results.complete  # of the earlier result


def test_a_repetition_that_is_queued_is_followed_by_the_same_command(shelf: Shelf, tmp_path: Path) -> None:
    run = old_result(tmp_path)
    call = prepare_run("copy", "tiny", seeds=0, on="shelf", output=tmp_path, force=True)
    ((grid, folder),) = call.grids.values()
    begin_grid(call.execution, grid, folder)  # and the command is gone
    (found,) = status(tmp_path)
    assert (found.state, found.why) == ("queued", "no room")
    trm_bench.run("copy", "tiny", seeds=0, on="shelf", output=tmp_path)
    assert list(shelf.work) == ["b0"]
    assert not run.manifest().started.startswith("2019")


@pytest.mark.slow
def test_a_study_waits_for_its_repetitions(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(
        f"name: one\nasks: what?\ntask: tiny\nmodels: [copy, '{SMALL}']\nseeds: '0'\n"
        "grids: {first: {settings: {steps: 2}}, second: {settings: {steps: 3}}}\n"
        f"contrasts: [{{asks: 'Is it?', a: copy, b: '{SMALL}', grid: first}}]\n"
    )
    trm_bench.run(study=file, output=tmp_path / "out")
    made = [run for name in ("first", "second") for run in Output(tmp_path / "out" / name).runs()]
    for run in made:
        run.write_manifest(run.manifest().model_copy(update={"started": "2019-01-01T00:00:00+00:00"}))
    trm_bench.run(study=file, output=tmp_path / "out", on="shelf", force=True)
    assert len(shelf.work) == len(made) == 4
    assert not any(run.manifest().started.startswith("2019") for run in made)


def test_another_runner_does_not_take_jobs_for_ended(shelf: Shelf, tmp_path: Path) -> None:
    call = prepare_run("copy", "tiny", seeds=0, on="shelf", output=tmp_path)
    ((grid, folder),) = call.grids.values()
    begin_grid(call.execution, grid, folder)
    with pytest.raises(UsageError, match=r"1 run queued or running on shelf, .* add --on shelf to follow"):
        trm_bench.run("copy", "tiny", seeds=0, on="local", output=tmp_path)
    assert Output(tmp_path).runs() == []


@dataclass(frozen=True)
class Pass:
    """Two depths of one evaluation, as a job of the shelf."""

    weights: Path
    folder: Path

    def follow(self) -> Mapping[str, str]:
        return trm_bench.evaluate(self.weights, steps="1,2", output=self.folder, on="shelf").failed


@pytest.fixture
def depths(shelf: Shelf, tmp_path: Path) -> Pass:
    trained = trm_bench.run(SMALL, "tiny", seeds=0, steps=4, output=tmp_path / "trained")
    assert trained.complete
    return Pass(tmp_path / "trained", tmp_path / "evaluated")


def test_a_pass_is_done_when_its_deepest_run_is(depths: Pass, shelf: Shelf) -> None:
    assert depths.follow() == {}
    first, second = Output(depths.folder).runs()
    assert {one.job for one in read_submitted(depths.folder).values()} == {"b0"}
    assert set(read_submitted(depths.folder)) == {first.name, second.name}
    # The deeper run is gone, and its job dies: the shallower one stays, and the deeper is failed.
    (second.folder / "manifest.json").unlink()
    shelf.lazy, shelf.reason = True, "OUT_OF_MEMORY"
    failed = depths.follow()
    assert list(failed) == [second.name]
    assert failed[second.name].startswith("shelf job b1 ended: OUT_OF_MEMORY")
    assert first.is_done()


def test_weights_that_were_trained_again_are_evaluated_again(depths: Pass) -> None:
    assert depths.follow() == {}
    (trained,) = Output(depths.weights).runs()
    weights = {name: one + 1 for name, one in load_file(trained.folder / WEIGHTS).items()}
    update = {"weights_sha256": trained.write_weights(weights), "tensors_sha256": tensors_sha256(weights)}
    trained.write_manifest(trained.manifest().model_copy(update=update))
    before = {run.name: run.manifest().tensors_sha256 for run in Output(depths.folder).runs()}
    assert depths.follow() == {}
    after = {run.name: run.manifest().tensors_sha256 for run in Output(depths.folder).runs()}
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before)


def test_cancelling_one_depth_of_a_pass_cancels_and_names_all(depths: Pass, shelf: Shelf) -> None:
    assert depths.follow() == {}
    runs = Output(depths.folder).runs()
    add_submitted(depths.folder, [submission(run.name, "b7") for run in runs])
    shelf.told = {"b7": JobState(Phase.QUEUED)}
    assert cancel(depths.folder, runs[0].name) == [run.name for run in runs]
    assert shelf.cancelled == ["b7"]
    assert all(one.cancelled for one in read_submitted(depths.folder).values())


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_repetition_that_is_stopped_gives_the_earlier_result_back_if_nobody_continues_it(
    cancelled: bool, shelf: Shelf, tmp_path: Path
) -> None:
    run = old_result(tmp_path)
    call = prepare_run("copy", "tiny", seeds=0, on="shelf", output=tmp_path, force=True)
    ((grid, folder),) = call.grids.values()
    begin_grid(call.execution, grid, folder)
    (queued,) = shelf.work.values()
    assert isinstance(queued, QueuedRun)
    run.start(first_manifest(queued.job, queued.job.run))
    assert not run.is_done()
    if cancelled:
        cancel(folder)
    queued._restore_if_cancelled()
    assert run.is_done() == cancelled

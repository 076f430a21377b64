"""``verify``: what a reader of somebody else's folder can check."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.stored import SHORT, in_this_process, run_here
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.host.host import host
from trm_bench.harness.store.checked import stamped
from trm_bench.harness.store.folders import Output, RunFolder
from trm_bench.testing.pytest_plugin import RunCli

import trm_bench

MODEL = "trm-mlp[hidden=16,cycles=1,updates=1,supervision=2]"


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    with in_this_process(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("trm_bench.harness.python.verify.run_jobs", run_here)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, run_cli: RunCli) -> Path:
    """Two models on two seeds."""
    folder = tmp_path_factory.mktemp("verify") / "out"
    ended = run_cli("run", *SHORT, "--models", f"{MODEL},copy", "--seeds", "0-1", "--output", folder)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(finished, tmp_path / "copy")


def first(folder: Path) -> RunFolder:
    """The first run that has weights."""
    return next(run for run in Output(folder).runs() if (run.folder / "model.safetensors").exists())


def test_whole_results_are_verified_in_a_sentence(folder: Path, run_cli: RunCli) -> None:
    ended = run_cli("verify", folder)
    assert ended.code == 0, ended.out
    assert ended.out.splitlines()[-1] == "verified: 4 of 4 runs consistent"
    found = json.loads(run_cli("verify", folder, "--json").out)
    assert (found["ok"], found["runs"], found["consistent"], found["problems"]) == (True, 4, 4, [])


def test_runs_are_trained_again_from_their_manifests_alone(folder: Path) -> None:
    (folder / "requests.json").unlink()
    found = trm_bench.verify(folder, retrain=2)
    assert str(found) == "verified: 4 of 4 runs consistent; 2 of 2 retrained to the bit"
    assert set(found.retrained.values()) == {"bit"}


def reweigh(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Other weights, and checksums that fit."""
    run = first(folder)
    path = run.folder / "model.safetensors"
    weights = {name: change(value) for name, value in load_file(path).items()}
    save_file(weights, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    run.write_manifest(
        run.manifest().model_copy(update={"weights_sha256": digest, "tensors_sha256": "0" * 64})
    )
    for other in Output(folder).runs():
        if other.name != run.name:
            shutil.rmtree(other.folder)
    (folder / "runs.json").unlink()


def test_weights_that_differ_by_rounding_are_told_from_others(folder: Path) -> None:
    reweigh(folder, lambda value: value * (1 + 1e-6) if value.is_floating_point() else value)
    found = trm_bench.verify(folder, retrain=1)
    assert found.ok
    assert str(found).endswith("1 of 1 retrained within rounding")
    assert re.search(
        r"weights differ by up to (9\.|1\.0)\S* of the largest", next(iter(found.details.values()))
    )


def test_a_training_that_comes_out_different_is_not_verified(folder: Path, run_cli: RunCli) -> None:
    reweigh(folder, lambda value: value * 1.5 if value.is_floating_point() else value)
    ended = run_cli("verify", folder, "--retrain", "1")
    assert ended.code == 1
    assert "NOT verified: 1 of 1 run consistent; 1 of 1 retrained with a difference" in ended.out


def flip(name: str) -> Callable[[RunFolder], None]:
    def damage(run: RunFolder) -> None:
        path = run.folder / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))

    return damage


def forged(edit: Callable[[dict[str, Any]], object]) -> Callable[[RunFolder], None]:
    """Edit every line of the samples, and put the checksums right."""
    return lambda run: write_lines(run, [(line, edit(line))[0] for line in run.records()])


def better(line: dict[str, Any]) -> None:
    """Solved, it says; the prediction says otherwise."""
    line["scores"] = {name: 1.0 - score for name, score in line["scores"].items()}


def restated(**update: Any) -> Callable[[RunFolder], None]:
    """Edit the costs in the manifest, and put its checksum right."""

    def edit(run: RunFolder) -> None:
        manifest = run.manifest()
        run.write_manifest(manifest.model_copy(update={"ledger": manifest.ledger.model_copy(update=update)}))

    return edit


def fewer_predictions(run: RunFolder) -> None:
    path = run.folder / "predictions.npz"
    with np.load(path) as arrays:
        cut = {name: value[:-1] if value.shape[:1] == (12,) else value for name, value in arrays.items()}
    np.savez_compressed(path, **cut)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    run.write_manifest(run.manifest().model_copy(update={"predictions_sha256": digest}))


def called_citable(run: RunFolder) -> None:
    manifest = run.manifest()
    described = manifest.description.model_copy(update={"plugin_files": {"model tiny": "tiny.py"}})
    update = {"citable": True, "not_citable_because": [], "description": described}
    run.write_manifest(manifest.model_copy(update=update))


def write_lines(run: RunFolder, lines: Sequence[dict[str, Any]]) -> None:
    packed = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    (run.folder / "samples.jsonl.gz").write_bytes(packed)
    content = run.manifest().model_dump(mode="json")
    content["samples_sha256"] = hashlib.sha256(packed).hexdigest()
    (run.folder / "manifest.json").write_bytes(stamped(content))


def other_puzzles(run: RunFolder) -> None:
    (run.folder.parent / "runs.json").unlink()
    content = run.manifest()
    prints = {**content.identity.fingerprints, "test": "0" * 64}
    identity = content.identity.model_copy(update={"fingerprints": prints})
    from trm_bench.harness.planning.identity import run_name

    name = run_name(content.description.model, identity)
    run.write_manifest(content.model_copy(update={"identity": identity, "run": name}))


DAMAGE: dict[str, tuple[Callable[[RunFolder], None], str]] = {
    "a byte of the manifest": (flip("manifest.json"), "manifest.json: "),
    "a byte of the samples": (flip("samples.jsonl.gz"), "samples.jsonl.gz: truncated or changed"),
    "a byte of the predictions": (flip("predictions.npz"), "predictions.npz: truncated or changed"),
    "a byte of the weights": (flip("model.safetensors"), "model.safetensors is not the file"),
    "scores that the predictions do not have": (forged(better), "is not that of its prediction"),
    "items in one cluster": (
        forged(lambda line: line.update(cluster="one")),
        "items in another cluster than its puzzle",
    ),
    "halting at once": (
        forged(lambda line: line["extras"].update(halt_step=1)),
        "halt_step of 12 items is not that of its prediction",
    ),
    "fewer parameters": (restated(core_parameters=7), "its parameters are not those of its model"),
    "fewer FLOPs at inference": (
        restated(inference_flops_per_puzzle=7.0),
        "inference_flops_per_puzzle is 7, and its model takes",
    ),
    "fewer FLOPs in training": (restated(training_flops=7.0), "training_flops is 7, and"),
    "fewer steps than its budget": (
        restated(optimiser_steps=1, supervision_steps=8, training_flops=0.0),
        "optimiser_steps is 1, and its budget has 4",
    ),
    "predictions of fewer items": (fewer_predictions, "it holds predictions for 11 items, not for 12"),
    "citable with a plugin that is a file": (
        called_citable,
        "called citable, although it was run with a plugin that was not installed",
    ),
    "puzzles of another source": (other_puzzles, "the puzzles that its source gives are not those"),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGE.values(), ids=DAMAGE)
def test_what_does_not_fit_is_named(
    damage: Callable[[RunFolder], None], says: str, folder: Path, run_cli: RunCli
) -> None:
    damage(first(folder))
    ended = run_cli("verify", folder)
    assert ended.code == 1
    assert says in ended.out
    assert "NOT verified" in ended.out


def test_what_cannot_be_checked_is_named(folder: Path) -> None:
    for run in Output(folder).runs():
        manifest = run.manifest()
        away = [part.model_copy(update={"version": "9"}) for part in manifest.scored_by]
        run.write_manifest(manifest.model_copy(update={"scored_by": away}))
    found = trm_bench.verify(folder)
    assert found.ok
    assert any("another version is installed; not recomputed" in what for what in found.unchecked)
    assert re.search(r"consistent, scores of 0 recomputed; \d+ points? not checked$", str(found))


def test_runs_that_keep_no_predictions_are_counted(folder: Path) -> None:
    run = first(folder)
    run.write_manifest(run.manifest().model_copy(update={"predictions_sha256": ""}))
    found = trm_bench.verify(folder)
    assert str(found) == "verified: 4 of 4 runs consistent, scores of 3 recomputed; 1 point not checked"
    assert found.unchecked == (f"no predictions kept; scores not recomputed (1 run: {run.folder})",)


def test_runs_that_keep_no_weights_are_counted(folder: Path) -> None:
    run = first(folder)
    (run.folder / "model.safetensors").unlink()
    assert trm_bench.verify(folder).unchecked == (f"no weights kept (1 run: {run.folder})",)


def test_what_cannot_be_trained_again_is_said(folder: Path) -> None:
    for run in Output(folder).runs():
        if run.name.startswith("trm"):
            shutil.rmtree(run.folder)
    (folder / "runs.json").unlink()
    found = trm_bench.verify(folder, retrain=2)
    assert str(found) == "verified: 2 of 2 runs consistent; 1 point not checked"
    assert found.unchecked == ("--retrain 2: only 0 finished runs can be trained",)


def test_a_run_of_another_version_of_the_training_is_not_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trm_bench.harness.python.verify.PROCEDURE", 99)
    found = trm_bench.verify(folder, retrain=1)
    assert not found.ok
    ((name, words),) = found.details.items()
    assert words == (
        "trained by version 2 of the training procedure; this program has version 99 and cannot repeat it"
    )
    assert found.retrained == {name: "failed"}


@pytest.mark.parametrize("name", ["grid.json", "requests.json", "runs.json"])
def test_an_edited_file_of_the_folder_is_named(name: str, folder: Path, run_cli: RunCli) -> None:
    path = folder / name
    path.write_text(path.read_text().replace("tiny", "other").replace("copy", "trm"))
    ended = run_cli("verify", folder)
    assert ended.code == 1
    assert f"wrong: {path}: changed since it was written" in ended.out


def test_data_that_no_run_reads_are_refused(folder: Path, run_cli: RunCli) -> None:
    ended = run_cli("verify", folder, "--data", folder)
    assert ended.code == 2
    assert "these runs read no files; leave it out" in ended.err


@pytest.mark.parametrize("count", [-1, 1.5, 1001])
def test_a_wrong_number_of_runs_to_train_is_refused(folder: Path, count: int) -> None:
    with pytest.raises(UsageError, match="not a whole number from 0 to 1,000"):
        trm_bench.verify(folder, retrain=count)


def test_weights_of_others_are_checked_where_they_lay(folder: Path, tmp_path: Path, run_cli: RunCli) -> None:
    weights = shutil.copy(first(folder).folder / "model.safetensors", tmp_path / "theirs.safetensors")
    out = tmp_path / "evaluated"
    ended = run_cli(
        "evaluate",
        "--weights",
        weights,
        "--model",
        MODEL,
        "--task",
        "tiny",
        "--scale",
        "mini",
        "--output",
        out,
    )
    assert ended.code == 0, ended.err
    assert str(trm_bench.verify(out)) == "verified: 1 of 1 run consistent"
    (tmp_path / "theirs.safetensors").write_bytes(b"others")
    found = trm_bench.verify(out)
    assert found.ok
    (line,) = found.unchecked
    assert re.fullmatch(r"weights that were evaluated are gone \(1 run: .*theirs\.safetensors\)", line)


def test_nothing_finished_is_nothing_to_verify(folder: Path, run_cli: RunCli) -> None:
    for run in Output(folder).runs():
        (run.folder / "samples.jsonl.gz").unlink()
    assert run_cli("verify", folder).code == 3
    host.cache_clear()

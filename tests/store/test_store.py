"""Results on disk: whole or not at all, claimed by one grid, every fault named."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.folders import IDENTITY, manifest, predictions_of
from trm_bench.harness.api.budget import Ledger
from trm_bench.harness.api.errors import UnavailableError, UsageError
from trm_bench.harness.store.checked import read_stamped, stamped
from trm_bench.harness.store.folders import (
    GRID,
    DamagedResult,
    Output,
    RunFolder,
    pack_records,
    write_atomically,
)
from trm_bench.harness.store.records import Record, Status

RECORDS = [
    Record(
        item=f"p{n}",
        cluster=f"c{n // 2}",
        scores={"exact": n % 2, "cells": n / 8},
        extras={"cells.copy": 0.5},
    )
    for n in range(8)
]

PREDICTIONS = predictions_of(8)


@pytest.fixture
def done(tmp_path: Path) -> RunFolder:
    """A finished run."""
    run = RunFolder(tmp_path / "trm-mlp-s0-0123abcd")
    run.start(manifest())
    run.write_weights({"w": torch.ones(2)})
    run.finish(manifest(ledger=Ledger(optimiser_steps=100)), RECORDS, PREDICTIONS)
    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- atomic writes -------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_and_can_be_read_by_everybody(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"a long first version")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"]
)
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*arguments: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, step, fail)
        with pytest.raises(type(error)):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


# --- records -------------------------------------------------------------------------------------


def test_the_same_records_give_the_same_bytes_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = pack_records(RECORDS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert pack_records(list(RECORDS)) == first
    assert pack_records(RECORDS[::-1]) != first


def test_packed_records_are_gzipped_json_lines() -> None:
    lines = gzip.decompress(pack_records(RECORDS)).splitlines()
    assert [Record.model_validate_json(line) for line in lines] == RECORDS


def test_a_score_that_is_not_a_number_is_refused_when_it_is_written() -> None:
    with pytest.raises(ValueError, match="exact"):
        pack_records([Record(item="p", cluster="p", scores={"exact": float("nan")})])


# --- a run ---------------------------------------------------------------------------------------


def test_a_finished_run_is_read_back_as_it_was_written(done: RunFolder) -> None:
    read = done.manifest()
    assert read.status is Status.DONE
    assert read.samples == len(RECORDS)
    assert read.identity == IDENTITY
    assert read.ledger.optimiser_steps == 100
    assert [Record.model_validate(record) for record in done.records()] == RECORDS
    assert load_file(done.folder / "model.safetensors")["w"].tolist() == [1, 1]
    assert done.is_done()


def test_a_run_without_weights_has_no_weights_file(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "copy-s0-0123abcd")
    run.start(manifest())
    run.finish(manifest(), RECORDS, PREDICTIONS)
    assert run.is_done()
    assert names(run.folder) == ["manifest.json", "predictions.npz", "samples.jsonl.gz"]


def test_starting_again_sets_a_finished_result_aside_and_a_new_one_replaces_it(done: RunFolder) -> None:
    done.log({"step": 1})
    done.start(manifest())
    assert names(done.folder) == [".previous", "manifest.json"]
    assert done.manifest().status is Status.RUNNING
    assert not done.is_done()
    done.finish(manifest(started="again"), RECORDS, PREDICTIONS)
    assert names(done.folder) == ["manifest.json", "predictions.npz", "samples.jsonl.gz"]
    assert done.manifest().started == "again"


def test_extra_files_of_a_task_are_part_of_the_result(done: RunFolder) -> None:
    done.write_extra("submission.json", b"{}")
    done.start(manifest(started="again"))
    assert names(done.folder) == [".previous", "manifest.json"]
    assert done.restore()
    assert (done.folder / "submission.json").read_bytes() == b"{}"
    assert done.is_done()


@pytest.mark.parametrize(
    "name", ["manifest.json", "checkpoint.pt", "../escape.json", ".hidden", "a/b.json", ""]
)
def test_an_extra_file_cannot_take_another_place(name: str, done: RunFolder) -> None:
    with pytest.raises(ValueError, match="cannot have an extra file"):
        done.write_extra(name, b"{}")


def test_two_names_of_one_tensor_are_both_written(done: RunFolder) -> None:
    from trm_bench.harness.store.tensors import weights_by_name

    from trm_bench import Reasoner

    class Tied(Reasoner):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Linear(2, 2, bias=False)
            self.b = torch.nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

    model = Tied()
    done.write_weights(weights_by_name(model))
    written = load_file(done.folder / "model.safetensors")
    assert written["a.weight"].equal(model.a.weight)
    assert written["b.weight"].equal(model.a.weight)


def test_a_repeat_that_is_not_finished_gives_the_finished_result_back(done: RunFolder) -> None:
    before = {path.name: path.read_bytes() for path in done.folder.iterdir()}
    done.start(manifest(started="again"))
    done.log({"step": 1})
    done.write_weights({"w": torch.zeros(2)})
    assert done.restore()
    assert {name: (done.folder / name).read_bytes() for name in before} == before
    assert done.is_done()
    assert not done.restore()


def test_a_new_result_is_kept_if_the_program_dies_before_the_old_one_is_dropped(
    done: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    done.start(manifest(started="again"))
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *path, **options: None)
        done.finish(manifest(started="again"), RECORDS, PREDICTIONS)
    assert names(done.folder)[0] == ".previous"
    assert not done.restore()
    assert done.manifest().started == "again"
    assert names(done.folder) == ["manifest.json", "predictions.npz", "samples.jsonl.gz"]


def test_starting_again_removes_what_an_unfinished_attempt_left(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "trm-s0-0123abcd")
    run.start(manifest())
    run.log({"step": 1})
    (run.folder / ".manifest.json-x1y2").write_text("half writt")
    run.start(manifest())
    assert names(run.folder) == ["manifest.json"]


def test_metrics_are_appended_line_by_line(done: RunFolder) -> None:
    done.log({"step": 1, "loss": 0.5})
    done.log({"step": 2, "loss": 0.25})
    lines = (done.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.FAILED, Status.INTERRUPTED])
def test_only_a_run_with_the_status_done_is_done(status: Status, done: RunFolder) -> None:
    done.write_manifest(done.manifest().model_copy(update={"status": status}))
    assert not done.is_done()


@pytest.mark.parametrize("fails", ["samples.jsonl.gz", "manifest.json"])
def test_a_run_whose_last_writes_fail_is_not_done(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "trm-s0-0123abcd")
    run.start(manifest())
    replace = os.replace

    def fail(source: str, target: Path) -> None:
        if target.name == fails:
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            run.finish(manifest(), RECORDS, PREDICTIONS)
    assert run.manifest().status is Status.RUNNING
    assert not run.is_done()


Damage = Callable[[bytes], bytes]
CUT: dict[str, Damage] = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("damage", CUT.values(), ids=CUT.keys())
def test_truncated_samples_are_named_and_the_run_is_not_done(damage: Damage, done: RunFolder) -> None:
    path = done.folder / "samples.jsonl.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedResult) as caught:
        done.records()
    assert str(caught.value) == f"{path}: truncated or changed since it was written; repeat the run"
    assert not done.is_done()


def test_samples_of_another_run_are_not_taken_for_this_ones(done: RunFolder) -> None:
    (done.folder / "samples.jsonl.gz").write_bytes(pack_records(RECORDS[:4]))
    assert not done.is_done()


@pytest.mark.parametrize("name", ["samples.jsonl.gz", "manifest.json"])
def test_a_missing_file_is_named_and_the_run_is_not_done(name: str, done: RunFolder) -> None:
    (done.folder / name).unlink()
    with pytest.raises(DamagedResult) as caught:
        done.records()
    assert str(caught.value) == f"{done.folder / name}: no such file; repeat the run"
    assert not done.is_done()


@pytest.mark.parametrize(
    "damage",
    [*CUT.values(), lambda content: b"\xff\xfe" + content],
    ids=[*CUT.keys(), "not UTF-8"],
)
def test_an_unreadable_manifest_is_named_and_the_run_is_not_done(damage: Damage, done: RunFolder) -> None:
    path = done.folder / "manifest.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedResult) as caught:
        done.manifest()
    assert str(caught.value).startswith(f"{path}: cannot be read (")
    assert not done.is_done()


def rewrite(run: RunFolder, change: Callable[[dict[str, Any]], object]) -> None:
    path = run.folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_bytes(stamped(content))


@pytest.mark.parametrize("version", [0, 1, 2, "3", None])
def test_a_manifest_of_another_schema_version_is_refused_with_both_versions(
    version: object, done: RunFolder
) -> None:
    rewrite(done, lambda content: content.update(schema_version=version))
    with pytest.raises(DamagedResult) as caught:
        done.manifest()
    where = f"{done.folder}/manifest.json"
    assert str(caught.value) == f"{where}: schema version {version}, this program reads 3; repeat the run"
    assert not done.is_done()


@pytest.mark.parametrize("content", ["[]", "3", "null"])
def test_a_manifest_that_is_no_mapping_is_refused(content: str, done: RunFolder) -> None:
    (done.folder / "manifest.json").write_text(content)
    with pytest.raises(DamagedResult, match=r"manifest\.json: cannot be read \(no JSON object\)"):
        done.manifest()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda content: content.pop("status"), "status"),
        (lambda content: content.update(status="finished"), "status"),
        (lambda content: content.update(extra=1), "extra"),
        (lambda content: content["identity"]["budget"].update(amount=0), r"identity\.budget\.amount"),
    ],
)
def test_a_manifest_with_a_wrong_entry_names_the_entry(
    change: Callable[[dict[str, Any]], object], key: str, done: RunFolder
) -> None:
    rewrite(done, change)
    with pytest.raises(DamagedResult, match=rf"manifest\.json: {key}: "):
        done.manifest()
    assert not done.is_done()


def test_a_manifest_that_was_edited_is_not_believed(done: RunFolder) -> None:
    path = done.folder / "manifest.json"
    content = json.loads(path.read_text())
    content["identity"]["seed"] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedResult, match=r"manifest\.json: changed since it was written"):
        done.manifest()
    assert not done.is_done()


def test_every_damaged_byte_of_a_result_is_found(done: RunFolder) -> None:
    """Whatever the byte: the numbers are the same, or the file is named."""
    before = done.manifest(), done.records(), done.predictions().tokens.tolist()
    draw = np.random.default_rng(0)
    for name in ("manifest.json", "samples.jsonl.gz", "predictions.npz"):
        path = done.folder / name
        whole = path.read_bytes()
        for place in draw.integers(0, len(whole), 40).tolist():
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
            with contextlib.suppress(DamagedResult):
                assert (done.manifest(), done.records(), done.predictions().tokens.tolist()) == before
        path.write_bytes(whole)


def test_samples_that_unpack_to_too_much_are_not_read(done: RunFolder) -> None:
    packed = gzip.compress(b" " * (1 << 24))
    (done.folder / "samples.jsonl.gz").write_bytes(packed)
    digest = hashlib.sha256(packed).hexdigest()
    done.write_manifest(done.manifest().model_copy(update={"samples_sha256": digest}))
    with pytest.raises(DamagedResult, match="does not hold the 8 lines of its manifest"):
        done.samples()


def test_other_samples_take_the_place_of_a_finished_runs(done: RunFolder) -> None:
    kept = names(done.folder)
    more = [record.model_copy(update={"scores": {**record.scores, "new": 0.5}}) for record in RECORDS]
    done.replace_samples(done.manifest().model_copy(update={"notes": ["scored again"]}), more)
    assert done.records()[0]["scores"]["new"] == 0.5
    assert done.manifest().notes == ["scored again"]
    assert names(done.folder) == kept


@pytest.mark.parametrize("dies", ["samples.jsonl.gz", "manifest.json"])
def test_a_death_while_samples_are_replaced_leaves_the_old_ones(
    dies: str, done: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def fail(source: str, target: Path) -> None:
        if target.name == dies:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            done.replace_samples(done.manifest(), RECORDS[::-1])
    done.restore()
    assert [Record.model_validate(record) for record in done.records()] == RECORDS
    assert load_file(done.folder / "model.safetensors")["w"].tolist() == [1, 1]


# --- the folder of a grid ------------------------------------------------------------------------

COMMON = {"task": "made", "scale": "mini", "budget": {"match": "steps", "amount": 100.0}, "limit": None}


def test_a_folder_is_made_with_its_parents_and_can_be_claimed_again(tmp_path: Path) -> None:
    output = Output(tmp_path / "results" / "made-mini")
    output.claim(COMMON)
    output.claim(COMMON)
    assert read_stamped(output.folder / GRID) == COMMON


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "maze-hard"}, "task is 'made' there and 'maze-hard' here"),
        ({"limit": 10}, "limit is None there and 10 here"),
        (
            {"budget": {"match": "steps", "amount": 50.0}},
            "budget is {'match': 'steps', 'amount': 100.0} there and {'match': 'steps', 'amount': 50.0} here",
        ),
        ({"new": 1}, "new is None there and 1 here"),
    ],
)
def test_a_folder_of_another_grid_is_refused_by_the_key_that_differs(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    output = Output(tmp_path)
    output.claim(COMMON)
    before = (tmp_path / GRID).read_bytes()
    with pytest.raises(UsageError) as caught:
        output.claim({**COMMON, **change})
    assert str(caught.value) == f"--output {tmp_path} holds other runs: {message}. Choose another folder."
    assert (tmp_path / GRID).read_bytes() == before


def test_every_key_that_differs_is_named(tmp_path: Path) -> None:
    Output(tmp_path).claim(COMMON)
    with pytest.raises(UsageError, match=r"task is 'made' .*; scale is 'mini' "):
        Output(tmp_path).claim({**COMMON, "task": "other", "scale": "lite"})


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_folder_that_cannot_be_made_is_an_error_of_the_environment(below: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file in its place")
    folder = tmp_path / "taken" / below
    with pytest.raises(UnavailableError, match=r"not writable .*choose another folder") as caught:
        Output(folder).claim(COMMON)
    assert str(folder) in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_folder_that_may_not_be_written_to_is_an_error_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnavailableError, match=r"not writable \(Permission denied\)"):
        Output(tmp_path / "results").claim(COMMON)


@pytest.mark.parametrize("content", ["", '{"task": "ma', "\xff"])
def test_a_grid_file_that_cannot_be_read_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / GRID).write_bytes(content.encode("latin-1"))
    with pytest.raises(UnavailableError, match=r"grid\.json: cannot be read .*; choose another --output"):
        Output(tmp_path).claim(COMMON)


@pytest.mark.parametrize("content", ["[]", "null", "3"])
def test_a_grid_file_that_is_no_mapping_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / GRID).write_text(content)
    with pytest.raises(UnavailableError, match=r"grid\.json"):
        Output(tmp_path).claim(COMMON)


def test_runs_are_the_visible_folders_in_the_order_of_their_names(tmp_path: Path) -> None:
    output = Output(tmp_path / "results")
    assert output.runs() == []
    output.claim(COMMON)
    for name in ("trm-s1", "hrm-s0", ".scratch"):
        output.run(name).folder.mkdir()
    assert [run.name for run in output.runs()] == ["hrm-s0", "trm-s1"]

"""A finished result that is repeated with ``--force`` survives a death at any moment, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.folders import manifest
from trm_bench.harness.store.checked import stamped
from trm_bench.harness.store.folders import CHECKPOINT, RunFolder
from trm_bench.harness.store.records import Status


class Death(BaseException):
    """The process is killed."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[Callable[[], int]]:
    """Die before the change of the folder with that number; gives how many there were."""
    count = 0

    def counting(original: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: object, **options: object) -> object:
            nonlocal count
            if count == after:
                raise Death
            count += 1
            return original(*arguments, **options)

        return change

    with monkeypatch.context() as patched:
        for owner, name in ((os, "replace"), (Path, "rename"), (Path, "unlink"), (Path, "mkdir")):
            patched.setattr(owner, name, counting(getattr(owner, name)))
        patched.setattr(shutil, "rmtree", counting(shutil.rmtree))
        yield lambda: count


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that counts as done for its manifest alone."""
    run = RunFolder(tmp_path / "trm-s0-0123abcd")
    run.start(manifest())
    for name in ("samples.jsonl.gz", "predictions.npz", "model.safetensors", "submission.json"):
        (run.folder / name).write_bytes(b"first")
    run.write_manifest(manifest(status=Status.DONE))
    monkeypatch.setattr(RunFolder, "is_done", is_done)
    return run


def is_done(run: RunFolder) -> bool:
    path = run.folder / "manifest.json"
    whole = path.exists() and run.manifest().status is Status.DONE
    return whole and (run.folder / "samples.jsonl.gz").exists()


def attempt(run: RunFolder) -> None:
    run.start(manifest(started="again"))
    run.log({"step": 1})
    (run.folder / CHECKPOINT).write_bytes(b"of the attempt")
    (run.folder / "model.safetensors").write_bytes(b"of the attempt")
    (run.folder / "new-extra.json").write_bytes(b"of the attempt")


def test_nothing_of_a_killed_attempt_is_left(done: RunFolder) -> None:
    before = content(done.folder)
    attempt(done)
    assert done.restore()
    assert content(done.folder) == before
    assert not done.restore()


def test_a_death_at_any_moment_of_the_repeat_leaves_the_finished_result(
    done: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(done.folder)
    with dying(monkeypatch, -1) as changes:
        attempt(done)
    total = changes()
    assert total > 6
    assert done.restore()
    for moment in range(total):
        with pytest.raises(Death), dying(monkeypatch, moment):
            attempt(done)
        done.restore()
        assert content(done.folder) == before, moment


def test_a_death_at_any_moment_of_putting_it_back_is_made_good(
    done: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(done.folder)
    attempt(done)
    with dying(monkeypatch, -1) as changes:
        done.restore()
    for moment in range(changes()):
        attempt(done)
        with pytest.raises(Death), dying(monkeypatch, moment):
            done.restore()
        done.restore()
        assert content(done.folder) == before, moment


def test_a_start_keeps_a_checkpoint_alone(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "trm-s0-0123abcd")
    run.start(manifest())
    run.log({"step": 1})
    (run.folder / CHECKPOINT).write_bytes(stamped({}))
    (run.folder / f".{CHECKPOINT}-12ab34cd").write_bytes(b"half")
    run.start(manifest(), fresh=False)
    assert sorted(content(run.folder)) == [CHECKPOINT, "manifest.json"]
    run.start(manifest())
    assert sorted(content(run.folder)) == ["manifest.json"]

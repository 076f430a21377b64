"""Puzzles in the cache: built once, found again only by the same request, damage named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trm_bench.harness.api.augment import NoAugmentation
from trm_bench.harness.api.errors import DataError, PluginError, UnavailableError, UsageError
from trm_bench.harness.api.puzzles import PuzzleSet, Source, SourceFile, TaskData, TaskInfo
from trm_bench.harness.api.specs import BuildRequest, Scale, TaskSpec
from trm_bench.harness.data.prepare import FORMAT, SPLITS, Prepared, Split, cache_root, prepare
from trm_bench.harness.host.host import Part, Plugin

REQUEST = BuildRequest("mini", 0)
Builder = Callable[[BuildRequest], TaskData]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def puzzles(name: str, count: int, seed: int) -> PuzzleSet:
    tokens = np.random.default_rng(seed).integers(1, 9, (count, 4)).astype(np.uint8)
    ids = np.array([f"{name}-{row}" for row in range(count)])
    clusters = np.array([f"{name}-{row // 2}" for row in range(count)])
    return PuzzleSet(tokens, tokens[:, ::-1].copy(), ids, clusters, np.arange(count, dtype=np.int32))


SOURCE = Source(
    "official",
    "made up",
    files=(SourceFile("test.csv", "ab12", 3),),
    notes=("cut short",),
    caveats=("not the real thing",),
)


def build(request: BuildRequest) -> TaskData:
    info = TaskInfo("made", request.scale, height=2, width=2, vocab_size=9, identifiers=6)
    splits = (puzzles(split, 3 + n, 10 * request.seed + n) for n, split in enumerate(SPLITS))
    return TaskData(info, *splits, source=SOURCE)


class Counting:
    """`build`, and how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, request: BuildRequest) -> TaskData:
        self.calls += 1
        return build(request)


def tables(request: BuildRequest) -> Sequence[Path]:
    assert request.folder is not None
    return sorted(request.folder.glob("*.csv"))


def part(
    builder: Builder = build, *, version: int = 1, distribution: str = "lab", with_files: bool = True
) -> Part[TaskSpec]:
    scales = {
        name: Scale(name, "made up", steps=1, batch_size=1, augmentations=1) for name in ("mini", "lite")
    }
    spec = TaskSpec(
        name="made",
        summary="made up",
        version=version,
        scales=scales,
        build=builder,
        augmentation=lambda request: NoAugmentation(),
        evaluators=("exact",),
        primary="exact",
        sources=("generated", "official"),
        files=tables if with_files else None,
        options=("twist",),
    )
    return Part(spec, Plugin(f"{distribution}:plug", distribution, "1.0"))


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*"))


# --- the cache -----------------------------------------------------------------------------------


def test_the_puzzles_come_back_as_they_were_built() -> None:
    prepared, built = prepare(part(), REQUEST), build(REQUEST)
    for split in SPLITS:
        written: PuzzleSet = getattr(built, split)
        read = prepared.read(split)
        assert read.fingerprint() == written.fingerprint() == prepared.fingerprints[split]
        assert read.inputs.dtype == np.uint8
        assert read.ids.tolist() == written.ids.tolist()
        assert read.clusters.tolist() == written.clusters.tolist()
    assert (prepared.info, prepared.source) == (built.info, built.source)
    assert prepared.counts == {"train": 3, "validation": 4, "test": 5}


def test_the_second_call_builds_nothing_and_gives_the_same() -> None:
    builder = Counting()
    first = prepare(part(builder), REQUEST)
    second = prepare(part(builder), replace(REQUEST, progress=lambda done, total, what: None))
    assert builder.calls == 1
    assert first == second


def test_the_cache_is_where_the_environment_says(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert empty_cache in prepare(part(), REQUEST).folder.parents
    monkeypatch.delenv("TRM_BENCH_CACHE")
    assert empty_cache not in [cache_root(), *cache_root().parents]
    assert "trm-bench" in str(cache_root())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_text("1,2")
    (folder / "readme.txt").write_text("hello")
    return folder


OTHERS: dict[str, tuple[Part[TaskSpec], BuildRequest]] = {
    "seed": (part(), replace(REQUEST, seed=1)),
    "scale": (part(), replace(REQUEST, scale="lite")),
    "source": (part(), replace(REQUEST, source="official")),
    "option": (part(), replace(REQUEST, options={"twist": "1"})),
    "version of the task": (part(version=2), REQUEST),
    "distribution of the task": (part(distribution="other"), REQUEST),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_what_could_change_the_puzzles_changes_the_folder(other: tuple[Part[TaskSpec], BuildRequest]) -> None:
    assert prepare(*other).folder != prepare(part(), REQUEST).folder


def test_files_of_another_format_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    old = prepare(part(), REQUEST).folder
    (old / "data.json").write_text("{}")  # as another version would write it
    monkeypatch.setattr("trm_bench.harness.data.prepare.FORMAT", FORMAT + 1)
    assert prepare(part(), REQUEST).folder != old


def test_the_content_of_the_files_changes_the_folder_and_their_place_does_not(
    data: Path, tmp_path: Path
) -> None:
    request = replace(REQUEST, source="official", folder=data)
    before = prepare(part(), request).folder
    (data / "readme.txt").write_text("something else")  # not one of the task's files
    moved = data.rename(tmp_path / "elsewhere")
    assert prepare(part(), replace(request, folder=moved)).folder == before
    (moved / "train.csv").write_text("1,3")
    changed = prepare(part(), replace(request, folder=moved)).folder
    (moved / "test.csv").write_text("1,3")
    more = prepare(part(), replace(request, folder=moved)).folder
    assert len({before, changed, more}) == 3


def test_a_task_that_names_no_files_refuses_a_data_folder(tmp_path: Path) -> None:
    request = replace(REQUEST, source="official", folder=tmp_path)
    with pytest.raises(UsageError, match=f"reads no files; leave --data {tmp_path} out"):
        prepare(part(build, with_files=False), request)


# --- what the task knows of each puzzle ---------------------------------------------------------


def known(features: Any) -> Part[TaskSpec]:
    return replace(part(), spec=replace(part().spec, features=features))


def test_what_a_task_knows_of_its_test_puzzles_comes_back() -> None:
    calls = []

    def features(info: TaskInfo, puzzles: PuzzleSet) -> dict[str, Any]:
        calls.append(len(puzzles))
        return {"depth": puzzles.inputs[:, 0], "size": np.full(len(puzzles), 0.5)}

    for _ in range(2):
        prepared = prepare(known(features), REQUEST)
        found = prepared.features()
        assert found["depth"].tolist() == prepared.read("test").inputs[:, 0].tolist()
        assert found["size"].tolist() == [0.5] * 5
    assert calls == [5]
    assert prepare(part(version=2), REQUEST).features() == {}


@pytest.mark.parametrize("values", [[1.0], [np.nan] * 5, [np.inf] * 5, np.ones((5, 2))])
def test_a_feature_that_is_no_number_for_each_puzzle_is_refused(values: Any) -> None:
    with pytest.raises(DataError, match="feature 'depth' must be a finite number for each of 5 test puzzles"):
        prepare(known(lambda info, puzzles: {"depth": values}), REQUEST)


def test_features_that_were_changed_are_not_believed() -> None:
    prepared = prepare(known(lambda info, puzzles: {"depth": np.arange(5)}), REQUEST)
    np.savez_compressed(prepared.folder / "features.npz", depth=np.arange(5) + 1)
    with pytest.raises(DataError, match=r"features\.npz: not what was written; delete .* and run again"):
        prepared.features()
    (prepared.folder / "features.npz").unlink()
    with pytest.raises(DataError, match=r"features\.npz: cannot be read"):
        prepared.features()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o027, 0o750), (0o077, 0o700)])
def test_the_cache_may_be_read_by_whom_the_umask_lets(mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        folder = prepare(part(), REQUEST).folder
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == mode
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~mask}


# --- requests that make no sense -----------------------------------------------------------------


def test_an_unknown_scale_is_refused_with_the_nearest_and_nothing_is_built(empty_cache: Path) -> None:
    builder = Counting()
    with pytest.raises(
        UsageError, match=r"task 'made' has no scale 'mino'; did you mean 'mini'\? known: lite, mini"
    ):
        prepare(part(builder), replace(REQUEST, scale="mino"))
    assert builder.calls == 0
    assert left_in(empty_cache) == []


def test_an_unknown_source_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"task 'made' has no source 'offical'; did you mean 'official'\?"):
        prepare(part(), replace(REQUEST, source="offical"))


# --- builds that fail ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [DataError("train.csv:3: too short"), KeyboardInterrupt(), MemoryError()],
    ids=lambda e: type(e).__name__,
)
def test_a_build_that_fails_leaves_nothing_behind(error: BaseException, empty_cache: Path) -> None:
    def broken(request: BuildRequest) -> TaskData:
        raise error

    with pytest.raises((type(error), PluginError)):
        prepare(part(broken), REQUEST)
    assert [name for name in left_in(empty_cache) if name != "data"] == []
    assert prepare(part(), REQUEST).counts["train"] == 3


def test_a_write_that_fails_half_way_leaves_nothing_behind(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, written = np.savez_compressed, []

    def disk_full(path: Path, **arrays: object) -> None:
        written.append(path)
        save(path, **arrays)  # type: ignore[arg-type]
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with pytest.raises(OSError, match="No space left"):
        prepare(part(), REQUEST)
    assert len(written) == 2
    assert left_in(empty_cache) == ["data"]
    monkeypatch.undo()


def test_where_another_process_was_faster_its_puzzles_are_taken() -> None:
    def overtaken(request: BuildRequest) -> TaskData:
        prepare(part(), request)
        return build(request)

    prepared = prepare(part(overtaken), REQUEST)
    assert prepared.read("test").fingerprint() == build(REQUEST).test.fingerprint()
    assert [path.name for path in prepared.folder.parent.iterdir()] == [prepared.folder.name]


def test_a_cache_folder_that_cannot_be_made_is_named(empty_cache: Path) -> None:
    empty_cache.write_text("a file in its place")
    with pytest.raises(UnavailableError, match="cache"):
        prepare(part(), REQUEST)


# --- damage --------------------------------------------------------------------------------------


@pytest.fixture
def prepared() -> Prepared:
    return prepare(part(), REQUEST)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("damage", ["cut short", "empty", "missing", "not an archive"])
def test_a_damaged_split_is_named_with_what_to_do(damage: str, split: Split, prepared: Prepared) -> None:
    path = prepared.folder / f"{split}.npz"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut short": content[:-40], "empty": b"", "not an archive": b"hello"}[damage])
    with pytest.raises(DataError) as caught:
        prepare(part(), REQUEST).read(split)
    assert str(caught.value).startswith(f"{path}: cannot be read (")
    assert f"delete {prepared.folder} and run again" in str(caught.value)
    for other in SPLITS:
        if other != split:
            assert len(prepared.read(other)) == prepared.counts[other]


def test_a_split_with_other_puzzles_in_it_is_refused(prepared: Prepared) -> None:
    (prepared.folder / "test.npz").write_bytes((prepared.folder / "train.npz").read_bytes())
    with pytest.raises(DataError, match=r"test\.npz: not what was written; delete .* and run again"):
        prepared.read("test")


def without(key: str) -> Callable[[str], str]:
    def cut(text: str) -> str:
        content = json.loads(text)
        del content[key]
        return json.dumps(content)

    return cut


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-10],
        lambda text: "",
        lambda text: "[]",
        *map(without, ("info", "source", "fingerprints")),
    ],
    ids=["cut short", "empty", "a list", "no info", "no source", "no fingerprints"],
)
def test_a_damaged_description_is_named_with_what_to_do(
    damage: Callable[[str], str], prepared: Prepared
) -> None:
    path = prepared.folder / "data.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError) as caught:
        prepare(part(), REQUEST)
    assert str(caught.value).startswith(f"{path}: ")
    assert f"delete {prepared.folder} and run again" in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"test": 5', '"test": 4'),
        ('"kind": "official"', '"kind": "generated"'),
        ('"height": 2', '"height": 1'),
        ('"vocab_size": 9', '"vocab_size": 8'),
        ('"not the real thing"', '"fine"'),
    ],
    ids=["count", "kind", "height", "vocabulary", "caveat"],
)
def test_a_description_that_was_changed_is_not_believed(before: str, after: str, prepared: Prepared) -> None:
    path = prepared.folder / "data.json"
    content = path.read_text()
    assert before in content
    path.write_text(content.replace(before, after))
    with pytest.raises(DataError, match=r"data\.json: changed since it was written; delete .* and run again"):
        prepare(part(), REQUEST)


def test_a_folder_without_its_description_is_named_or_made_anew(prepared: Prepared) -> None:
    (prepared.folder / "data.json").unlink()
    try:
        assert prepare(part(), REQUEST).counts == prepared.counts
    except DataError as error:
        assert str(prepared.folder) in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: replace(data, validation=data.validation.take(slice(0, 0))),
            "validation split: no puzzles",
        ),
        (
            lambda data: replace(data, info=replace(data.info, width=data.info.width + 1)),
            "train split: puzzles of",
        ),
        (lambda data: replace(data, info=replace(data.info, vocab_size=2)), "is not below vocab_size=2"),
        (
            lambda data: replace(data, info=replace(data.info, identifiers=0)),
            "identifiers must be from 0 to -1",
        ),
        (
            lambda data: replace(
                data,
                test=replace(data.test, targets=data.test.targets * (np.arange(len(data.test)) > 0)[:, None]),
            ),
            "test split: puzzle .* has no answer, its target is all padding",
        ),
        (
            lambda data: replace(data, test=replace(data.test, targets=data.test.targets.astype(np.int64))),
            r"test split: targets are int64, not uint8 \(token codes from 0 to 255\)",
        ),
        (
            lambda data: replace(data, train=replace(data.train, inputs=data.train.inputs + 0.5)),
            "train split: inputs are float64, not uint8",
        ),
    ],
    ids=[
        "empty split",
        "wrong shape",
        "token out of range",
        "identifier out of range",
        "no answer",
        "wide integers",
        "fractions",
    ],
)
def test_puzzles_that_break_the_contract_are_refused_in_words(
    change: Callable[[TaskData], TaskData], message: str, empty_cache: Path
) -> None:
    with pytest.raises(DataError, match=message):
        prepare(part(lambda request: change(build(request))), REQUEST)
    assert not list((empty_cache / "data").glob("*"))


def test_a_finished_folder_of_another_process_is_never_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(part(), REQUEST).folder
    other = folder.with_name("other")
    folder.rename(other)
    folder.mkdir()
    (folder / "train.npz").touch()  # without its description it is of no use
    rename = Path.rename

    def slow(self: Path, target: Path) -> Path:
        if target.name.startswith(".old-"):  # just before, another process has done the same
            rename(folder, folder.with_name("useless"))
            rename(other, folder)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", slow)
    prepare(part(), REQUEST).read("train")
    assert not [name for name in os.listdir(folder.parent) if name.startswith(".")]

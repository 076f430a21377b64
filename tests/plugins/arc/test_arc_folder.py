"""Where ARC tasks are looked for: links, hidden files, marks, pipes, named sets; and leaks among them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.arc import made, pair, write
from trm_bench.harness.data.overlap import with_overlaps
from trm_bench.harness.host.host import host
from trm_bench.plugins.arc import folder as arc_folder
from trm_bench.plugins.arc.canonical import canonical, features
from trm_bench.plugins.arc.folder import all_files, walk
from trm_bench.plugins.arc.grids import TURNS, Grid, to_canvases, turned
from trm_bench.plugins.arc.tasks import ArcTask, Pair

from trm_bench import BuildRequest, DataError, TaskData, TaskInfo

ARC1 = "arc-agi-1"


def request(folder: Path | None = None, **more: Any) -> BuildRequest:
    return BuildRequest("paper", 0, "official", folder, **more)


def build(folder: Path | None = None, **more: Any) -> TaskData:
    spec = host().tasks.get(ARC1).spec
    return with_overlaps(spec, spec.build(request(folder, **more)))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "store" / "data" / "training", made("a", 1), made("b", 2))
    write(tmp_path / "store" / "data" / "evaluation", made("c", 3), made("d", 4))
    return tmp_path / "store"


def link(place: Path, target: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    return place


# --- links -------------------------------------------------------------------------------------------


def test_links_to_folders_and_files_are_followed_at_any_depth(store: Path, tmp_path: Path) -> None:
    expected = build(store).test.fingerprint()
    whole = link(tmp_path / "whole", store)
    link(tmp_path / "inner" / "x" / "data", store / "data")
    for role in ("training", "evaluation"):
        link(tmp_path / "roles" / "data" / role, store / "data" / role)
        for path in (store / "data" / role).iterdir():
            link(tmp_path / "files" / role / path.name, path)
    for folder in (whole, tmp_path / "inner", tmp_path / "roles", tmp_path / "files"):
        assert build(folder).test.fingerprint() == expected


def test_a_set_that_is_reached_by_two_paths_is_one_set(tmp_path: Path) -> None:
    write(tmp_path / "all" / "one", made("a", 1))
    link(tmp_path / "data" / "training", tmp_path / "all" / "one")
    write(tmp_path / "data" / "evaluation", made("c", 3))
    link(tmp_path / "zz", tmp_path / "data")
    assert len(build(tmp_path).test) == 1


def test_circles_of_links_end(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("up", "data/training/top"):
        link(store / name, store)
    assert len(build(store).test) == 2
    assert len(list(walk(store))) < 20
    monkeypatch.setattr(arc_folder, "MOST_FOLDERS", 3)
    with pytest.raises(DataError, match="more than 3 folders; name the one with the tasks"):
        build(store)


@pytest.mark.parametrize("folders", [3, 4])
def test_as_many_folders_as_are_allowed_are_looked_at(
    folders: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(folders - 1):
        (tmp_path / str(number)).mkdir()
    monkeypatch.setattr(arc_folder, "MOST_FOLDERS", 3)
    if folders == 3:
        assert len(list(walk(tmp_path))) == 3
        return
    with pytest.raises(DataError, match="more than 3 folders"):
        list(walk(tmp_path))


def test_broken_links_and_pipes_are_named_at_once(store: Path) -> None:
    broken = link(store / "data" / "training" / "x.json", store / "nowhere.json")
    with pytest.raises(DataError, match=r"x\.json: No such file"):
        build(store)
    broken.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(broken)
        with pytest.raises(DataError, match=r"x\.json: is a pipe or device, not a file"):
            build(store)


# --- files of other systems ----------------------------------------------------------------------------


def test_what_macos_and_notebooks_leave_behind_is_no_data(store: Path) -> None:
    expected = build(store).test.fingerprint()
    (store / "data" / "evaluation" / "._c.json").write_bytes(b"\x00\x05\x16\x07\xb0")
    (store / "data" / "evaluation" / ".DS_Store").write_bytes(b"\xb0")
    write(store / ".ipynb_checkpoints" / "evaluation", made("z", 9))
    write(store / "__MACOSX" / "data" / "evaluation", made("z", 9))
    (store / "._arc-agi_training_challenges.json").write_bytes(b"\xb0")
    assert build(store).test.fingerprint() == expected
    assert len(all_files(request(store))) == 4


def test_names_in_capitals_are_read_and_those_that_are_not_read_are_named(store: Path) -> None:
    expected = build(store).test.fingerprint()
    evaluation = store / "data" / "evaluation"
    (evaluation / "c.json").rename(evaluation / "c.JSON")
    for name in ("e.json.gz", "all.jsonl", "README.md"):
        (evaluation / name).write_text("")
    data = build(store)
    assert data.test.fingerprint() == expected
    left_out = "data/evaluation: not read, as the name does not end in .json: all.jsonl, e.json.gz"
    assert left_out in data.source.notes


def test_a_pointer_of_git_lfs_is_no_task(store: Path) -> None:
    path = store / "data" / "training" / "a.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(DataError, match=r"a\.json: a Git LFS pointer, not the file; run git lfs pull"):
        build(store)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read(encoding: str, store: Path) -> None:
    expected = build(store).test.fingerprint()
    for path in store.rglob("*.json"):
        path.write_bytes(path.read_text().replace(" ", "\r\n").encode(encoding))
    assert build(store).test.fingerprint() == expected


@pytest.mark.parametrize("content", ["[" * 100_000, '{"train": ' * 50_000, "9" * 5000])
def test_json_that_is_nested_too_deeply_is_named(content: str, store: Path) -> None:
    (store / "data" / "training" / "a.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.json: cannot be read as JSON"):
        build(store)


def test_json_that_is_too_large_is_not_read(store: Path) -> None:
    path = store / "data" / "training" / "a.json"
    with path.open("wb") as stream:
        stream.truncate(1 << 31)
    with pytest.raises(DataError, match=r"a\.json: cannot be read as JSON \(has 2,147,483,648 bytes"):
        build(store)


# --- sets that are named ----------------------------------------------------------------------------


def test_named_sets_take_the_place_of_those_in_the_folder(store: Path, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", made("m", 7), made("n", 8))
    assert set(build(store, test=(mine,)).test.clusters.tolist()) == {"m", "n"}
    alone = build(None, train=(mine,), test=(store / "data" / "evaluation" / "c.json",))
    assert alone.test.ids.tolist() == ["c/0"]
    assert set(alone.train.clusters.tolist()) == {"m", "n", "c"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"--test .*empty: no \*\.json file in it"):
        build(store, test=(tmp_path / "empty",))


def test_the_title_says_where_the_evaluation_tasks_were_named(store: Path, tmp_path: Path) -> None:
    roles = {role: (store / "data" / role,) for role in ("training", "evaluation")}
    named = build(None, train=roles["training"], test=roles["evaluation"])
    assert named.source.summary.startswith("unknown tasks in --test: ")
    assert build(store).source.summary.startswith("unknown tasks in --data: ")


def test_named_files_that_cannot_be_meant_are_refused(store: Path, tmp_path: Path) -> None:
    one = store / "data" / "training" / "a.json"
    with pytest.raises(DataError, match=r"--train .*a\.json: named twice"):
        build(store, train=(one, one))
    combined = tmp_path / "combined.json"
    combined.write_text(f'{{"a": {one.read_text()}, "b": {one.read_text()}}}')
    with pytest.raises(DataError, match=r"combined\.json: an object of several tasks; it must be a file for"):
        build(store, train=(combined,))


def test_where_nothing_is_trained_evaluation_tasks_are_enough(store: Path) -> None:
    expected = build(store).test
    for path in (store / "data" / "training").iterdir():
        path.unlink()
    data = build(store, training=False)
    assert np.array_equal(data.test.inputs, expected.inputs)
    assert any("no training tasks were given" in caveat for caveat in data.source.caveats)
    with pytest.raises(DataError, match="no training set in the folder"):
        build(store)


# --- leaks -------------------------------------------------------------------------------------------


def image(one: Pair, turn: int, names: Sequence[int]) -> Pair:
    def of(grid: Grid) -> Grid:
        return turned(np.array(names, np.uint8)[grid], turn)

    return Pair(of(one.input), of(one.output))


NAMES = [0, 7, 3, 1, 9, 2, 4, 5, 6, 8]


def leaks(data: TaskData) -> list[str]:
    return [caveat for caveat in data.source.caveats if "test puzzle" in caveat]


def test_a_test_pair_among_the_demonstrations_of_its_task_is_a_leak(store: Path) -> None:
    tasks = [made("c", 3), made("d", 4)]
    given = [replace(one, train=(*one.train, one.test[0])) for one in tasks]
    write(store / "data" / "evaluation", *given)
    assert leaks(build(store)) == ["2 of 2 test puzzles are trained on, up to the symmetries of arc-agi-1"]
    assert leaks(build(store, options={"transductive": "false"})) == []


def test_a_demonstration_that_only_looks_like_the_test_pair_is_none(store: Path) -> None:
    one = made("c", 3)
    write(store / "data" / "evaluation", replace(one, train=(*one.train, image(one.test[0], 3, NAMES))))
    assert leaks(build(store)) == []


@pytest.mark.parametrize("turn", [0, 3, 5])
def test_a_training_task_that_holds_a_test_pair_in_disguise_is_a_leak(turn: int, store: Path) -> None:
    disguised = image(made("c", 3).test[0], turn, NAMES)
    write(store / "data" / "training", replace(made("b", 2), train=(disguised,)))
    (caveat,) = leaks(build(store))
    assert caveat.startswith("1 of 2 test puzzles is ")


def test_leave_one_out_copies_of_an_evaluation_task_are_leaks_and_one_cluster(store: Path) -> None:
    one = made("c", 3, pairs=4)
    copies = [
        ArcTask(f"c{left}", tuple(p for p in one.pairs if p is not one.pairs[left]), (one.pairs[left],))
        for left in range(4)
    ]
    copies.append(
        ArcTask("again", tuple(image(p, 6, NAMES) for p in one.train), (image(one.test[0], 6, NAMES),))
    )
    (write(store / "data" / "evaluation", *copies) / "c.json").unlink()
    data = build(store)
    assert leaks(data)[0].startswith("5 of 6 test puzzles are trained on")
    assert leaks(data)[1].startswith("1 of 6 test puzzles is symmetric to another test puzzle: 5 independent")
    clusters = dict(zip(data.test.ids.tolist(), data.test.clusters.tolist(), strict=True))
    assert clusters["c3/0"] == clusters["again/0"]
    assert len(set(clusters.values())) == 5


def test_the_key_of_a_pair_sees_through_turns_and_colours_and_tells_others_apart() -> None:
    info = TaskInfo(ARC1, "paper", 6, 6, 12)

    def keys(*pairs: Pair) -> list[bytes]:
        return canonical(
            info,
            *(to_canvases(grids, 6) for grids in zip(*((p.input, p.output) for p in pairs), strict=True)),
        )

    for seed in range(20):
        one = made("a", seed).train[0]
        names = [0, *(1 + np.random.default_rng(seed).permutation(9)).tolist()]
        assert set(keys(*(image(one, turn, names) for turn in range(TURNS)))) == set(keys(one))
    singles = [p for seed in range(50) for p in made("a", seed).pairs]
    assert len(set(keys(*singles))) == len(singles)
    black = pair([[0, 1]], [[1, 0]])
    assert (
        len(set(keys(black, pair([[1, 0]], [[0, 1]]), pair([[0, 1]], [[0, 1]]), pair([[2, 1]], [[1, 2]]))))
        == 3
    )


def test_what_is_known_of_a_test_pair_is_its_size(store: Path) -> None:
    data = build(store)
    known = {name: values.tolist() for name, values in features(data.info, data.test).items()}
    assert (known["height"], known["width"], known["cells"]) == ([3, 3], [4, 4], [12, 12])

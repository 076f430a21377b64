"""What test shares with training, and copies within it: named, not citable, and one cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from trm_bench.harness.api.augment import NoAugmentation
from trm_bench.harness.api.errors import DataError
from trm_bench.harness.api.puzzles import Identities, PuzzleSet, Source, TaskData, TaskInfo
from trm_bench.harness.api.specs import BuildRequest, Scale, TaskSpec
from trm_bench.harness.data.overlap import UNKNOWN, merged, with_overlaps
from trm_bench.harness.data.prepare import prepare
from trm_bench.harness.host.host import Part, Plugin

WIDTH = 3


def puzzles(name: str, *rows: Sequence[int], identifiers: Sequence[int] | None = None) -> PuzzleSet:
    tokens = np.array(rows, np.uint8).reshape(-1, WIDTH)
    ids = np.array([f"{name}/{row}" for row in range(len(rows))], np.str_)
    numbers = np.array(identifiers or [0] * len(rows), np.int32)
    return PuzzleSet(tokens, tokens + 1, ids, ids, numbers)


def data(train: PuzzleSet, validation: PuzzleSet, test: PuzzleSet, **more: Any) -> TaskData:
    count = 1 + max(int(split.identifiers.max(initial=0)) for split in (train, validation, test))
    info = TaskInfo("made", "mini", 1, WIDTH, vocab_size=99, identifiers=count)
    return TaskData(info, train, validation, test, more.pop("source", Source("official", "made up")), **more)


def in_any_order(info: TaskInfo, inputs: Any, targets: Any) -> list[bytes]:
    return [bytes(sorted(row.tolist())) for row in inputs]


def spec(canonical: Any = in_any_order, builder: Any = None) -> TaskSpec:
    return TaskSpec(
        name="made",
        summary="made up",
        version=1,
        scales={"mini": Scale("mini", "made up", steps=1, batch_size=1, augmentations=1)},
        build=builder,
        augmentation=lambda request: NoAugmentation(),
        evaluators=("exact",),
        primary="exact",
        canonical=canonical,
    )


TRAIN, VALIDATION = puzzles("train", [1, 2, 3], [4, 5, 6]), puzzles("validation", [7, 8, 9])
APART = puzzles("test", [10, 11, 12], [20, 21, 22])


def test_validation_that_is_trained_on_or_there_twice_is_a_note_and_no_reason_against_a_score() -> None:
    validation = puzzles("validation", [3, 2, 1], [7, 8, 9], [9, 8, 7])
    source = with_overlaps(spec(), data(TRAIN, validation, APART)).source
    assert source.caveats == ()
    assert source.notes == (
        "1 of 3 validation puzzles is trained on, up to the symmetries of made",
        "1 of 3 validation puzzles is the same as another one, up to the symmetries of made",
    )


def test_where_nothing_is_shared_nothing_is_changed() -> None:
    before = data(TRAIN, VALIDATION, APART)
    after = with_overlaps(spec(), before)
    assert after.source == before.source
    assert after.test.fingerprint() == before.test.fingerprint()


def test_a_test_puzzle_that_is_trained_on_is_a_caveat_under_every_symmetry() -> None:
    test = puzzles("test", [3, 1, 2], [10, 11, 12], [9, 8, 7])
    assert with_overlaps(spec(), data(TRAIN, VALIDATION, test)).source.caveats == (
        "1 of 3 test puzzles is trained on, up to the symmetries of made",
        "1 of 3 test puzzles is in the validation split, up to the symmetries of made",
    )


def test_without_a_canonical_form_puzzles_are_compared_as_they_are() -> None:
    test = puzzles("test", [3, 1, 2], [1, 2, 3], [4, 5, 6])
    (caveat,) = with_overlaps(spec(None), data(TRAIN, VALIDATION, test)).source.caveats
    assert caveat == "2 of 3 test puzzles are trained on, as they are"


def test_a_question_that_was_trained_on_with_another_of_its_answers_is_the_same_puzzle() -> None:
    test = puzzles("test", [1, 2, 3], [10, 11, 12])
    other = replace(test, targets=test.targets + 1)
    (caveat,) = with_overlaps(spec(None), data(TRAIN, VALIDATION, other)).source.caveats
    assert caveat == "1 of 2 test puzzles is trained on, as they are"


def test_the_keys_of_a_split_are_computed_once() -> None:
    seen: list[int] = []

    def counting(info: TaskInfo, inputs: Any, targets: Any) -> list[bytes]:
        seen.append(len(inputs))
        return in_any_order(info, inputs, targets)

    with_overlaps(spec(counting), data(TRAIN, VALIDATION, puzzles("test", *[[9, 9, n] for n in range(4)])))
    assert sorted(seen) == [1, 2, 4]


def test_copies_in_the_test_are_counted_and_are_one_cluster() -> None:
    test = puzzles("test", [1, 2, 9], [5, 6, 9], [9, 1, 2], [2, 9, 1], [6, 9, 5])
    after = with_overlaps(spec(), data(TRAIN, VALIDATION, test))
    assert after.source.caveats == (
        "3 of 5 test puzzles are symmetric to another test puzzle: 2 independent ones",
    )
    assert after.test.clusters.tolist() == ["test/0", "test/1", "test/0", "test/0", "test/1"]
    assert after.test.ids.tolist() == test.ids.tolist()


def test_clusters_that_meet_in_a_puzzle_become_one_with_the_name_of_the_first() -> None:
    clusters = np.array(["a", "b", "c", "c", "d", "a"])
    assert merged(clusters, [1, 2, 3, 1, 4, 2]).tolist() == ["a", "a", "a", "a", "d", "a"]
    assert merged(clusters, [1, 2, 3, 4, 5, 6]).tolist() == clusters.tolist()


# --- tasks with identities -------------------------------------------------------------------------


def identities(count: int) -> Identities:
    names = np.array([f"rule-{number}" for number in range(count)])
    return Identities(names, np.ones(count, np.int64), np.array([""] * count))


def of_rules(test: PuzzleSet, train: PuzzleSet, **more: Any) -> TaskData:
    return data(train, puzzles("validation", [7, 8, 9]), test, identities=identities(3), **more)


def test_images_within_one_identity_are_no_leak_but_the_same_pair_is() -> None:
    train = puzzles("train", [1, 2, 3], [4, 5, 6], identifiers=[0, 1])
    test = puzzles("test", [3, 2, 1], [4, 5, 6], identifiers=[0, 1])
    (caveat,) = with_overlaps(spec(), of_rules(test, train)).source.caveats
    assert caveat.startswith("1 of 2 test puzzles is trained on")


def test_images_within_one_identity_are_named_all_the_same() -> None:
    train = puzzles("train", [1, 2, 3], [4, 5, 6], identifiers=[0, 1])
    test = puzzles("test", [3, 2, 1], [4, 5, 6], identifiers=[0, 1])
    (note,) = with_overlaps(spec(), of_rules(test, train)).source.notes
    assert note.startswith("1 of 2 test puzzles is symmetric to a training puzzle of the same identity")


def test_images_in_another_identity_are_a_leak_and_one_cluster() -> None:
    train = puzzles("train", [1, 2, 3], identifiers=[0])
    test = puzzles("test", [3, 2, 1], [20, 21, 22], [22, 21, 20], identifiers=[1, 1, 2])
    after = with_overlaps(spec(), of_rules(test, train))
    assert [caveat.split(" test")[0] for caveat in after.source.caveats] == ["1 of 3", "1 of 3"]
    assert after.test.clusters.tolist() == ["test/0", "test/1", "test/1"]


def test_what_a_public_benchmark_shares_is_a_note() -> None:
    train = puzzles("train", [1, 2, 3], identifiers=[0])
    test = puzzles("test", [3, 2, 1], identifiers=[1])
    source = Source("packaged", "as it is", as_published=True)
    after = with_overlaps(spec(), of_rules(test, train, source=source)).source
    assert after.caveats == ()
    assert after.notes == ("1 of 1 test puzzles is trained on, up to the symmetries of made (as published)",)


# --- plugins and the cache ---------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [[b"one"], [b"one", b"two", b"three"], ["one", "two"]])
def test_a_hook_that_gives_something_else_is_named(keys: list[Any]) -> None:
    with pytest.raises(DataError, match="task 'made': `canonical` must give bytes for each of 2 puzzles"):
        with_overlaps(spec(lambda info, inputs, targets: keys), data(TRAIN, VALIDATION, APART))


def test_it_is_said_of_every_task_and_kept_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path))
    test = puzzles("test", [3, 1, 2], [10, 11, 12], [12, 11, 10])
    part = Part(spec(builder=lambda request: data(TRAIN, VALIDATION, test)), Plugin("lab:plug", "lab", "1.0"))
    for _ in range(2):
        prepared = prepare(part, BuildRequest("mini", 0))
        assert [caveat.split(" test")[0] for caveat in prepared.source.caveats] == ["1 of 3", "1 of 3"]
        assert prepared.read("test").clusters.tolist() == ["test/0", "test/1", "test/1"]


def test_identities_that_no_training_puzzle_has_are_fingerprinted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path))

    def fingerprints(symmetry: str, trained: int) -> dict[str, str]:
        identities = Identities(np.array(["a", "b"]), np.array([8, 8]), np.array(["", symmetry]))
        train = puzzles("train", [1, 2, 3], [4, 5, 6], identifiers=[0, trained])
        test = puzzles("test", [10, 11, 12], identifiers=[1])

        def build(request: BuildRequest) -> TaskData:
            return data(train, VALIDATION, test, identities=identities)

        folder = f"lab{symmetry}{trained}"
        part = Part(spec(builder=build), Plugin(f"{folder}:plug", folder, "1.0"))
        return prepare(part, BuildRequest("mini", 0)).fingerprints

    assert fingerprints("x", trained=0) != fingerprints("y", trained=0)
    assert fingerprints("x", trained=1) == fingerprints("y", trained=1)  # the training puzzles say it


def test_without_training_puzzles_a_leak_is_not_known_and_training_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TRM_BENCH_CACHE", str(tmp_path))
    alone = data(puzzles("train"), puzzles("validation"), APART)
    part = Part(spec(builder=lambda request: alone), Plugin("lab:plug", "lab", "1.0"))
    prepared = prepare(part, BuildRequest("mini", 0, training=False))
    assert prepared.source.caveats == (UNKNOWN,)
    assert prepared.counts == {"train": 0, "validation": 0, "test": 2}
    assert len(prepared.read("train")) == 0
    with pytest.raises(DataError, match="train split: no puzzles"):
        prepare(part, BuildRequest("mini", 0))

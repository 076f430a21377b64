"""pass@k, the vote curve, the three averages, and submissions."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.arc import Rows, grid
from support.folders import write_model
from trm_bench.harness.api.voting import BallotBox
from trm_bench.harness.report.build import build_report
from trm_bench.harness.report.read import read_folders
from trm_bench.plugins.arc.evaluate import EVALUATORS
from trm_bench.plugins.arc.grids import VOCAB_SIZE, to_canvases
from trm_bench.plugins.arc.packaged import REVISIONS, packaged
from trm_bench.plugins.arc.submission import export, score_submission
from trm_bench.testing.pytest_plugin import RunCli

from trm_bench import DataError, Predictions, PuzzleSet, Sample, TaskInfo

SIDE = 4
INFO = TaskInfo("arc-agi-1", "mini", SIDE, SIDE, VOCAB_SIZE)
A, B, C, D = ([[colour, 0]] for colour in (1, 2, 3, 4))
NOTHING: Rows = []


def tokens(answer: Rows) -> np.ndarray:
    return to_canvases([grid(answer)], SIDE)[0] if answer else np.zeros(SIDE * SIDE, np.uint8)


def puzzles(*truths: tuple[str, Rows]) -> PuzzleSet:
    """Test inputs by task; every input is one cell."""
    names = [name for name, _ in truths]
    return PuzzleSet(
        np.stack([tokens([[5]]) for _ in truths]),
        np.stack([tokens(truth) for _, truth in truths]),
        np.array([f"{name}/{names[:place].count(name)}" for place, name in enumerate(names)]),
        np.array(names),
        np.zeros(len(truths), np.int32),
    )


def voted(*items: Sequence[tuple[Rows, float]]) -> Predictions:
    """The predictions for each item, one per augmentation in order, with halt probabilities."""
    box = BallotBox(np.array([len(item) for item in items]))
    for place, item in enumerate(items):
        votes = np.stack([tokens(rows) for rows, _ in item])
        box.add(np.full(len(item), place), np.arange(len(item)), votes, np.array([p for _, p in item]))
    plain = np.stack([tokens(item[0][0]) for item in items])
    ones = np.ones(len(items), np.int64)
    return Predictions(plain, 1, ones, np.ones(len(items)), box.ballots())


def scored(name: str, of: PuzzleSet, predictions: Predictions) -> Sequence[Sample]:
    (evaluator,) = [evaluator for evaluator in EVALUATORS if evaluator.name == name]
    return evaluator.evaluate(INFO, of, predictions)


def scores(name: str, of: PuzzleSet, predictions: Predictions) -> list[float]:
    return [sample.score for sample in scored(name, of, predictions)]


# --- evaluators ----------------------------------------------------------------------------------


def test_an_empty_prediction_is_a_wrong_vote_that_takes_its_rank() -> None:
    item = [(NOTHING, 1.0)] * 3 + [(A, 1.0)] * 2 + [(B, 1.0)]
    for truth, rank in ((A, 2), (B, 3)):
        (sample,) = scored("pass@2", puzzles(("t", truth)), voted(item))
        assert (sample.score, sample.extras["rank"]) == (float(rank == 2), rank)
        assert (sample.extras["votes"], sample.extras["valid_votes"]) == (6, 3)


def test_a_vote_with_a_tie_by_hand() -> None:
    """B and C have two votes each, C surer on average; A one, less sure than an empty prediction."""
    item = [(A, 0.9), (B, 0.1), (C, 0.5), (C, 0.3), (B, 0.2), (NOTHING, 1.0)]
    for truth, rank in ((C, 1), (B, 2), (A, 4), (D, 0)):
        (sample,) = scored("pass@2", puzzles(("t", truth)), voted(item))
        assert sample.extras["rank"] == rank
        assert sample.score == float(rank in (1, 2))
        assert (sample.extras["votes"], sample.extras["valid_votes"]) == (6, 5)


@pytest.mark.parametrize(
    ("name", "expected"), [("pass@1", 0), ("pass@2", 0), ("pass@5", 1), ("pass@10", 1), ("pass@1000", 1)]
)
def test_pass_at_k_looks_at_k_candidates(name: str, expected: float) -> None:
    item = [(C, 1.0)] * 3 + [(B, 1.0)] * 2 + [(A, 1.0)]
    assert scores(name, puzzles(("t", A)), voted(item)) == [expected]


def test_the_vote_curve_takes_the_first_votes_of_the_same_ballots() -> None:
    item = [(D, 1.0), (C, 1.0), (B, 1.0)] + [(A, 1.0)] * 9
    (sample,) = scored("pass@2", puzzles(("t", A)), voted(item))
    assert {key: value for key, value in sample.extras.items() if key.startswith("at_")} == {
        "at_1": 0.0,
        "at_3": 0.0,
        "at_10": 1.0,
    }
    (other,) = scored("pass@2", puzzles(("t", D)), voted(item))
    assert (other.extras["at_1"], other.extras["at_3"], other.extras["at_10"]) == (1.0, 1.0, 1.0)


def test_an_item_with_few_votes_keeps_them_on_the_curve() -> None:
    few, many = [(A, 1.0)], [(B, 1.0)] * 3
    samples = scored("pass@2", puzzles(("s", A), ("t", B)), voted(few, many))
    assert [sample.extras["at_3"] for sample in samples] == [1.0, 1.0]
    assert [sample.extras["votes"] for sample in samples] == [1, 3]


def test_the_single_view_is_cropped_and_not_voted_on() -> None:
    truth, predicted = tokens(A), tokens(A).copy()
    predicted[-1] = 7  # beyond the border
    predictions = Predictions(predicted[None], 1, np.ones(1, np.int64), np.ones(1))
    of = PuzzleSet(truth[None], truth[None], np.array(["t/0"]), np.array(["t"]), np.zeros(1, np.int32))
    assert scores("single", of, predictions) == [1.0]
    assert scores("single", puzzles(("t", B)), predictions) == [0.0]


def test_without_ballots_there_is_nothing_to_score() -> None:
    plain = Predictions(tokens(A)[None], 1, np.ones(1, np.int64), np.ones(1))
    with pytest.raises(DataError, match="not voted on"):
        scores("pass@2", puzzles(("t", A)), plain)


def test_the_three_averages_of_a_report_where_they_differ(tmp_path: Path) -> None:
    """Task r has one input, solved; s has three, two of them solved; t has two, none solved."""
    clusters = np.array(["r", "s", "s", "s", "t", "t"])
    right = np.array([[1, 1, 1, 0, 0, 0]], float)
    write_model(tmp_path, "trm-att", right, clusters=clusters)
    (table,) = build_report(read_folders([tmp_path])).tables
    (row,) = table.rows
    assert row.summary is not None
    assert row.summary.mean == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert row.other_means == {"items": 3 / 6, "whole clusters": 1 / 3}


# --- submissions ---------------------------------------------------------------------------------


def test_a_submission_holds_the_two_best_predictions_for_every_input() -> None:
    of = puzzles(("s", A), ("t", B), ("t", C), ("u", D))
    predictions = voted(
        [(B, 1.0), (A, 1.0), (A, 1.0)], [(C, 0.1), (D, 0.9), (A, 0.5)], [(A, 1.0)], [(NOTHING, 1.0)]
    )
    assert json.loads(export(INFO, of, predictions)["submission.json"]) == {
        "s": [{"attempt_1": A, "attempt_2": B}],
        "t": [{"attempt_1": D, "attempt_2": A}, {"attempt_1": A, "attempt_2": A}],
        "u": [{"attempt_1": [], "attempt_2": []}],
    }


@pytest.fixture(scope="module")
def truth() -> dict[str, list[dict[str, Any]]]:
    """A submission in which everything is right."""
    tasks = packaged(REVISIONS["arc-agi-2"][0]).evaluation
    return {
        one.id: [{f"attempt_{k}": pair.output.tolist() for k in (1, 2)} for pair in one.test] for one in tasks
    }


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "submission.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.slow
def test_the_truth_scores_one(tmp_path: Path, truth: dict[str, Any]) -> None:
    found = score_submission("arc-agi-2", written(tmp_path, truth), {})
    assert set(found.scores.values()) == {1.0}
    assert "120 evaluation tasks, 167 test outputs" in found.summary


def test_the_three_scores_called_pass_at_2_differ(tmp_path: Path, truth: dict[str, Any]) -> None:
    """One of the two outputs of one task wrong in both attempts, one other attempt_1 wrong."""
    content = copy.deepcopy(truth)
    half = next(name for name, entries in content.items() if len(entries) == 2)
    single = next(name for name, entries in content.items() if len(entries) == 1)
    content[half][1] = {"attempt_1": [[0]], "attempt_2": []}
    content[single][0]["attempt_1"] = [[0]]
    found = score_submission("arc-agi-2", written(tmp_path, content), {})
    assert found.scores["pass@1"] == pytest.approx((120 - 1 - 0.5) / 120)
    assert found.scores["pass@2"] == pytest.approx((120 - 0.5) / 120)
    assert found.scores["pass@2 over outputs"] == pytest.approx(166 / 167)
    assert found.scores["pass@2 of whole tasks"] == pytest.approx(119 / 120)
    assert "1 of 334 attempts are empty and count as wrong" in found.summary


Change = Callable[[dict[str, Any], str], None]
WRONG: dict[str, tuple[Change, str]] = {
    "no task": (lambda content, name: content.pop(name), r"1 tasks are missing: {name}"),
    "a task of another set": (
        lambda content, name: content.update({"00000000": []}),
        "1 tasks are not in the evaluation set: 00000000",
    ),
    "too few tests": (
        lambda content, name: content.update({name: []}),
        r"task {name} has 0 entries for 1 test inputs",
    ),
    "no list": (lambda content, name: content.update({name: {}}), r"task {name} has no list for 1 test"),
    "no attempt": (
        lambda content, name: content[name][0].pop("attempt_2"),
        r"task {name}, test 0, attempt_2: missing",
    ),
    "a ragged grid": (
        lambda content, name: content[name][0].update(attempt_1=[[1], [1, 2]]),
        r"task {name}, test 0, attempt_1: rows of different lengths \(1, 2\)",
    ),
    "a wrong colour": (
        lambda content, name: content[name][0].update(attempt_1=[[1, 12]]),
        r"task {name}, test 0, attempt_1: row 0, column 1 holds 12",
    ),
    "no grid": (
        lambda content, name: content[name][0].update(attempt_1=None),
        r"task {name}, test 0, attempt_1: must be a list of rows",
    ),
    "too large a grid": (
        lambda content, name: content[name][0].update(attempt_2=[[0] * 31]),
        r"task {name}, test 0, attempt_2: 1x31; must be",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_a_submission_is_named_and_no_score_printed(
    change: Change, message: str, tmp_path: Path, truth: dict[str, Any], run_cli: RunCli
) -> None:
    content = copy.deepcopy(truth)
    name = next(name for name, entries in content.items() if len(entries) == 1)
    change(content, name)
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=message.format(name=name)):
        score_submission("arc-agi-2", path, {})
    ended = run_cli("score", path, "--task", "arc-agi-2")
    assert ended.code == 4
    assert ended.out == ""
    assert "not scored" in ended.err


@pytest.mark.slow
def test_a_task_that_is_there_twice_is_named(tmp_path: Path, truth: dict[str, Any]) -> None:
    name, entries = next(iter(truth.items()))
    path = tmp_path / "submission.json"
    path.write_text(f'{{"{name}": [], {json.dumps(truth)[1:]}')
    with pytest.raises(DataError, match=f"'{name}' is there twice"):
        score_submission("arc-agi-2", path, {})
    assert entries


@pytest.mark.slow
def test_a_third_attempt_is_not_ignored(tmp_path: Path, truth: dict[str, Any]) -> None:
    content = copy.deepcopy(truth)
    name = next(iter(content))
    content[name][0]["attempt_3"] = [[0]]
    with pytest.raises(DataError, match=f"task {name}, test 0: 'attempt_3' is no attempt"):
        score_submission("arc-agi-2", written(tmp_path, content), {})


@pytest.mark.slow
def test_every_fault_is_named_at_once(tmp_path: Path, truth: dict[str, Any]) -> None:
    content = copy.deepcopy(truth)
    first, second, third = list(content)[:3]
    content.pop(first)
    content[second][0].pop("attempt_1")
    content[third][0]["attempt_2"] = [[99]]
    with pytest.raises(DataError) as caught:
        score_submission("arc-agi-2", written(tmp_path, content), {})
    assert all(name in str(caught.value) for name in (first, second, third))


@pytest.mark.slow
@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"[" * 100_000, b"\x1f\x8b\x00broken", gzip.compress(b"[1]", mtime=0), b"\xff\xfe"],
    ids=lambda raw: repr(raw[:9]),
)
def test_a_file_that_is_no_submission_is_refused(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "submission.json.gz"
    path.write_bytes(raw)
    with pytest.raises(DataError, match="submission"):
        score_submission("arc-agi-1", path, {})


def test_a_packed_submission_that_is_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "submission.json.gz"
    path.write_bytes(gzip.compress(b" " * 10_000_000) * 400)
    with pytest.raises(DataError, match=r"cannot be read as JSON \(unpacks to more than 33,554,432 bytes\)"):
        score_submission("arc-agi-2", path, {})


def test_a_submission_names_its_tasks_where_they_share_a_cluster() -> None:
    of = puzzles(("s", A), ("t", B))
    predictions = voted([(A, 1.0)], [(B, 1.0)])
    merged = replace(of, clusters=np.array(["s", "s"]))
    assert export(INFO, merged, predictions) == export(INFO, of, predictions)


@pytest.mark.slow
def test_a_truncated_gzip_file_gets_no_score(tmp_path: Path, truth: dict[str, Any]) -> None:
    whole = gzip.compress(json.dumps(truth).encode())
    path = tmp_path / "submission.json.gz"
    path.write_bytes(whole)
    assert score_submission("arc-agi-2", path, {}).scores["pass@2"] == 1
    path.write_bytes(whole[:-20])
    with pytest.raises(DataError, match="cannot be read as JSON"):
        score_submission("arc-agi-2", path, {})


def test_the_real_submission_scores_what_its_run_reported(data_dir: Path, run_cli: RunCli) -> None:
    path = data_dir / "crosscheck" / "trm_arc1_submission.json.gz"
    ended = run_cli("score", path, "--task", "arc-agi-1", "--json")
    content = json.loads(ended.out)
    reported = json.loads((data_dir / "crosscheck" / "trm_reproduction_scores.json").read_text())["arc1_att"]
    assert content["scores"]["pass@1"] == reported["ARC/pass@1"] == 0.34375
    assert content["scores"]["pass@2"] == reported["ARC/pass@2"] == 0.385
    assert content["scores"]["pass@2 over outputs"] == pytest.approx(163 / 419)


@pytest.mark.slow
def test_the_score_verb_prints_text_and_refuses_other_tasks(
    tmp_path: Path, truth: dict[str, Any], run_cli: RunCli
) -> None:
    path = written(tmp_path, truth)
    printed = run_cli("score", path, "--task", "arc-agi-2").out
    assert "arc-agi-2 at f3283f7: 120 evaluation tasks" in printed
    assert "pass@2 of whole tasks  100.000 %" in printed
    refused = run_cli("score", path, "--task", "maze-hard")
    assert (refused.code, refused.err) == (
        2,
        "error: task 'maze-hard' scores no files; arc-agi-1, arc-agi-2 do\n",
    )
    odd = run_cli("score", path, "--task", "arc-agi-2", "--set", "votes=3")
    assert (odd.code, odd.err) == (2, "error: --set votes: a submission is scored by revision alone\n")
    assert run_cli("score", path, "--task", "arc-agi-2", "--set", "revision=x").code == 2
    assert run_cli("score", tmp_path / "nowhere.json", "--task", "arc-agi-2").code == 4

"""Evaluators that are asked for afterwards: computed from the stored predictions, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.stored import in_this_process
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.request import read_requests
from trm_bench.harness.running.rescore import NotScored, require_scored, scores_of
from trm_bench.harness.store.folders import Output, RunFolder
from trm_bench.harness.store.records import Record
from trm_bench.testing.pytest_plugin import Ended, RunCli

from trm_bench import EvaluatorSpec

PLUGIN = """
from trm_bench import EvaluatorSpec, Sample, hookimpl


def evaluate(info, puzzles, predictions):
    {before}
    right = (predictions.tokens == puzzles.targets).mean(axis=1)
    names = zip(puzzles.ids.tolist(), puzzles.clusters.tolist(), right.tolist())
    return [Sample(item, cluster, {score}, {{"wrong": 1 - share}}) for item, cluster, share in names]


@hookimpl
def trm_bench_register_evaluators():
    return [EvaluatorSpec("share-right", "share of right cells", evaluate)]
"""


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    host.cache_clear()
    with in_this_process():
        yield
    host.cache_clear()


def plugin(folder: Path, score: str = "share", before: str = "pass") -> Path:
    file = folder / "later.py"
    file.write_text(PLUGIN.format(score=score, before=before))
    host.cache_clear()
    return file


def run(run_cli: RunCli, output: Path, *more: object, plug: Path | None = None) -> Ended:
    first = () if plug is None else ("--plugin", plug)
    words = ("run", "--models", "copy", "--task", "maze-hard", "--seeds", "0-1", "--limit", 12)
    return run_cli(*first, *words, "--output", output, *more)


def only_run(output: Path) -> RunFolder:
    return Output(output).runs()[0]


def test_an_evaluator_is_added_to_finished_runs_without_running_them_again(
    tmp_path: Path, run_cli: RunCli
) -> None:
    output = tmp_path / "out"
    assert run(run_cli, output).code == 0
    before, finished = only_run(output).records(), only_run(output).manifest().finished
    ended = run(run_cli, output, "--evaluators", "share-right", plug=plugin(tmp_path))
    assert ended.code == 0, ended.err
    assert "share-right %" in ended.out
    assert "2 finished runs scored from stored predictions" in ended.err
    manifest, after = only_run(output).manifest(), only_run(output).records()
    assert manifest.finished == finished
    assert manifest.evaluators[-1] == "share-right"
    assert any("later.py:share-right" in reason for reason in manifest.not_citable_because)
    for old, new in zip(before, after, strict=True):
        assert new["scores"].pop("share-right") == new["scores"]["cells"]
        assert new["extras"].pop("share-right.wrong") == 1 - new["scores"]["cells"]
        assert new == old


def test_an_edited_evaluator_scores_again_and_nothing_else_does(tmp_path: Path, run_cli: RunCli) -> None:
    output, words = tmp_path / "out", ("--evaluators", "share-right")
    run(run_cli, output, *words, plug=plugin(tmp_path))
    assert "scored from stored" not in run(run_cli, output, *words, plug=plugin(tmp_path)).err
    ended = run(run_cli, output, *words, plug=plugin(tmp_path, score="0.25"))
    assert "2 finished runs scored from stored predictions" in ended.err
    assert {record["scores"]["share-right"] for record in only_run(output).records()} == {0.25}
    assert run(run_cli, output).code == 0
    assert "share-right" in only_run(output).manifest().evaluators


@pytest.mark.parametrize(
    ("before", "why", "advice"),
    [
        (
            "predictions.every_vote()",
            "this needs every vote, and the run was not voted on",
            "--force repeats the run",
        ),
        ("raise RuntimeError('no luck')", "no luck", "correct the evaluator and repeat the command"),
        ("raise SystemExit(3)", "SystemExit: 3", "correct the evaluator and repeat the command"),
        ("raise GeneratorExit", "GeneratorExit", "correct the evaluator and repeat the command"),
    ],
)
def test_what_stored_predictions_do_not_allow_is_refused_by_name(
    before: str, why: str, advice: str, tmp_path: Path, run_cli: RunCli
) -> None:
    output = tmp_path / "out"
    run(run_cli, output)
    kept = only_run(output).manifest()
    ended = run(run_cli, output, "--evaluators", "share-right", plug=plugin(tmp_path, before=before))
    assert ended.code == 1
    assert "cannot be scored by share-right from its stored predictions" in ended.err
    assert why in ended.err
    assert advice in ended.err
    assert ("--force" in ended.err) == ("--force" in advice)
    assert only_run(output).manifest() == kept
    assert [request.evaluators for request in read_requests(output)] == [()]


def test_a_further_evaluator_that_fails_throws_no_training_away(tmp_path: Path, run_cli: RunCli) -> None:
    output, words = tmp_path / "out", ("--evaluators", "share-right")
    ended = run(run_cli, output, *words, plug=plugin(tmp_path, before="raise RuntimeError('no luck')"))
    assert ended.code == 1
    finished = only_run(output).manifest()
    assert (finished.status, finished.error) == ("done", None)
    assert "share-right" not in finished.evaluators
    assert all("share-right" not in record["scores"] for record in only_run(output).records())
    ended = run(run_cli, output, *words, plug=plugin(tmp_path))
    assert ended.code == 0, ended.err
    assert "2 finished runs scored from stored predictions" in ended.err
    assert only_run(output).manifest().finished == finished.finished


def test_the_evaluators_that_failed_are_named_and_the_others_count() -> None:
    exact, good, bad = (EvaluatorSpec(name, "", lambda *_: []) for name in ("exact", "good", "bad"))

    def scored(some: Sequence[EvaluatorSpec]) -> list[Record]:
        if bad in some:
            raise RuntimeError("no luck")
        return [Record(item="0", cluster="0", scores={one.name: 1.0 for one in some}, extras={})]

    (record,), failed = scores_of([exact, bad, good], 1, scored)
    assert set(record.scores) == {"exact", "good"}
    with pytest.raises(NotScored, match="evaluator bad failed: RuntimeError: no luck; the run is finished"):
        require_scored(failed)
    with pytest.raises(RuntimeError):  # the task's own
        scores_of([bad, good], 1, scored)


def test_damaged_predictions_are_named(tmp_path: Path, run_cli: RunCli) -> None:
    output = tmp_path / "out"
    run(run_cli, output)
    path = only_run(output).folder / "predictions.npz"
    path.write_bytes(path.read_bytes()[:-9])
    ended = run(run_cli, output, "--evaluators", "share-right", plug=plugin(tmp_path))
    assert ended.code == 1
    assert f"{path}: truncated or changed since it was written" in ended.err

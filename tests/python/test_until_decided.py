"""`run --until-decided` from the command to the table: planned looks, what they find, and what is refused.

Training is replaced by scores that a test chooses, but for one test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.folders import only_table, pair_of, predictions_of, quick, report_of
from support.stored import command, in_this_process, manifests
from trm_bench.harness.planning.looks import LOOKS, read_looks, write_looks
from trm_bench.harness.planning.request import read_requests
from trm_bench.harness.python.api import prepare_run
from trm_bench.harness.running.run import first_manifest
from trm_bench.harness.stats.looks import Plan
from trm_bench.harness.stats.tests import Verdict
from trm_bench.harness.store.checked import read_stamped, stamped
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Record, Status
from trm_bench.harness.store.requests import read_requested

import trm_bench
from trm_bench import UsageError

__all__ = ["quick"]

A, B, C, D = (f"mirror[hidden={width}]" for width in (3, 4, 5, 6))
ITEMS = 40
Shares = Mapping[str, Callable[[int], float]]


def better(seed: int) -> float:
    return 0.9 - 0.01 * (seed % 3)


def worse(seed: int) -> float:
    return 0.3 + 0.01 * (seed % 3)


def scattered(seed: int) -> float:
    return 0.3 + 0.1 * (seed % 4)


class Trainer:
    """Takes the place of training: each run solves a share of the puzzles, by model and seed."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.shares: Shares = {A: better, B: worse, C: scattered, D: scattered}
        self.stop_at: int | None = None
        self.fails = ""
        self.made: list[tuple[str, int]] = []
        patch.setattr("trm_bench.harness.running.runner.run_jobs", self)

    def __call__(self, jobs: Sequence[Any], *rest: Any) -> dict[str, Status]:
        statuses = {}
        for job in jobs:
            model, seed = job.run.description.model, job.run.identity.seed
            if seed == self.stop_at:
                raise KeyboardInterrupt
            if model == self.fails:
                statuses[job.run.name] = Status.FAILED
                continue
            solved = np.random.default_rng(99).permutation(ITEMS) < ITEMS * self.shares[model](seed)
            names = [part.name for part in job.run.scored_by]
            records = [
                Record(item=f"p{row}", cluster=f"p{row}", scores=dict.fromkeys(names, float(right)))
                for row, right in enumerate(solved)
            ]
            folder = RunFolder(job.folder / job.run.name)
            folder.folder.mkdir(parents=True, exist_ok=True)
            folder.finish(first_manifest(job, job.run), records, predictions_of(ITEMS))
            self.made.append((model, seed))
            statuses[job.run.name] = Status.DONE
        return statuses


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    return Trainer(monkeypatch)


def run(folder: Path, *models: str, **more: Any) -> trm_bench.Results:
    options: dict[str, Any] = {"until_decided": True, "output": folder, **more}
    return trm_bench.run(list(models), "tiny", **options)


def seeds_of(folder: Path) -> list[int]:
    return sorted({run.seed for run in read_requested(folder)})


# --- what is run ---------------------------------------------------------------------------------


def test_a_large_difference_is_decided_at_the_first_look(tmp_path: Path, trainer: Trainer) -> None:
    results = run(tmp_path, A, B)
    assert results.failed == {}
    assert seeds_of(tmp_path) == [0, 1, 2, 3, 4]
    looks = read_looks(tmp_path)
    assert looks is not None
    (look,) = looks.made
    (test,) = look.tests
    assert (look.seeds, test.a, test.b, test.decided) == (5, A, B, True)
    assert test.level == pytest.approx(Plan().level(0))
    pair = pair_of(report_of(tmp_path), A, B)
    assert pair.verdict is Verdict.A_BETTER
    assert pair.family is not None
    assert pair.family.low > 0
    assert pair.family.p < 0.05
    assert not any(run.status != "done" for row in only_table(report_of(tmp_path)).rows for run in row.seeds)


def test_equal_models_go_on_to_the_last_look(tmp_path: Path, trainer: Trainer) -> None:
    run(tmp_path, C, D)
    looks = read_looks(tmp_path)
    assert looks is not None
    assert [look.seeds for look in looks.made] == [5, 8, 10]
    assert seeds_of(tmp_path) == list(range(10))
    assert len(read_requests(tmp_path)) == 1
    assert len(trainer.made) == len(set(trainer.made)) == 20
    table = only_table(report_of(tmp_path))
    assert table.pairs[0].verdict is Verdict.UNDECIDED
    assert any("stopped at 10" in note and "undecided at 10" in note for note in table.notes)


def test_what_is_decided_early_keeps_its_look_while_others_go_on(tmp_path: Path, trainer: Trainer) -> None:
    trainer.shares = {A: better, B: worse, C: worse}
    run(tmp_path, A, B, C)
    report = report_of(tmp_path)
    early, late = pair_of(report, A, B), pair_of(report, B, C)
    assert (early.verdict, early.first.seeds) == (Verdict.A_BETTER, 5)
    assert (late.verdict, late.first.seeds) == (Verdict.UNDECIDED, 10)
    assert [row.summary.seeds for row in only_table(report).rows if row.summary] == [10] * 3
    assert [pair.family.tests for pair in only_table(report).pairs if pair.family] == [3] * 3
    for pair in only_table(report).pairs:
        assert pair.family is not None
        excluded = pair.family.low > 0 or pair.family.high < 0
        assert excluded is pair.verdict.is_decided


def test_an_interrupted_look_is_not_made_and_the_same_command_continues(
    tmp_path: Path, trainer: Trainer
) -> None:
    trainer.stop_at = 6
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, C, D)
    before = read_looks(tmp_path)
    assert before is not None
    assert [look.seeds for look in before.made] == [5]
    pair = pair_of(report_of(tmp_path), C, D)
    assert (pair.verdict, pair.first.seeds) == (Verdict.UNDECIDED, 5)
    trainer.stop_at = None
    trm_bench.resume(tmp_path)
    after = read_looks(tmp_path)
    assert after is not None
    assert after.made[0] == before.made[0]
    assert [look.seeds for look in after.made] == [5, 8, 10]
    assert len(trainer.made) == len(set(trainer.made))
    made = len(trainer.made)
    run(tmp_path, C, D)  # it is over
    assert len(trainer.made) == made
    assert read_looks(tmp_path) == after


def test_a_run_that_fails_keeps_a_look_from_being_made(
    tmp_path: Path, trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer.fails = B
    run(tmp_path, A, B, progress=True)
    told = capsys.readouterr().err
    assert "the look at 5 seeds waits for 5 runs" in told
    assert "5 runs failed: if they fail again, no look can be made" in told
    run(tmp_path, A, B, progress=True)
    again = capsys.readouterr().err
    assert "5 of 10 runs are finished and reused\n" in again  # no word of --force, which is refused here


def test_a_baseline_and_a_model_without_training_go_together_with_it(
    tmp_path: Path, trainer: Trainer
) -> None:
    trainer.shares = {**trainer.shares, "copy": lambda seed: 0.0}
    run(tmp_path, A, B, C, D, "copy", baseline=B)
    looks = read_looks(tmp_path)
    assert looks is not None
    assert looks.tests == [(A, B), (C, B), (D, B)]


def test_the_command_tells_each_look_and_how_to_do_it_again(tmp_path: Path, trainer: Trainer) -> None:
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trm_bench.harness.running.runner.Execution.tell", lambda self, line: told.append(line))
        results = run(tmp_path, C, D, seeds="3-12")
    lines = [line for line in told if line.startswith("look ")]
    assert [re.match(r"look \d of 3, (\d+) seeds", line)[1] for line in lines] == ["5", "8", "10"]  # type: ignore[index]
    assert "undecided (p = " in lines[0]
    assert seeds_of(tmp_path) == list(range(3, 13))
    assert "--seeds 3-12 --device cpu --until-decided" in results.report()


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "more", "message"),
    [
        ((A, B, C, D), {}, "6 tests, every pair of 4 models.*--baseline"),
        ((A,), {}, "nothing to decide"),
        ((A, "copy"), {}, "nothing to decide"),
        ((A, B), {"seeds": "0-4"}, "--seeds with 5 seeds.*name 10"),
        ((A, B), {"seeds": "0-14"}, "--seeds with 15 seeds.*name 10"),
        ((A, B), {"force": True}, "--force cannot be combined"),
        ((), {"study": "where-the-gain-is"}, "cannot be combined with --study"),
    ],
)
def test_what_cannot_be_decided_honestly_is_refused(
    tmp_path: Path, models: Sequence[str], more: dict[str, Any], message: str
) -> None:
    task = None if "study" in more else "tiny"
    with pytest.raises(UsageError, match=message):
        trm_bench.run(list(models), task, until_decided=True, output=tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_the_command_line_refuses_it_too(tmp_path: Path) -> None:
    words = ("run", "--task", "tiny", "--models", f"{A},{B}", "--until-decided", "--output", tmp_path / "out")
    for more, message in ((("--seeds", "0-4"), "name 10"), (("--plan-only",), "leave --plan-only out")):
        ended = command(*words, *more)
        assert (ended.code, message in ended.err) == (2, True), ended.err
    assert not (tmp_path / "out").exists()


def test_a_plan_of_runs_cannot_be_written_ahead(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--plan-only"):
        trm_bench.plan([A, B], "tiny", until_decided=True, output=tmp_path)


def test_another_plan_for_the_same_folder_is_refused(tmp_path: Path, trainer: Trainer) -> None:
    run(tmp_path, A, B)
    for models, more in (((A, C), {}), ((A, B), {"seeds": "1-10"}), ((A, B), {"baseline": B})):
        with pytest.raises(UsageError, match="a plan of looks is kept to its end"):
            run(tmp_path, *models, **more)


def test_results_that_were_looked_at_before_are_refused(tmp_path: Path, trainer: Trainer) -> None:
    run(tmp_path / "six", A, B, until_decided=False, seeds="0-5")
    with pytest.raises(UsageError, match="already looked at: it has 2 finished runs"):
        run(tmp_path / "six", A, B)
    run(tmp_path / "two", A, B, until_decided=False, seeds="0-1")
    run(tmp_path / "two", A, B)
    looks = read_looks(tmp_path / "two")
    assert looks is not None
    assert len(looks.reused) == 4
    notes = only_table(report_of(tmp_path / "two")).notes
    assert any("4 runs had been finished before they were planned" in note for note in notes)
    run(tmp_path / "one", A, B, until_decided=False, seeds="0")
    with pytest.raises(UsageError, match="another --baseline"):
        run(tmp_path / "one", A, B, baseline=B)


# --- what the report believes --------------------------------------------------------------------


def not_citable(folder: Path) -> str:
    (note,) = [note for note in only_table(report_of(folder)).notes if note.startswith("NOT CITABLE")]
    return note


def test_a_look_that_was_changed_is_not_believed(tmp_path: Path, trainer: Trainer) -> None:
    run(tmp_path, A, B)
    looks = read_looks(tmp_path)
    assert looks is not None
    (look,) = looks.made
    test = look.tests[0].model_copy(update={"p": 1e-9})
    write_looks(tmp_path, looks.model_copy(update={"made": (look.model_copy(update={"tests": (test,)}),)}))
    assert "the look at 5 seeds in looks.json is not what its runs give" in not_citable(tmp_path)
    assert pair_of(report_of(tmp_path), A, B).verdict is Verdict.UNTESTED
    problems: list[str] = []
    (pair,) = trm_bench.compare(A, B, tmp_path, problems=problems)
    assert pair.verdict is Verdict.UNTESTED
    assert any("NOT CITABLE" in problem and "looks.json" in problem for problem in problems)
    assert any("is not what its runs give" in problem for problem in trm_bench.verify(tmp_path).problems)


@pytest.mark.parametrize("damage", ["edited", "cut", "gone", "other looks"])
def test_a_damaged_record_of_looks_is_not_believed(tmp_path: Path, trainer: Trainer, damage: str) -> None:
    run(tmp_path, A, B)
    file = tmp_path / LOOKS
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif damage == "edited":
        file.write_text(file.read_text().replace('"decided": true', '"decided": false'))
    else:
        file.write_bytes(stamped({**read_stamped(file), "looks": [5]}))
    assert LOOKS in not_citable(tmp_path)
    assert pair_of(report_of(tmp_path), A, B).verdict is Verdict.UNTESTED
    found = trm_bench.load_results(tmp_path).runs
    assert not found["citable"].any()
    assert found["reason"].str.contains(LOOKS).all()


def test_compare_says_what_the_table_says(tmp_path: Path, trainer: Trainer) -> None:
    trainer.shares = {A: better, B: worse, C: worse}
    run(tmp_path, A, B, C)
    for a, b in ((A, B), (B, C)):
        (pair,) = trm_bench.compare(a, b, tmp_path)
        assert pair == pair_of(report_of(tmp_path), a, b)
    (turned,) = trm_bench.compare(B, A, tmp_path)
    assert turned.verdict is Verdict.B_BETTER
    assert any(
        line.startswith("Looks planned at 5, 8 and 10 seeds; decided at 5")
        for line in trm_bench.sentences(turned)
    )


def test_with_runs_that_no_look_planned_nothing_is_tested(tmp_path: Path, trainer: Trainer) -> None:
    run(tmp_path / "looks", A, B)
    run(tmp_path / "plain", C, until_decided=False)
    merged = report_of(tmp_path / "looks", tmp_path / "plain")
    assert {pair.verdict for pair in only_table(merged).pairs} == {Verdict.UNTESTED}
    assert any(note.startswith("exploratory") for note in only_table(merged).notes)
    run(tmp_path / "other", A, B, until_decided=False, seeds="20-24")
    for pair in trm_bench.compare(tmp_path / "looks", tmp_path / "other"):
        assert pair.verdict is Verdict.UNTESTED
    run(tmp_path / "looks", A, B, until_decided=False, seeds="11-12")
    pair = pair_of(report_of(tmp_path / "looks"), A, B)
    assert (pair.verdict, pair.difference.p) == (Verdict.UNTESTED, None)


@pytest.mark.slow
def test_real_runs_are_those_of_a_plain_command(tmp_path: Path) -> None:
    models, short = ["mirror", "mirror[hidden=8]"], {"steps": 4, "batch_size": 8, "limit": 12}
    with in_this_process():
        run(tmp_path / "looks", *models, **short)
        run(tmp_path / "plain", *models, until_decided=False, seeds="0-4", **short)
    made, plain = (
        {one.run: one.samples_sha256 for one in manifests(tmp_path / name)} for name in ("looks", "plain")
    )
    assert plain.items() <= made.items()
    with in_this_process():
        again = trm_bench.evaluate(tmp_path / "looks", steps=1, output=tmp_path / "again", limit=12)
    (pair,) = only_table(report_of(*again.folders)).pairs
    assert (pair.verdict, pair.note.partition(",")[0]) == (Verdict.UNTESTED, "exploratory")


def test_a_seed_that_no_look_has_asked_for_is_not_trained(tmp_path: Path, trainer: Trainer) -> None:
    """It would be a run beyond the look, and the plan would be worth nothing."""
    run(tmp_path, A, B)
    planned = {one.run for one in read_requested(tmp_path)}
    later = prepare_run([A, B], "tiny", seeds="5", output=tmp_path / "elsewhere").grid
    assert later is not None
    name = next(one.name for one in later.runs)
    assert name not in planned
    with pytest.raises(UsageError, match=f"{re.escape(name)}: not among the runs of"):
        trm_bench.run_one(tmp_path, name)

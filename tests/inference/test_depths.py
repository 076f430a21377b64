"""Predictions at several depths, or stopped by the model's own rule, from one pass."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stored import (
    TINY,
    asked,
    evaluate,
    evaluated,
    foreign,
    made,
    manifests,
    predictions,
    run,
    runs,
    said,
    same_results,
    write,
    written,
)
from support.training import CPU, puzzles
from torch import Tensor
from trm_bench.harness.api.augment import NoAugmentation
from trm_bench.harness.api.embedding_rows import PuzzleIds
from trm_bench.harness.api.errors import TrmBenchError, UsageError
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo
from trm_bench.harness.api.reasoner import Halting, Output, Reasoner, State
from trm_bench.harness.inference.inference import (
    Depths,
    InferenceConfig,
    Read,
    Views,
    infer,
    milliseconds_per_puzzle,
    predict,
)
from trm_bench.harness.inference.scoring import score
from trm_bench.harness.planning.evaluation_mode import EvaluationMode
from trm_bench.harness.store.folders import RunFolder
from trm_bench.harness.store.records import Status

pytestmark = pytest.mark.usefixtures("one_thread")

NEVER = 1_000_000
VOCAB = 5


class Clockwork(Reasoner):
    """Each puzzle has its own sequence of predictions, and its own step at which it wants to stop.

    Both depend on everything that is carried over, so a row that is mixed up with another one shows.
    """

    halting = Halting.HALT_LOGIT

    def __init__(self, steps: int, stops: Sequence[int]):
        super().__init__()
        self.supervision_steps = steps
        self.stops = torch.tensor(stops)
        self.rows = 0

    def initial_state(self, batch: int) -> State:
        return torch.zeros(batch, dtype=torch.int64), torch.zeros(batch, 6, dtype=torch.int64)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        self.rows += len(inputs)
        step, mixed = state[0] + 1, (state[1] * 3 + inputs + puzzle_ids[:, None]) % VOCAB
        logits = torch.nn.functional.one_hot(mixed, VOCAB).float()
        q_halt = torch.where(step >= self.stops[puzzle_ids], 1.0, -1.0) * step
        return (step, mixed), Output(logits, q_halt)


def numbered(count: int) -> PuzzleSet:
    """Puzzles of which each knows its own number."""
    return replace(puzzles(count), identifiers=np.arange(count, dtype=np.int32))


@st.composite
def passes(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """When each puzzle stops, the depths to be read, and the batch size."""
    stops = draw(st.lists(st.one_of(st.integers(1, 9), st.just(NEVER)), min_size=1, max_size=9))
    depths = draw(st.sets(st.integers(1, 8), min_size=1, max_size=4))
    return stops, sorted(depths), draw(st.integers(1, 10))


def read(stops: Sequence[int], depths: Sequence[int], batch: int, halting: bool) -> list[Read]:
    model, config = Clockwork(depths[-1], stops), InferenceConfig(CPU, batch_size=batch)
    return infer(model, numbered(len(stops)), config, Depths(tuple(depths), halting))


def trace(stops: Sequence[int], depth: int) -> list[np.ndarray]:
    """The predictions of a model with each number of supervision steps up to a depth, by itself."""
    test = numbered(len(stops))
    return [predict(Clockwork(d, stops), test, InferenceConfig(CPU)).tokens for d in range(1, depth + 1)]


few = settings(max_examples=60, deadline=None)  # the machine may be busy


@few
@given(passes())
def test_every_depth_of_a_pass_is_what_a_model_of_that_many_steps_predicts(
    drawn: tuple[list[int], list[int], int],
) -> None:
    stops, depths, _ = drawn
    alone = trace(stops, depths[-1])
    for depth, one in zip(depths, read(*drawn, halting=False), strict=True):
        assert np.array_equal(one.predictions.tokens, alone[depth - 1])
        assert one.predictions.steps == one.steps == depth
        assert one.predictions.steps_taken.tolist() == [depth] * len(stops)
        assert one.predictions.halt_steps.tolist() == [min(stop, depth) for stop in stops]
        assert not one.predictions.halted


@few
@given(passes())
def test_a_halted_puzzle_keeps_the_prediction_of_its_first_halting_step(
    drawn: tuple[list[int], list[int], int],
) -> None:
    stops, depths, _ = drawn
    alone = trace(stops, depths[-1])
    for depth, one in zip(depths, read(*drawn, halting=True), strict=True):
        taken = [min(stop, depth) for stop in stops]
        assert one.predictions.steps_taken.tolist() == taken
        assert one.steps == pytest.approx(np.mean(taken))
        for item, step in enumerate(taken):
            assert np.array_equal(one.predictions.tokens[item], alone[step - 1][item])
        sure = np.array([step if stop <= depth else -step for stop, step in zip(stops, taken, strict=True)])
        assert one.predictions.halt_probability == pytest.approx(1 / (1 + np.exp(-sure)))
        assert one.predictions.halted
        assert one.predictions.steps == depth


@few
@given(passes())
def test_a_halted_puzzle_leaves_the_batch(drawn: tuple[list[int], list[int], int]) -> None:
    stops, depths, batch = drawn
    for halting in (False, True):
        model, test = Clockwork(depths[-1], stops), numbered(len(stops))
        infer(model, test, InferenceConfig(CPU, batch_size=batch), Depths(tuple(depths), halting))
        assert model.rows == sum(min(stop, depths[-1]) if halting else depths[-1] for stop in stops)


def test_a_puzzle_that_never_halts_has_every_step() -> None:
    (one,) = read([NEVER, 2], [7], 2, halting=True)
    assert one.predictions.steps_taken.tolist() == [7, 2]
    assert one.steps == 4.5


@pytest.mark.parametrize("halting", [False, True])
def test_the_order_of_the_puzzles_and_the_mode_of_the_model_are_kept(halting: bool) -> None:
    stops = [3, 1, NEVER, 2, 1]
    model, test = Clockwork(4, stops).train(), numbered(5)
    config = InferenceConfig(CPU, batch_size=5)
    (forth,) = infer(model, test, config, Depths((4,), halting))
    (back,) = infer(model, test.take(np.arange(5)[::-1]), config, Depths((4,), halting))
    assert np.array_equal(forth.predictions.tokens, back.predictions.tokens[::-1])
    assert forth.predictions.halt_steps.tolist() == [3, 1, 4, 2, 1]
    assert back.predictions.halt_steps.tolist() == [1, 2, 4, 1, 3]
    assert model.training


@pytest.mark.parametrize("halting", [False, True])
@pytest.mark.parametrize("batch", [1, 4, 100])
def test_votes_are_read_at_every_depth_and_do_not_change_the_puzzle_itself(halting: bool, batch: int) -> None:
    stops, depths = [3, 1, NEVER, 2, 5], (1, 2, 4)
    test, config = numbered(5), InferenceConfig(CPU, batch_size=batch)
    views = Views(NoAugmentation(), 0, np.array([1, 3, 2, 1, 2]), lambda items, ks: (items + ks) % 5)
    plain = infer(Clockwork(4, stops), test, config, Depths(depths, halting))
    voted = infer(Clockwork(4, stops), test, config, Depths(depths, halting), views)
    for one, other in zip(plain, voted, strict=True):
        assert np.array_equal(one.predictions.tokens, other.predictions.tokens)
        assert np.array_equal(one.predictions.halt_steps, other.predictions.halt_steps)
        assert other.predictions.ballots is not None
        assert other.predictions.ballots.votes.tolist() == [1, 3, 2, 1, 2]


def test_the_time_of_a_depth_is_that_of_every_batch_until_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr("trm_bench.harness.inference.inference.time", clock)
    found = read([1, 9, 1, 9, 1], [1, 2, 4], 2, halting=True)
    assert [one.seconds for one in found] == [3, 6, 9]


class Timed(Clockwork):
    """A step takes a second by the clock of inference, and the first ten, as if something were compiled."""

    def __init__(self, stops: Sequence[int], monkeypatch: pytest.MonkeyPatch):
        super().__init__(9, stops)
        self.calls = 0
        clock = SimpleNamespace(perf_counter=lambda: self.calls + 9 * (self.calls > 0))
        monkeypatch.setattr("trm_bench.harness.inference.inference.time", clock)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        self.calls += 1
        return super().forward(state, inputs, puzzle_ids)


def test_the_time_of_an_evaluation_has_none_of_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(compiled: bool) -> float:
        config = InferenceConfig(CPU, batch_size=2, compiled=compiled)
        (found,) = infer(Timed([1] * 4, monkeypatch), numbered(4), config, Depths((3,)))
        return found.seconds

    assert (seconds(compiled=True), seconds(compiled=False)) == (6, 15)


def test_milliseconds_with_halting_are_the_mean_of_puzzles_that_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trm_bench.harness.inference.inference.LATENCY_SECONDS", 1000.0)
    stops = [1, 5, 9] * 7
    for halting, expected in ((True, 1000 * np.mean(stops[:20])), (False, 9000)):
        model = Timed(stops, monkeypatch)
        depths = Depths((9,), halting)
        found = milliseconds_per_puzzle(model, numbered(len(stops)), InferenceConfig(CPU), depths)
        assert found == pytest.approx(expected)


def test_progress_is_reported_after_every_batch() -> None:
    seen: list[float] = []
    config = InferenceConfig(CPU, batch_size=2)
    infer(Clockwork(2, [1] * 5), numbered(5), config, Depths((1, 2), True), progress=seen.append)
    assert seen == [0.4, 0.8, 1.0]


REAL: list[tuple[str, dict[str, Any]]] = [
    ("trm-att", {}),
    ("trm-mlp", {"networks": 2, "latents": 3}),
    ("hrm", {}),
    ("transformer-looped", {"halting": "sigmoid"}),
]
TWELVE = TaskInfo("mirror", "mini", 2, 3, 5, identifiers=12)


@pytest.mark.parametrize("kind", REAL, ids=said)
@pytest.mark.parametrize("batch", [1, 5, 12])
def test_real_models_predict_the_same_in_one_pass_as_alone(
    kind: tuple[str, dict[str, Any]], batch: int
) -> None:
    (name, options), test = kind, numbered(12)
    depths, config = (1, 2, 5), InferenceConfig(CPU, batch_size=batch)
    models = [made(name, TWELVE, **{**options, "supervision": depth}) for depth in range(1, 6)]
    alone = [predict(model, test, InferenceConfig(CPU)).tokens for model in models]
    together = infer(models[0], test, config, Depths(depths))
    for depth, one in zip(depths, together, strict=True):
        assert np.array_equal(one.predictions.tokens, alone[depth - 1])
    (halted,) = infer(models[0], test, config, Depths((5,), halting=True))
    taken = halted.predictions.steps_taken
    assert taken.tolist() == together[-1].predictions.halt_steps.tolist()
    assert {1, 5} <= set(taken.tolist())
    expected = [alone[step - 1][item] for item, step in enumerate(taken)]
    assert np.array_equal(halted.predictions.tokens, expected)


# --- evaluation modes as text ---------------------------------------------------------------------


MODES = st.builds(
    EvaluationMode,
    st.none() | st.integers(1, 128),
    st.booleans(),
    st.none() | st.integers(1, 1000),
    st.none() | st.sampled_from(PuzzleIds),
)


@given(MODES)
def test_a_mode_is_read_back_as_it_is_written(mode: EvaluationMode) -> None:
    assert EvaluationMode.parse(mode.label) == mode


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("depth=3", "depth"),
        ("steps=0", "steps: '0' is not a number of supervision steps from 1 to 100000"),
        ("steps=many", "steps: 'many' is not a number of supervision steps from 1 to 100000"),
        ("halting=maybe", "halting=maybe: write true or false"),
        ("puzzle_ids=gone", "puzzle_ids=gone: choose one of own, blank or shuffled"),
        ("steps=1,steps=2", "steps is given twice"),
    ],
)
def test_a_mode_that_cannot_be_read_says_why(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        EvaluationMode.parse(text)


# --- from the command line -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def halting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """External weights, of a model that halts at different steps."""
    return write(tmp_path_factory.mktemp("halting") / "weights.pt", "trm-mlp", made("trm-mlp", TINY))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of ours."""
    return runs(run(tmp_path_factory.mktemp("own") / "out", asked("trm-mlp")))[0]


@pytest.mark.slow
def test_every_depth_is_a_run_and_what_a_model_of_that_depth_predicts(halting: Path, tmp_path: Path) -> None:
    deep = evaluated(tmp_path / "out", halting, more=foreign("trm", "--steps", "8,1,2,3"))
    assert [one.manifest().ledger.inference_steps for one in deep] == [1, 2, 3, 8]
    assert [one.manifest().identity.steps for one in deep] == [1, 2, None, 8]
    for depth, one in zip((1, 2, 3, 8), deep, strict=True):
        model = f"trm[supervision={depth}]"
        (alone,) = evaluated(tmp_path / str(depth), halting, more=foreign(model))
        assert same_results(one, alone)
        assert {record["extras"]["steps"] for record in one.records()} == {depth}
    assert predictions(deep[0]) != predictions(deep[-1])


def test_the_cost_grows_with_the_depth(halting: Path, tmp_path: Path) -> None:
    deep = evaluated(tmp_path / "out", halting, more=foreign("trm", "--steps", "1,2,4,8"))
    ledgers = [one.manifest().ledger for one in deep]
    flops = [ledger.inference_flops_per_puzzle for ledger in ledgers]
    assert flops == pytest.approx([flops[0] * depth for depth in (1, 2, 4, 8)])
    assert [ledger.steps_taken for ledger in ledgers] == [1, 2, 4, 8]
    seconds = [ledger.evaluation_seconds for ledger in ledgers]
    assert seconds == sorted(seconds)


@pytest.mark.slow
def test_a_puzzle_that_halts_scores_as_at_the_depth_where_it_did(halting: Path, tmp_path: Path) -> None:
    depths = tuple(range(1, 7))
    words = ("--steps", ",".join(map(str, depths)), "--halt", "threshold", "--set", "evaluation_batch=5")
    found = evaluated(tmp_path / "out", halting, more=foreign("trm", *words))
    full, stopped = found[:6], found[6:]
    assert [one.manifest().identity.halting for one in found] == [False] * 6 + [True] * 6
    by_depth = [one.records() for one in full]
    first = [record["extras"]["halt_step"] for record in by_depth[-1]]
    assert len(set(first)) > 1
    for depth, one in zip(depths, stopped, strict=True):
        taken = [int(min(halt, depth)) for halt in first]
        records = one.records()
        assert [record["extras"]["steps"] for record in records] == taken
        expected = [by_depth[step - 1][item]["scores"] for item, step in enumerate(taken)]
        assert [record["scores"] for record in records] == expected
        ledger, whole = one.manifest().ledger, full[depth - 1].manifest().ledger
        assert ledger.steps_taken == pytest.approx(sum(taken) / len(taken))
        assert ledger.inference_flops_per_puzzle == pytest.approx(
            whole.inference_flops_per_puzzle * ledger.steps_taken / depth
        )
        assert ledger.inference_flops_per_puzzle <= whole.inference_flops_per_puzzle


def test_the_halted_row_is_printed_next_to_the_full_depth(halting: Path, tmp_path: Path) -> None:
    ended = evaluate(tmp_path / "out", halting, more=foreign("trm", "--halt", "threshold", "--json"))
    assert ended.code == 0, ended.err
    (table,) = json.loads(ended.out)["tables"]
    full, stopped = [row["label"] for row in table["rows"]]
    assert "@" not in full
    assert stopped == f"{full} @ halting=true"


@pytest.mark.parametrize("name", ["transformer", "trm-mlp"])
def test_a_model_without_a_halt_logit_cannot_halt_but_is_scored_in_full(tmp_path: Path, name: str) -> None:
    options = {"halting": "none"} if name == "trm-mlp" else {}
    own = run(tmp_path / "own", asked(name, **options))
    ended = evaluate(tmp_path / "out", own, more=("--halt", "threshold"))
    assert ended.code == 0, ended.err
    assert "@ halting=true: the model has no halting rule" in ended.err
    states = {one.identity.halting: one.status for one in manifests(tmp_path / "out")}
    assert states == {False: Status.DONE}


@pytest.mark.slow
def test_a_mode_that_one_model_cannot_have_is_no_reason_against_the_others(tmp_path: Path) -> None:
    first = run(tmp_path / "first", asked("transformer"))
    second = run(tmp_path / "second", asked("trm-mlp"))
    ended = evaluate(tmp_path / "out", first, second, more=("--halt", "threshold"))
    assert ended.code == 0, ended.err
    reasons = [reason for one in manifests(tmp_path / "out") for reason in one.not_citable_because]
    assert not any("not finished" in reason for reason in reasons)


@pytest.mark.parametrize("steps", ["0", "a", "-1", "1.5", "1,,2", "", "1 2", "100001", "1,x"])
def test_what_is_no_depth_is_refused(own: RunFolder, tmp_path: Path, steps: str) -> None:
    ended = evaluate(tmp_path / "out", own.folder, more=("--steps", steps))
    assert ended.code == 2
    assert "is not a number of supervision steps from 1 to 100000" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_depth_that_is_named_twice_is_one(own: RunFolder, tmp_path: Path) -> None:
    assert len(evaluated(tmp_path / "out", own.folder, more=("--steps", "2, 1,2 ,02"))) == 2


def test_a_pass_that_fails_halfway_keeps_the_depths_that_are_finished(
    own: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def failing(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise TrmBenchError("the disk is full")
        return score(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr("trm_bench.harness.running.worker.score", failing)
        ended = evaluate(tmp_path / "out", own.folder, more=("--steps", "1,2,4"))
    assert ended.code == 1
    assert [one.status for one in manifests(tmp_path / "out")] == [Status.DONE, Status.FAILED, Status.FAILED]
    stamp = written(runs(tmp_path / "out")[0])
    again = evaluated(tmp_path / "out", own.folder, more=("--steps", "1,2,4"))
    assert all(one.is_done() for one in again)
    assert written(again[0]) == stamp

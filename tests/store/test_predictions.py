"""`predictions.npz`: what is written is read back, of votes the best answers; the rest is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trm_bench.harness.api.errors import DataError
from trm_bench.harness.api.predictions import KEPT_ANSWERS, Predictions
from trm_bench.harness.api.puzzles import PAD, PuzzleSet, TaskInfo
from trm_bench.harness.api.voting import BallotBox
from trm_bench.harness.store.checked import DamagedResult
from trm_bench.harness.store.predictions import SHOWN, pack_predictions, shown_of, unpack_predictions
from trm_bench.plugins.arc.evaluate import EVALUATORS

INFO = TaskInfo("made", "mini", 3, 3, 12)
ITEMS, VOTES = 6, 40
FILE = Path("predictions.npz")


def puzzles() -> PuzzleSet:
    draw = np.random.default_rng(0)
    targets = draw.integers(1, 4, (ITEMS, 9)).astype(np.uint8)
    return PuzzleSet.single_identity(targets[:, ::-1].copy(), targets, [f"p{row}" for row in range(ITEMS)])


def voted(test: PuzzleSet) -> Predictions:
    """Votes on each item, some of them right; more different ones than are kept."""
    draw = np.random.default_rng(1)
    box = BallotBox(np.full(ITEMS, VOTES))
    items = np.repeat(np.arange(ITEMS), VOTES)
    answers = test.targets[items].copy()
    wrong = draw.random(len(items)) < np.repeat(np.linspace(0.2, 1, ITEMS), VOTES)
    answers[wrong, draw.integers(0, 9, wrong.sum())] = draw.integers(4, 12, wrong.sum())
    box.add(items, np.tile(np.arange(VOTES), ITEMS), answers, draw.random(len(items)))
    halts = draw.integers(1, 5, ITEMS)
    return Predictions(answers[::VOTES], 4, halts, draw.random(ITEMS), box.ballots(), True)


def read_back(predictions: Predictions, test: PuzzleSet) -> Predictions:
    return unpack_predictions(FILE, pack_predictions(predictions, INFO, ".", test))


def test_predictions_are_read_back_as_they_were_written() -> None:
    test = puzzles()
    written = voted(test)
    read = read_back(written, test)
    for name in ("tokens", "halt_steps", "halt_probability", "steps_taken"):
        assert np.array_equal(getattr(read, name), getattr(written, name)), name
    assert (read.steps, read.halted, read.tokens.dtype) == (4, True, np.uint8)
    assert np.array_equal(read.best(KEPT_ANSWERS), written.best(KEPT_ANSWERS))
    assert pack_predictions(written, INFO, ".", test) == pack_predictions(written, INFO, ".", test)


def test_the_first_items_are_kept_to_be_looked_at() -> None:
    test = puzzles()
    shown = shown_of(FILE, pack_predictions(voted(test), INFO, ".ab", test))
    assert shown.items == test.ids[:SHOWN].tolist()
    assert shown.targets == test.targets[:SHOWN].tolist()
    assert (shown.shape, shown.symbols) == ((3, 3), [".", "a", "b"])


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda evaluator: evaluator.name)
def test_a_kept_run_of_votes_scores_as_it_did_or_is_refused(evaluator) -> None:  # type: ignore[no-untyped-def]
    test = puzzles()
    written = voted(test)
    before = [sample.score for sample in evaluator.evaluate(INFO, test, written)]
    read = read_back(written, test)
    if evaluator.name in ("pass@100", "pass@1000"):
        with pytest.raises(DataError, match=r"a run keeps the 10 answers with most votes, not 100"):
            evaluator.evaluate(INFO, test, read)
        return
    assert [sample.score for sample in evaluator.evaluate(INFO, test, read)] == before


def test_an_item_of_few_answers_has_padding_for_the_rest() -> None:
    test = puzzles()
    box = BallotBox(np.ones(ITEMS, np.int64))
    box.add(np.arange(ITEMS), np.zeros(ITEMS, np.int64), test.targets, np.ones(ITEMS))
    best = Predictions(test.targets, 1, np.ones(ITEMS, np.int64), np.ones(ITEMS), box.ballots()).best(3)
    assert np.array_equal(best[:, 0], test.targets)
    assert (best[:, 1:] == PAD).all()


def test_predictions_without_votes_have_no_best_answers() -> None:
    test = puzzles()
    plain = Predictions(test.targets, 1, np.ones(ITEMS, np.int64), np.full(ITEMS, np.nan))
    for predictions in (plain, read_back(plain, test)):
        with pytest.raises(DataError, match="not voted on"):
            predictions.best(1)
        with pytest.raises(DataError, match="needs every vote"):
            predictions.every_vote()


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"no archive"])
def test_a_file_without_predictions_is_named(content: bytes) -> None:
    for read in (unpack_predictions, shown_of):
        with pytest.raises(DamagedResult, match=r"predictions\.npz"):
            read(FILE, content)

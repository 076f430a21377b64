"""What an evaluator of a plugin may give: a sample for each item, with numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from trm_bench.harness.api.errors import TrmBenchError
from trm_bench.harness.inference.scoring import score
from trm_bench.testing.tasks import answered

from trm_bench import EvaluatorSpec, PuzzleSet, Sample, TaskInfo

TOKENS = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)
PUZZLES = PuzzleSet.single_identity(TOKENS, TOKENS, ["a", "b"])


def scored(change: Callable[[list[Sample]], Any]) -> list[dict[str, float]]:
    """The extras of records whose samples were changed."""
    samples = [Sample(str(item), str(item), 1.0, {"cells": 3}) for item in PUZZLES.ids]
    spec = EvaluatorSpec("tried", "an evaluator", evaluate=lambda *given: change(samples))
    info = TaskInfo("tiny", "mini", height=1, width=3, vocab_size=7)
    records = score([spec], info, PUZZLES, answered(PUZZLES, TOKENS), {})
    return [{**record.scores, **record.extras} for record in records]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda samples: None, "must give a list of Sample, and gave NoneType"),
        (lambda samples: [1.0, 0.0], "must give a list of Sample, and gave some float"),
        (lambda samples: samples[::-1], "one sample per test item, in their order"),
        (lambda samples: [Sample("a", "a", "1"), samples[1]], "item a: score '1' is no number"),
        (lambda samples: [Sample("a", "a", np.ones(2)), samples[1]], "item a: score .* is no number"),
        (lambda samples: [samples[0], Sample("b", "b", 2.0)], "item b: score 2.0 is not from 0 to 1"),
        (lambda samples: [samples[0], Sample("b", "b", 1.0, None)], "item b: extras None are no mapping"),
        (lambda samples: [samples[0], Sample("b", "b", 1.0, {"k": "x"})], "item b: k 'x' is no number"),
        (lambda samples: [samples[0], Sample("b", "b", 1.0, {"k": float("nan")})], "item b: k is nan; leave"),
        (lambda samples: [samples[0], Sample("b", "b", float("inf"))], "item b: score is inf; leave it out"),
    ],
)
def test_what_is_no_sample_is_named(change: Callable[[list[Sample]], Any], words: str) -> None:
    with pytest.raises(TrmBenchError, match=rf"evaluator 'tried'.*{words}"):
        scored(change)


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_samples_may_come_in_any_row(kind: Callable[[list[Sample]], Any]) -> None:
    assert [one["tried"] for one in scored(kind)] == [1.0, 1.0]


@pytest.mark.parametrize("one", [1, True, np.float32(1), np.int64(1), np.bool_(True)])
def test_any_number_is_a_score(one: Any) -> None:
    (first, _) = scored(lambda samples: [Sample("a", "a", one, {"cells": one}), samples[1]])
    assert (first["tried"], first["tried.cells"]) == (1.0, 1.0)


def test_an_evaluator_that_writes_into_what_others_read_is_named() -> None:
    def cheat(info: TaskInfo, puzzles: PuzzleSet, predictions: Any) -> list[Sample]:
        predictions.tokens[:] = puzzles.targets
        return []

    predictions = answered(PUZZLES, TOKENS[::-1].copy())
    before = predictions.tokens.copy()
    info = TaskInfo("tiny", "mini", height=1, width=3, vocab_size=7)
    with pytest.raises(TrmBenchError, match="evaluator 'tried': writes into arrays that others read too"):
        score([EvaluatorSpec("tried", "an evaluator", evaluate=cheat)], info, PUZZLES, predictions, {})
    assert np.array_equal(predictions.tokens, before)
    assert predictions.tokens.flags.writeable

"""What a model may answer: anything else would be scored as if it were an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from trm_bench.harness.api.errors import PluginError, TrainingDiverged
from trm_bench.harness.api.puzzles import PuzzleSet
from trm_bench.harness.api.reasoner import Output, Reasoner, State
from trm_bench.harness.inference.inference import Depths, InferenceConfig, infer

N, CELLS, TOKENS = 6, 9, 5
CONFIG = InferenceConfig(torch.device("cpu"), batch_size=4, vocabulary=TOKENS)


class Answer(Reasoner):
    """Right logits, but for what ``change`` does to the step's result."""

    def __init__(self, change: Callable[[State, Output], Any]):
        super().__init__()
        self.change = change

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        return self.change(state, Output(torch.nn.functional.one_hot(inputs, TOKENS).float()))


def answered(change: Callable[[State, Output], Any]) -> np.ndarray[Any, Any]:
    tokens = np.arange(N * CELLS, dtype=np.uint8).reshape(N, CELLS) % TOKENS
    names = np.array([str(number) for number in range(N)])
    puzzles = PuzzleSet(tokens, tokens, names, names, np.zeros(N, np.int32))
    (read,) = infer(Answer(change), puzzles, CONFIG, Depths((1,)))
    return read.predictions.tokens == tokens


def logits(change: Callable[[Tensor], Tensor]) -> Callable[[State, Output], Any]:
    return lambda state, output: (state, replace(output, logits=change(output.logits)))


def one_nan(logits: Tensor) -> Tensor:
    return logits.index_put((torch.tensor(1), torch.tensor(2), torch.tensor(0)), torch.tensor(torch.nan))


def test_an_answer_of_the_right_shape_counts_whatever_its_numbers() -> None:
    assert answered(logits(lambda right: right)).all()
    assert answered(logits(lambda right: right.log())).all()  # -inf is a class that is ruled out
    assert answered(logits(lambda right: right.bfloat16())).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (logits(lambda right: right[:1]), PluginError, r"shape \(1, 9, 5\) .* not \(B, L, V\) = \(4, 9, V\)"),
        (logits(lambda right: right[:, :1]), PluginError, r"shape \(4, 1, 5\)"),
        (logits(lambda right: right[..., 0]), PluginError, r"shape \(4, 9\)"),
        (logits(lambda right: right[..., :4]), PluginError, "4 classes, and the task 5 tokens"),
        (
            logits(lambda right: torch.cat([right, right], -1)),
            PluginError,
            "10 classes, and the task 5 tokens",
        ),
        (logits(lambda right: right.long()), PluginError, "torch.int64"),
        (logits(lambda right: right * 1j), PluginError, "torch.complex64"),
        (logits(one_nan), TrainingDiverged, "logits of 1 of 4 puzzles are not numbers .* supervision step 1"),
        (
            lambda state, output: output,
            PluginError,
            r"forward of Answer returned Output, not \(state, Output\)",
        ),
        (lambda state, output: (state, None), PluginError, r"not \(state, Output\)"),
        (
            lambda state, output: (state, replace(output, q_halt=torch.zeros(4, 1))),
            PluginError,
            r"Output.q_halt has shape \(4, 1\), not \(B,\) = \(4,\)",
        ),
    ],
)
def test_another_answer_ends_the_run(change: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        answered(change)

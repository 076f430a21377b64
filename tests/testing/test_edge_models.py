"""Models that are almost sound: what the checks must catch, and what they must not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from support.reasoners import HIDDEN, Correct, caught
from torch import Tensor, nn

from trm_bench import Halting, Output, Reasoner, TaskInfo

pytestmark = pytest.mark.usefixtures("one_thread")

ONE, MEMORY = "batch of one", "remembered from batch"


class FlatAnswer(Correct):
    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        after, output = super().forward(state, inputs, puzzle_ids)
        return after, replace(output, logits=output.logits.squeeze(0))


class FlatLogit(Correct):
    def q(self, y: Tensor) -> Tensor:
        return super().q(y).squeeze()


@pytest.mark.parametrize("kind", [FlatAnswer, FlatLogit])
def test_a_batch_of_one_that_loses_its_dimension_is_caught(kind: type[Correct]) -> None:
    assert any(ONE in check for check in caught(kind))


def test_what_the_step_before_left_behind_is_caught_with_several_steps_too() -> None:
    class Last(Correct):
        last: Tensor | None = None

        def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
            y = self.mixed(state[0], inputs)
            logits = self.head(y)
            given = logits if self.last is None or len(self.last) != len(logits) else logits + self.last
            self.last = logits.detach()
            return state, Output(given, q_halt=self.q(y))

    assert any(MEMORY in check for check in caught(Last))


def test_a_fresh_state_that_knows_its_place_in_the_batch_is_caught() -> None:
    class Placed(Correct):
        def initial_state(self, batch: int) -> Any:
            places = torch.arange(batch, device=self.halt.weight.device, dtype=torch.float32)
            return (places.view(-1, 1, 1).expand(batch, self.cells, HIDDEN).clone(),)

    assert caught(Placed)  # `Reasoner.initial_state`: rows must not differ


def test_a_continue_logit_with_a_map_of_its_own_is_no_fault() -> None:
    class Apart(Correct):
        halting = Halting.Q_LEARNING

        def __init__(self, task: TaskInfo):
            super().__init__(task)
            self.more = nn.Linear(HIDDEN, 1)

        def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
            y = self.mixed(state[0], inputs)
            more = self.more(y.mean(1)).squeeze(1)
            return (y.detach(),), Output(self.head(y), q_halt=self.q(y), q_continue=more)

    assert not caught(Apart)  # the second pass trains it


def test_an_output_that_begins_at_zero_is_no_fault() -> None:
    class FromZero(Correct):
        def __init__(self, task: TaskInfo):
            super().__init__(task)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.halt.weight)

    assert not caught(FromZero)


def test_puzzles_that_are_changed_in_place_are_caught() -> None:
    class Overwriting(Correct):
        def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
            return super().mixed(before, inputs.clamp_(max=2))

    assert caught(Overwriting)  # they are the slots' own, and stay for the next step


def test_a_build_that_exits_is_a_finding() -> None:
    def leaving(task: TaskInfo) -> Reasoner:
        raise SystemExit("my_package is not licensed here")

    assert "not licensed" in next(iter(caught(leaving).values())).words

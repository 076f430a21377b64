"""Models that are almost sound: what the checks must catch, and what they must not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from support.reasoners import HIDDEN, Correct, caught, spec
from torch import Tensor, nn
from trm_bench.harness.api.errors import UsageError
from trm_bench.testing import check_model
from trm_bench.testing.models import find_in_model

from trm_bench import Halting, ModelSpec, Output, Reasoner, TaskInfo

pytestmark = pytest.mark.usefixtures("one_thread")

ONE, MEMORY, BUILD = "batch of one", "remembered from batch", "it is built"
ROWS = "rows of a batch"


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
            more = self.more(y.mean(1)).squeeze(1).float()
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


class Late(Correct):
    """Does something of its own in one supervision step."""

    def initial_state(self, batch: int) -> Any:
        steps = torch.zeros(batch, dtype=torch.int64, device=self.halt.weight.device)
        return (*super().initial_state(batch), steps)

    def late(self, y: Tensor, step: Tensor) -> Tensor:
        return y

    def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
        y = self.mixed(self.late(state[0], state[1].view(-1, 1, 1)), inputs)
        return (y.detach(), state[1] + 1), Output(self.head(y), q_halt=self.q(y))


@pytest.mark.parametrize("step", [0, 2])
def test_a_parameter_of_one_supervision_step_is_no_fault(step: int) -> None:
    class Once(Late):
        def __init__(self, task: TaskInfo):
            super().__init__(task)
            self.start = nn.Parameter(torch.randn(task.cells, HIDDEN))

        def late(self, y: Tensor, at: Tensor) -> Tensor:
            return torch.where(at == step, self.start, y)

    assert not caught(Once)


def test_rows_that_meet_in_the_third_step_are_caught() -> None:
    class Meeting(Late):
        def late(self, y: Tensor, at: Tensor) -> Tensor:
            return y + y.mean(0) * (at >= 2)

    assert any(ROWS in check for check in caught(Meeting))


def test_a_module_that_counts_its_calls_is_no_fault() -> None:
    class Spectral(Correct):
        def __init__(self, task: TaskInfo):
            super().__init__(task)
            self.mix = nn.utils.parametrizations.spectral_norm(self.mix)

    assert not caught(Spectral)


def test_a_state_that_is_changed_in_place_is_caught() -> None:
    class InPlace(Correct):
        def forward(self, state: Any, inputs: Tensor, puzzle_ids: Tensor) -> Any:
            (after,), output = super().forward(state, inputs, puzzle_ids)
            return (state[0].copy_(after),), output

    (found,) = caught(InPlace).values()
    assert found.words.startswith("forward changes the state that it is given in place")


class Torch(Correct):
    """Has noise of torch's own, besides the declared one."""

    stochastic = True

    def mixed(self, before: Tensor, inputs: Tensor) -> Tensor:
        return super().mixed(before + self.noise(before), inputs)

    def noise(self, before: Tensor) -> Tensor:
        return self.draw(before) + torch.randn(before.shape[1:], device=before.device)


def test_noise_of_torch_is_caught_and_that_of_the_harness_is_not() -> None:
    class Declared(Torch):
        def noise(self, before: Tensor) -> Tensor:
            return self.draw(before)

    (found,) = caught(Torch).values()
    assert "not drawn by self.draw()" in found.words
    assert not caught(Declared)


def test_noise_for_one_row_is_named_with_the_shape_that_it_needs() -> None:
    class Shared(Torch):
        def noise(self, before: Tensor) -> Tensor:
            return self.draw(before[:1])

    words = next(iter(caught(Shared).values())).words
    assert "draw(like): like has shape (1, 16, 8), not (B, ...) with B = 6" in words


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (
            lambda: nn.Linear(16, 16).bfloat16(),
            "parameter mix.weight is bfloat16; keep parameters in float32",
        ),
        (lambda: nn.LazyLinear(16), "parameter mix.weight has no shape yet"),
        (lambda: nn.Linear(16, 16, dtype=torch.complex64), "parameter mix.weight is complex64"),
    ],
)
def test_parameters_that_cannot_be_trained_are_named(layer: Any, words: str) -> None:
    class Odd(Correct):
        def __init__(self, task: TaskInfo):
            super().__init__(task)
            self.mix = layer()

    (found,) = caught(Odd).values()
    assert BUILD in found.check
    assert found.words.startswith(words)


def test_only_what_is_trained_is_counted_as_parameters() -> None:
    class Frozen(Correct):
        def __init__(self, task: TaskInfo):
            super().__init__(task)
            self.embed.requires_grad_(False)

    both = (find_in_model(spec(kind))[0].words for kind in (Correct, Frozen))
    first, second = (int(words.partition(" ")[0]) for words in both)
    assert first - second == 5 * HIDDEN


def test_a_spec_without_build_is_the_users_error() -> None:
    with pytest.raises(UsageError, match="neither config and build nor resolve"):
        check_model(ModelSpec("empty", "nothing"))

"""Slots, halting policies and the continue target."""

from __future__ import annotations

import pytest
import torch
from support.training import CPU, Counted, step
from torch import Tensor
from trm_bench.harness.api.reasoner import Halting, Output, Reasoner, State, halt_decision
from trm_bench.harness.training.supervision import Slots, continue_target


class Scripted(Reasoner):
    """Its Q logits are given; its state counts the calls that a puzzle has had."""

    def __init__(self, halting: Halting, steps: int = 4):
        super().__init__()
        self.halting, self.supervision_steps = halting, steps
        self.q_halt, self.q_continue = torch.zeros(0), torch.zeros(0)

    def initial_state(self, batch: int) -> State:
        return (torch.zeros(batch, 1),)

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        logits = torch.zeros(len(inputs), inputs.shape[1], 3)
        return (state[0] + 1,), Output(logits, self.q_halt, self.q_continue)


def scripted(halting: Halting, q_halt: list[float], q_continue: list[float], steps: int = 4) -> Slots:
    model = Scripted(halting, steps)
    model.q_halt, model.q_continue = torch.tensor(q_halt), torch.tensor(q_continue)
    return Slots(model, len(q_halt), 1, CPU)


def test_halt_logit_frees_only_the_slots_that_say_so() -> None:
    slots, examples = scripted(Halting.HALT_LOGIT, [1.0, -1.0, 0.0], [9.0, 9.0, 9.0]), Counted()
    step(slots, examples)
    assert slots.halted.tolist() == [True, False, False]
    step(slots, examples)
    assert slots.inputs.squeeze(1).tolist() == [4, 2, 3]
    assert slots.steps.tolist() == [1, 2, 2]
    assert slots.state[0].squeeze(1).tolist() == [1, 2, 2]


@pytest.mark.parametrize("policy", [Halting.Q_COMPARE, Halting.Q_LEARNING])
def test_q_policies_compare_the_two_logits(policy: Halting) -> None:
    slots = scripted(policy, [-1.0, 3.0, 2.0], [-2.0, 4.0, 2.0])
    step(slots, Counted())
    assert slots.halted.tolist() == [True, False, False]


def test_every_slot_is_freed_at_the_last_step() -> None:
    slots, examples = scripted(Halting.HALT_LOGIT, [-1.0, -1.0], [0.0, 0.0], steps=3), Counted()
    for _ in range(3):
        step(slots, examples)
    assert slots.halted.tolist() == [True, True]
    step(slots, examples)
    assert slots.inputs.squeeze(1).tolist() == [3, 4]


def test_without_halting_a_one_step_model_takes_fresh_puzzles_at_every_step() -> None:
    slots, examples = scripted(Halting.NONE, [9.0, 9.0], [0.0, 0.0], steps=1), Counted()
    step(slots, examples)
    step(slots, examples)
    assert slots.inputs.squeeze(1).tolist() == [3, 4]


def test_a_puzzle_stays_at_the_steps_at_which_it_may_not_halt() -> None:
    slots = scripted(Halting.HALT_LOGIT, [5.0], [0.0])
    examples = Counted(may_halt=(False, False, True, True))
    halted = []
    for _ in range(4):
        step(slots, examples)
        halted.append(bool(slots.halted))
    assert halted == [False, False, True, False]


def test_the_continue_target_is_the_better_logit_of_the_next_step() -> None:
    slots = scripted(Halting.Q_LEARNING, [-1.0, 0.5], [2.0, -3.0])
    slots.refill(Counted())
    target = continue_target(slots, slots.state)
    assert target is not None
    assert torch.allclose(target, torch.tensor([2.0, 0.5]).sigmoid())


def test_at_the_last_step_the_continue_target_is_the_halt_value() -> None:
    slots = scripted(Halting.Q_LEARNING, [-1.0], [2.0], steps=2)
    slots.refill(Counted())
    slots.steps += 1
    target = continue_target(slots, slots.state)
    assert target is not None
    assert torch.allclose(target, torch.tensor([-1.0]).sigmoid())


@pytest.mark.parametrize("policy", [Halting.NONE, Halting.HALT_LOGIT, Halting.Q_COMPARE])
def test_other_policies_pay_for_no_second_pass(policy: Halting) -> None:
    slots = scripted(policy, [1.0], [1.0])
    slots.refill(Counted())
    assert continue_target(slots, slots.state) is None


def test_a_policy_without_its_logit_is_an_error_that_says_so() -> None:
    output = Output(torch.zeros(2, 1, 3), q_halt=torch.zeros(2))
    with pytest.raises(ValueError, match=r"'q-compare' needs Output.q_continue"):
        halt_decision(Halting.Q_COMPARE, output)

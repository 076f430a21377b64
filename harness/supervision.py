"""Deep supervision: slots that hold puzzles, their carried states, and when a puzzle leaves.

Source: HRM section 2 ("deep supervision", "adaptive computational time"), TRM section 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from .examples import Batch
from .reasoner import Halting, Output, Reasoner, State, halt_decision


class Examples(Protocol):
    """Where fresh examples come from."""

    def take(self, count: int) -> Batch:
        """The next ``count`` examples."""
        ...


_KEPT = ("inputs", "targets", "puzzle_ids", "least", "steps", "halted")


class Slots:
    """B slots. Each keeps its puzzle and state until the puzzle halts, then takes the next draw.

    Attributes:
        inputs, targets: (B, L); puzzle_ids: (B,).
        state: what the model carries, already detached.
        steps: (B,) supervision steps that the present puzzle has had.
        halted: (B,) bool, slots that take a new puzzle at the next `refill`.
    """

    def __init__(self, model: Reasoner, batch_size: int, cells: int, device: torch.device):
        self.model = model
        self.inputs = torch.zeros(batch_size, cells, dtype=torch.int64, device=device)
        self.targets = torch.zeros_like(self.inputs)
        self.puzzle_ids = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self.least = torch.ones_like(self.puzzle_ids)
        self.steps = torch.zeros_like(self.puzzle_ids)
        self.halted = torch.ones(batch_size, dtype=torch.bool, device=device)
        self.state: State = model.initial_state(batch_size)

    def refill(self, examples: Examples) -> None:
        """Give each halted slot, in order, the next draw and a fresh state."""
        free = self.halted.nonzero().squeeze(1)
        if not len(free):
            return
        fresh = examples.take(len(free))
        self.inputs[free] = fresh.inputs
        self.targets[free] = fresh.targets
        self.puzzle_ids[free] = fresh.puzzle_ids
        self.least[free] = fresh.least
        self.steps[free] = 0
        start = self.model.initial_state(len(self.halted))
        self.state = tuple(
            torch.where(self.halted.view(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(start, self.state, strict=True)
        )

    def kept(self) -> dict[str, Any]:
        """What the slots hold, for a checkpoint."""
        return {**{name: getattr(self, name) for name in _KEPT}, "state": list(self.state)}

    def put_back(self, kept: Mapping[str, Any], device: torch.device) -> None:
        """Hold what `kept` gave."""
        for name in _KEPT:
            setattr(self, name, kept[name].to(device))
        self.state = tuple(part.to(device) for part in kept["state"])

    def advance(self, state: State, output: Output) -> None:
        """Keep the new state and decide which puzzles leave."""
        self.state = state
        self.steps = self.steps + 1
        wants = halt_decision(self.model.halting, output) & (self.steps >= self.least)
        self.halted = wants | (self.steps >= self.model.supervision_steps)


@torch.no_grad()
def continue_target(slots: Slots, state: State) -> Tensor | None:
    """(B,) target of q_continue under Q-learning: the value of one more step, by a second pass.

    ``sigmoid(next q_halt)`` at the last step, else of the larger of the two next Q logits (HRM,
    section 2). None for the other policies.
    """
    model = slots.model
    if model.halting is not Halting.Q_LEARNING:
        return None
    _, following = model(state, slots.inputs, slots.puzzle_ids)
    if following.q_halt is None or following.q_continue is None:
        raise ValueError("halting policy 'q-learning' needs Output.q_halt and Output.q_continue")
    last = slots.steps + 1 >= model.supervision_steps
    best = torch.maximum(following.q_halt, following.q_continue)
    return torch.where(last, following.q_halt, best).sigmoid()

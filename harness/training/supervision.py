"""Deep supervision: slots that hold puzzles, their carried states, and when a puzzle leaves.

Source: HRM section 2 ("deep supervision", "adaptive computational time"), TRM section 4.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..api.errors import PluginError
from ..api.reasoner import Halting, Output, Reasoner, State, halt_decision, supervise
from ..data.examples import Batch
from .group import ALONE, Group


class Examples(Protocol):
    """Where fresh examples come from."""

    def at(self, draws: Tensor) -> Batch:
        """The examples of the draws with these numbers (B,), on their device."""
        ...


_KEPT = ("inputs", "targets", "puzzle_ids", "may_halt", "steps", "halted")
ALL = slice(None)


@dataclass(frozen=True)
class Portion:
    """Some slots, in the slots' own memory; shapes as in `Slots`."""

    model: Reasoner
    inputs: Tensor
    targets: Tensor
    puzzle_ids: Tensor
    state: State
    steps: Tensor


class Slots:
    """B slots. Each keeps its puzzle and state until the puzzle halts, then takes the next draw.

    All of it happens on the device, without the host's word, and always in the same memory: so a step
    waits for nothing and can be captured as a graph. Where several processes train, B is this one's part of
    the batch; draws are numbered as if one process held all slots in the order of ranks.

    Attributes:
        inputs, targets: (B, L); puzzle_ids: (B,).
        state: what the model carries, already detached.
        steps: (B,) supervision steps that the present puzzle has had.
        may_halt: (B, N_sup) bool, whether it may halt after each step.
        halted: (B,) bool, slots that take a new puzzle at the next `refill`.
        drawn: () draws taken until now, by all processes.
    """

    def __init__(
        self,
        model: Reasoner,
        batch_size: int,
        cells: int,
        device: torch.device,
        group: Group = ALONE,
    ):
        self.model, self.group = model, group
        self.inputs = torch.zeros(batch_size, cells, dtype=torch.int64, device=device)
        self.targets = torch.zeros_like(self.inputs)
        self.puzzle_ids = torch.zeros(batch_size, dtype=torch.int64, device=device)
        shape = (batch_size, model.supervision_steps)
        self.may_halt = torch.ones(shape, dtype=torch.bool, device=device)
        self.steps = torch.zeros_like(self.puzzle_ids)
        self.halted = torch.ones(batch_size, dtype=torch.bool, device=device)
        self.drawn = torch.zeros((), dtype=torch.int64, device=device)
        state = model.initial_state(batch_size)
        if any(part.requires_grad for part in state):
            raise PluginError(
                f"initial_state of {type(model).__name__}: a state that is trained. States are carried "
                "detached, and no gradient reaches it: make it a buffer, or add what is trained in forward"
            )
        self.state: State = tuple(part.clone() for part in state)

    @torch.no_grad()
    def refill(self, examples: Examples) -> None:
        """Give each halted slot, in order, the next draw and a fresh state."""
        free = self.halted
        place = free.cumsum(0) - 1  # among the free ones; of the others whatever it is
        first, taken = self.group.claim(self.drawn, free.sum())
        fresh = examples.at(first + place.clamp(min=0))
        self.drawn += taken
        _take(self.inputs, free, fresh.inputs)
        _take(self.targets, free, fresh.targets)
        _take(self.puzzle_ids, free, fresh.puzzle_ids)
        _take(self.may_halt, free, fresh.may_halt)
        self.steps *= ~free
        for own, new in zip(self.state, self.model.initial_state(len(free)), strict=True):
            _take(own, free, new)

    def kept(self) -> dict[str, Any]:
        """The content of the slots of all processes, as one would hold it, for a checkpoint."""
        gather = self.group.gather
        rows = {name: gather(getattr(self, name)) for name in _KEPT}
        return {**rows, "drawn": self.drawn, "state": [gather(part) for part in self.state]}

    def put_back(self, kept: Mapping[str, Any]) -> None:
        """Hold this process's part of what `kept` gave, to however many processes."""
        for name in _KEPT:
            getattr(self, name).copy_(self.group.own(kept[name]))
        self.drawn.copy_(kept["drawn"])
        for own, part in zip(self.state, kept["state"], strict=True):
            own.copy_(self.group.own(part))

    def part(self, rows: slice) -> Portion:
        """The content of some slots."""
        state = tuple(part[rows] for part in self.state)
        inputs, targets, ids, steps = (
            part[rows] for part in (self.inputs, self.targets, self.puzzle_ids, self.steps)
        )
        return Portion(self.model, inputs, targets, ids, state, steps)

    @torch.no_grad()
    def advance(self, state: State, output: Output, rows: slice = ALL) -> None:
        """Keep the new state of some slots and decide which of their puzzles leave."""
        for own, new in zip(self.state, state, strict=True):
            own[rows].copy_(new)
        steps = self.steps[rows].add_(1)
        now = (steps - 1).clamp(max=self.model.supervision_steps - 1)  # without refills there are more
        may = self.may_halt[rows].gather(1, now[:, None]).squeeze(1)
        wants = halt_decision(self.model.halting, output) & may
        self.halted[rows].copy_(wants | (steps >= self.model.supervision_steps))


def _take(own: Tensor, free: Tensor, new: Tensor) -> None:
    """Overwrite the rows of ``own`` that are free."""
    own.copy_(torch.where(free.view(-1, *[1] * (own.ndim - 1)), new, own))


@torch.no_grad()
def continue_target(slots: Slots | Portion, state: State) -> Tensor | None:
    """(B,) target of q_continue under Q-learning: the value of one more step, by a second pass.

    ``sigmoid(next q_halt)`` at the last step, else of the larger of the two next Q logits (HRM,
    section 2). None for the other policies.
    """
    model = slots.model
    if model.halting is not Halting.Q_LEARNING:
        return None
    _, following = supervise(model, state, slots.inputs, slots.puzzle_ids)
    if following.q_halt is None or following.q_continue is None:
        raise ValueError("halting policy 'q-learning' needs Output.q_halt and Output.q_continue")
    last = slots.steps + 1 >= model.supervision_steps
    best = torch.maximum(following.q_halt, following.q_continue)
    return torch.where(last, following.q_halt, best).sigmoid()

"""The model interface: a state goes in with a puzzle, a state and an output come out.

Shape legend, used as suffixes everywhere: B batch, L cells, P prefix positions, S = P + L,
D hidden size, V vocabulary.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""State carried from one supervision step to the next; each tensor is (B, ...)."""


class Halting(enum.Enum):
    """When a puzzle leaves its slot in training. At evaluation all steps are usual."""

    NONE = "none"
    """After the last supervision step; no halt logit is trained."""
    HALT_LOGIT = "halt-logit"
    """When q_halt > 0 (TRM, section 4.3 of arXiv 2510.04871)."""
    Q_COMPARE = "q-compare"
    """When q_halt > q_continue, with q_continue left untrained (the TRM repository's looped baseline)."""
    Q_LEARNING = "q-learning"
    """When q_halt > q_continue, q_continue trained by a second forward pass (HRM, arXiv 2506.21734)."""


HALTING_OPTIONS = {
    "none": Halting.NONE,
    "sigmoid": Halting.HALT_LOGIT,
    "compare": Halting.Q_COMPARE,
    "two-pass": Halting.Q_LEARNING,
}
"""The words for a policy in a model's option ``halting=``."""


@dataclass(frozen=True)
class Output:
    """Output of one supervision step.

    Attributes:
        logits: (B, L, V).
        q_halt: (B,) halt logit in float32, None under `Halting.NONE`.
        q_continue: (B,) continue logit in float32, None where the halting policy needs none.
    """

    logits: Tensor
    q_halt: Tensor | None = None
    q_continue: Tensor | None = None


class Reasoner(nn.Module):
    """Base class of every model. The defaults are those of a one-pass model without a state.

    Attributes:
        supervision_steps: N_sup, the most supervision steps a puzzle may take.
        halting: when a puzzle leaves its slot in training.
    """

    supervision_steps: int = 1
    halting: Halting = Halting.NONE

    def initial_state(self, batch: int) -> State:
        """The state of ``batch`` fresh puzzles, on the model's device; rows must not differ."""
        del batch
        return ()

    def compiled_parts(self) -> Iterable[nn.Module]:
        """Modules to compile where compiling is requested, by default the whole model.

        A model that applies a part many times names that part: it is compiled once instead of unrolled.
        """
        return [self]

    def forward(self, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
        """One supervision step.

        Args:
            state: as `initial_state` or an earlier call gave it; already detached.
            inputs: (B, L) token codes, int64.
            puzzle_ids: (B,) rows of the puzzle embedding, int64.
        """
        raise NotImplementedError


def halt_decision(policy: Halting, output: Output) -> Tensor:
    """(B,) bool: the puzzles that the model itself would stop now, whatever their step."""
    if policy is Halting.NONE or output.q_halt is None:
        return torch.zeros(len(output.logits), dtype=torch.bool, device=output.logits.device)
    if policy is Halting.HALT_LOGIT:
        return output.q_halt > 0
    if output.q_continue is None:
        raise ValueError(f"halting policy {policy.value!r} needs Output.q_continue")
    return output.q_halt > output.q_continue

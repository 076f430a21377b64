"""The model interface: a state goes in with a puzzle, a state and an output come out.

Shape legend, used as suffixes everywhere: B batch, L cells, P prefix positions, S = P + L,
D hidden size, V vocabulary.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from .errors import PluginError

State = tuple[Tensor, ...]
"""State carried from one supervision step to the next; each tensor is (B, ...)."""


class Halting(enum.Enum):
    """When a puzzle leaves its slot in training. At evaluation all steps are usual."""

    NONE = "none"
    """After the last supervision step; no halt logit is trained."""
    HALT_LOGIT = "halt-logit"
    """When q_halt > 0 (TRM, section 4.6 of arXiv 2510.04871)."""
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


class Normal(Protocol):
    """Where a model's random numbers come from at evaluation."""

    def like(self, x: Tensor) -> Tensor:
        """Standard normal numbers in the shape of x (B, ...), a row's independent of the batch."""
        ...


class Reasoner(nn.Module):
    """Base class of every model. The defaults are those of a one-pass model without a state.

    Attributes:
        supervision_steps: N_sup, the most supervision steps a puzzle may take.
        halting: when a puzzle leaves its slot in training.
        stochastic: whether the model draws random numbers (by `draw`), so that a puzzle has several answers.
        perturbable: names of the parts of the state, in its order, if noise may be added to them at
            evaluation.
        usual_noise: the part that noise is added to where none is named.
        normal: set while the model is evaluated.
    """

    supervision_steps: int = 1
    halting: Halting = Halting.NONE
    stochastic: bool = False
    perturbable: tuple[str, ...] = ()
    usual_noise: str = ""
    normal: Normal | None = None

    def draw(self, like: Tensor) -> Tensor:
        """Standard normal numbers in a tensor's shape (B, ...), in float32.

        In training they are torch's. At evaluation they belong to the puzzle, the rollout and the supervision
        step, so that an answer depends neither on the batch nor on the puzzle's place in it.
        """
        if self.normal is not None:
            return self.normal.like(like)
        return torch.randn(like.shape, device=like.device)

    def perturb(self, state: State, sigma: float, on: str = "") -> State:
        """Add σ·N(0, I) to a part of the state, or to ``both`` (PTRM, arXiv 2605.19943).

        Args:
            state: before a supervision step.
            sigma: standard deviation.
            on: one of `perturbable`, or ``both`` for all of them; by default `usual_noise`.
        """
        chosen = self.perturbable if on == "both" else (on or self.usual_noise,)
        return tuple(
            (part + sigma * self.draw(part)).to(part.dtype) if name in chosen else part
            for name, part in zip(self.perturbable, state, strict=True)
        )

    def initial_state(self, batch: int) -> State:
        """The state of ``batch`` fresh puzzles, on the model's device.

        Rows must not differ, but for what a stochastic model draws.
        """
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


def supervise(model: Reasoner, state: State, inputs: Tensor, puzzle_ids: Tensor) -> tuple[State, Output]:
    """One supervision step of a model: `Reasoner.forward`, with what it returns checked.

    Logits of another shape would be broadcast over the puzzles of the batch and score as an answer.

    Raises:
        PluginError: it did not return a state and an `Output`, or a state, logits or halt logits of another
            shape. A state of another kind would be cut off in training and not at evaluation.
    """
    returned = model(state, inputs, puzzle_ids)
    name = f"forward of {type(model).__name__}"
    if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], Output)):
        raise PluginError(f"{name} returned {type(returned).__name__}, not (state, Output)")
    new, output = returned
    if (before := list(map(_kind, state))) != (after := list(map(_kind, new))):
        raise PluginError(f"{name}: the state is {after}, and was {before}; each part must stay what it is")
    logits, (rows, cells) = output.logits, inputs.shape
    if logits.ndim != 3 or logits.shape[:2] != inputs.shape or not logits.is_floating_point():
        raise PluginError(
            f"{name}: Output.logits has shape {tuple(logits.shape)} and type {logits.dtype}, "
            f"not (B, L, V) = ({rows}, {cells}, V) of floating-point numbers"
        )
    for part in ("q_halt", "q_continue"):
        q = getattr(output, part)
        if q is not None and q.shape != (rows,):
            raise PluginError(f"{name}: Output.{part} has shape {tuple(q.shape)}, not (B,) = ({rows},)")
    return new, output


def _kind(part: Tensor) -> tuple[tuple[int, ...], str]:
    """Shape and kind of numbers; their precision may differ."""
    return tuple(part.shape), "floating-point" if part.is_floating_point() else str(part.dtype)


def halt_decision(policy: Halting, output: Output) -> Tensor:
    """(B,) bool: the puzzles that the model itself would stop now, whatever their step."""
    if policy is Halting.NONE or output.q_halt is None:
        return torch.zeros(len(output.logits), dtype=torch.bool, device=output.logits.device)
    if policy is Halting.HALT_LOGIT:
        return output.q_halt > 0
    if output.q_continue is None:
        raise ValueError(f"halting policy {policy.value!r} needs Output.q_continue")
    return output.q_halt > output.q_continue

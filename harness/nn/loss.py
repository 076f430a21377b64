"""The losses of one supervision step, summed over the batch.

Source: stable-max, arXiv 2501.04697 as used by HRM; halt losses, HRM section 2 and TRM section 4.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..api.puzzles import PAD
from ..api.reasoner import Output


@dataclass(frozen=True)
class StepLoss:
    """Losses summed over the batch, and which examples were fully right.

    Attributes:
        total: what is divided by the global batch and back-propagated.
        answer: stable-max cross-entropy, mean over the labelled cells of each example.
        halt: binary cross-entropy of q_halt; 0 without one.
        halt_continue: binary cross-entropy of q_continue; 0 without a target for it.
        right: (B,) bool, every labelled cell right.
    """

    total: Tensor
    answer: Tensor
    halt: Tensor
    halt_continue: Tensor
    right: Tensor

    def detach(self) -> StepLoss:
        """The same numbers without their graph."""
        return StepLoss(*(part.detach() for part in self.parts()))

    def parts(self) -> tuple[Tensor, ...]:
        """The five tensors."""
        return self.total, self.answer, self.halt, self.halt_continue, self.right


def added(losses: Sequence[StepLoss]) -> StepLoss:
    """The losses of a batch from those of its portions."""
    *sums, right = zip(*(loss.parts() for loss in losses), strict=True)
    total, answer, halt, halt_continue = (torch.stack(part).sum() for part in sums)
    return StepLoss(total, answer, halt, halt_continue, torch.cat(right))


def stablemax_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, L, V) logits and (B, L) targets to (B,) mean losses over the labelled cells.

    Stable-max: s(v) = v + 1 for v ≥ 0, 1 / (1 − v) below, probabilities s / Σ s. In float64 where
    the device has it, because s spans many orders of magnitude.
    """
    wide = logits.double() if logits.device.type != "mps" else logits.float()
    s = torch.where(wide >= 0, wide + 1, 1 / (1 - wide.clamp(max=0)))
    labelled = targets != PAD
    chosen = s.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    losses = (s.sum(-1).log() - chosen.log()) * labelled
    return losses.sum(-1) / labelled.sum(-1).clamp(min=1)


def step_loss(output: Output, targets: Tensor, continue_target: Tensor | None = None) -> StepLoss:
    """Losses of one supervision step; ``targets`` (B, L), ``continue_target`` (B,) in 0..1."""
    answer = stablemax_cross_entropy(output.logits, targets).sum()
    right = ((output.logits.argmax(-1) == targets) | (targets == PAD)).all(-1)
    halt = halt_continue = torch.zeros((), device=targets.device)
    if output.q_halt is not None:
        halt = functional.binary_cross_entropy_with_logits(
            output.q_halt, right.to(output.q_halt.dtype), reduction="sum"
        )
    if output.q_continue is not None and continue_target is not None:
        halt_continue = functional.binary_cross_entropy_with_logits(
            output.q_continue, continue_target, reduction="sum"
        )
    return StepLoss(answer + 0.5 * (halt + halt_continue), answer, halt, halt_continue, right)

"""The optimisers of the papers, and the average of the weights.

No package computes AdamATan2 with decoupled weight decay on a CPU, so it is written here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .embedding import PuzzleEmbedding


class AdamATan2(torch.optim.Optimizer):
    """Adam whose quotient is replaced by an arctangent, so that no epsilon is needed.

    ``p *= 1 − lr·wd;  p −= lr / (1 − β1^t) · atan2(m, sqrt(v) / sqrt(1 − β2^t))``, with m and v
    as in Adam. Source: arXiv 2407.05872 section 5, decay as in the reference repositories.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.95),
    ):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._step_group(group, params)

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        grads = [p.grad for p in params if p.grad is not None]
        for p in params:
            if not self.state[p]:
                self.state[p] = {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}
        group["t"] = t = group.get("t", 0) + 1
        m = [self.state[p]["m"] for p in params]
        v = [self.state[p]["v"] for p in params]
        lr, (beta1, beta2) = group["lr"], group["betas"]
        # The order of these operations is the one that gives the golden vectors bit for bit; another
        # one differs by rounding, which the sign-like update soon makes visible.
        torch._foreach_lerp_(m, grads, 1 - beta1)
        torch._foreach_lerp_(v, torch._foreach_mul(grads, grads), 1 - beta2)
        scale = torch._foreach_sqrt(v)
        torch._foreach_div_(scale, math.sqrt(1 - beta2**t))
        update = [torch.atan2(a, b) for a, b in zip(m, scale, strict=True)]
        torch._foreach_mul_(update, lr / (1 - beta1**t))
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
        torch._foreach_sub_(params, update)


class SignSGD:
    """Sign descent with decoupled decay on the rows of a puzzle embedding that a batch looked up.

    Gradients of equal rows are added first; rows that were not looked up stay as they are.
    Source: the sparse embedding of the HRM and TRM repositories.
    """

    def __init__(self, embeddings: Iterable[PuzzleEmbedding], lr: float, weight_decay: float):
        self.embeddings = list(embeddings)
        self.lr, self.weight_decay = lr, weight_decay

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Update the rows of the last lookup at learning rate ``lr``."""
        for embedding in self.embeddings:
            if embedding.looked_up is None or embedding.looked_up[1].grad is None:
                continue
            ids, rows = embedding.looked_up
            unique, where = torch.unique(ids, return_inverse=True)
            grads = torch.zeros(len(unique), rows.shape[1], device=rows.device)
            grads.index_add_(0, where, rows.grad.float())  # type: ignore[union-attr]
            old = embedding.table[unique]
            embedding.table[unique] = old * (1 - lr * self.weight_decay) - lr * grads.sign()
            embedding.looked_up = None


class EMA:
    """Exponential moving average of the trained weights; puzzle embeddings are not averaged."""

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.params = list(module.parameters())
        self.shadow = [p.detach().clone() for p in self.params]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights."""
        torch._foreach_lerp_(self.shadow, [p.detach() for p in self.params], 1 - self.decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights and their average; a second call undoes the first."""
        for p, average in zip(self.params, self.shadow, strict=True):
            kept = p.detach().clone()
            p.copy_(average)
            average.copy_(kept)

"""The optimisers of the papers, and the average of the weights.

No package computes AdamATan2 with decoupled weight decay on a CPU, so it is written here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        self.rates = [_numbers(3, group["params"][0]) for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        self.prepare()
        self.update()

    @torch.no_grad()
    def prepare(self) -> None:
        """Count the step, and put the numbers that change from step to step where `update` reads them."""
        for group, rates in zip(self.param_groups, self.rates, strict=True):
            group["t"] = t = group.get("t", 0) + 1
            lr, (beta1, beta2) = group["lr"], group["betas"]
            _put(rates, (math.sqrt(1 - beta2**t), lr / (1 - beta1**t), 1 - lr * group["weight_decay"]))

    @torch.no_grad()
    def update(self) -> None:
        """The update itself, on the device alone and in the same memory: it can be captured as a graph."""
        for group, rates in zip(self.param_groups, self.rates, strict=True):
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update_group(group, rates, params)

    def _update_group(self, group: dict[str, Any], rates: Tensor, params: list[Tensor]) -> None:
        grads = [p.grad for p in params if p.grad is not None]
        for p in params:
            if not self.state[p]:
                self.state[p] = {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}
        m = [self.state[p]["m"] for p in params]
        v = [self.state[p]["v"] for p in params]
        beta1, beta2 = group["betas"]
        spread, rate, shrink = rates.unbind()
        # The order of these operations is the one that gives the golden vectors bit for bit; another
        # one differs by rounding, which the sign-like update soon makes visible.
        torch._foreach_lerp_(m, grads, 1 - beta1)
        torch._foreach_lerp_(v, torch._foreach_mul(grads, grads), 1 - beta2)
        scale = torch._foreach_sqrt(v)
        torch._foreach_div_(scale, spread)
        update = [torch.atan2(a, b) for a, b in zip(m, scale, strict=True)]
        torch._foreach_mul_(update, rate)
        torch._foreach_mul_(params, shrink)
        torch._foreach_sub_(params, update)


class Optimiser:
    """Updates every parameter of a model: all by AdamATan2, or matrices by Muon and the rest by AdamATan2.

    Muon is `torch.optim.Muon` for every 2-D parameter, token embedding and heads included: momentum 0.95
    with Nesterov, 5 Newton–Schulz iterations, steps of ``lr · 0.2 · sqrt(max(rows, columns))``. So both use
    the same learning rate and decoupled weight decay. Source: URM (arXiv 2512.14693), its code at 41de2c3
    (`pretrain.py`, `models/muon.py`); the scale is that of arXiv 2502.16982. That code trains the rest with
    AdamW, and iterates in float32 with other coefficients than torch, which has those of Muon's author in
    bf16.

    ``clip`` bounds the norm of the gradient over all parameters (`torch.nn.utils.clip_grad_norm_`); 0 is
    off. Rows of a puzzle embedding do not count: `SignSGD` trains them, which ignores the gradient's scale.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        weight_decay: float,
        betas: tuple[float, float],
        *,
        muon: bool = False,
        clip: float = 0.0,
    ):
        self.params, self.clip = list(params), clip
        matrices = [p for p in self.params if muon and p.ndim == 2]
        others = [p for p in self.params if not (muon and p.ndim == 2)]
        self.adam: AdamATan2 | None = None
        self.muon: torch.optim.Muon | None = None
        if matrices:
            self.muon = torch.optim.Muon(matrices, lr, weight_decay, adjust_lr_fn="match_rms_adamw")
        if others or not matrices:
            self.adam = AdamATan2(others, lr, weight_decay, betas)

    def prepare(self, lr: float) -> None:
        """Set the learning rate of the next `update`."""
        for part in self._parts().values():
            for group in part.param_groups:
                group["lr"] = lr
        if self.adam:
            self.adam.prepare()

    def update(self) -> None:
        """Clip the gradients and move every parameter that has one; never waits for the device."""
        if self.clip:
            nn.utils.clip_grad_norm_(self.params, self.clip)
        if self.adam:
            self.adam.update()
        if self.muon:
            self.muon.step()  # type: ignore[no-untyped-call]

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Moments, momentum and counts, for a checkpoint."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same parameters."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, torch.optim.Optimizer]:
        parts = {"adam-atan2": self.adam, "muon": self.muon}
        return {name: part for name, part in parts.items() if part is not None}


class SignSGD:
    """Sign descent with decoupled decay on the rows of a puzzle embedding that a batch looked up.

    Gradients of equal rows are added first; rows that were not looked up stay as they are.
    Source: the sparse embedding of the HRM and TRM repositories.

    ``gather`` gives the rows (n, …) of all processes that train together, by default of this one alone.
    """

    def __init__(
        self,
        embeddings: Iterable[PuzzleEmbedding],
        lr: float,
        weight_decay: float,
        gather: Callable[[Tensor], Tensor] = lambda rows: rows,
    ):
        self.embeddings, self.gather = list(embeddings), gather
        self.weight_decay = weight_decay
        self.rates = [_numbers(2, one.table) for one in self.embeddings]
        self._lookups: list[list[tuple[Tensor, Tensor]]] = [[] for _ in self.embeddings]
        self.prepare(lr)

    def step(self, lr: float) -> None:
        """Update the rows of the last lookup at learning rate ``lr``."""
        self.prepare(lr)
        self.collect()
        self.update()

    def prepare(self, lr: float) -> None:
        """Put the learning rate where `update` reads it."""
        for rates in self.rates:
            _put(rates, (lr, 1 - lr * self.weight_decay))

    def collect(self) -> None:
        """After a backward pass: keep which rows it looked up, and their gradients, for the next update."""
        for embedding, lookups in zip(self.embeddings, self._lookups, strict=True):
            lookups += [(ids, rows.grad) for ids, rows in embedding.looked_up if rows.grad is not None]
            embedding.looked_up = ()

    @torch.no_grad()
    def update(self) -> None:
        """The update itself, on the device alone: the host never needs to know which rows are equal."""
        for embedding, rates, lookups in zip(self.embeddings, self.rates, self._lookups, strict=True):
            if not lookups:
                continue
            ids, grads = (self.gather(torch.cat(part)) for part in zip(*lookups, strict=True))
            lr, shrink = rates.unbind()
            same = (ids.unsqueeze(1) == ids).to(embedding.table.dtype)
            sums = same @ grads.to(same.dtype)
            # Equal rows are written several times, each time with the same numbers.
            embedding.table[ids] = embedding.table[ids] * shrink - lr * sums.sign()
            lookups.clear()


def _numbers(count: int, like: Tensor) -> Tensor:
    """Buffers for numbers of the host, on the device and in the precision of a tensor."""
    return torch.zeros(count, dtype=like.dtype, device=like.device)


def _put(there: Tensor, numbers: Sequence[float]) -> None:
    """Write a few numbers of the host into a small tensor without waiting for its device."""
    here = torch.tensor(numbers, dtype=there.dtype, pin_memory=there.is_cuda)
    there.copy_(here, non_blocking=there.is_cuda)  # from memory that is not pinned it may be gone before


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
            current = p.detach().clone()
            p.copy_(average)
            average.copy_(current)

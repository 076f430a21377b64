"""Matrix products in bf16 with one copy of the weights per step, and gradients that add up in float32.

`torch.autocast` casts a weight at each of its uses, of which a recursive model has dozens in a step. Here
every layer has a copy of its weight in bf16, which is written before a step. Each use adds its gradient to
the float32 weight, as autocast without a cache does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from ..api.errors import PluginError

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
"""The precisions of a run, by the value of its setting."""


class Linear(nn.Linear):
    """A linear layer without bias; multiplies in the precision of its copy where it has one."""

    low: Tensor | None

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, bias=False)
        self.register_buffer("low", None, persistent=False)

    def set_precision(self, dtype: torch.dtype) -> None:
        """Have a copy in ``dtype``, or none for float32; `refresh` writes it."""
        if dtype is torch.float32:
            self.low = None
        elif self.low is None or self.low.dtype is not dtype:
            self.low = self.weight.detach().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``x Wᵀ``: (..., inputs) to (..., outputs)."""
        if self.low is None:
            return functional.linear(x, self.weight)
        return _Right.apply(x.to(self.low.dtype), self.weight, self.low)  # type: ignore[no-any-return,no-untyped-call]

    def left(self, x: Tensor) -> Tensor:
        """``W x``: (inputs, N) to (outputs, N)."""
        if self.low is None:
            return self.weight @ x
        return _Left.apply(x.to(self.low.dtype), self.weight, self.low)  # type: ignore[no-any-return,no-untyped-call]


class _Right(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, low: Tensor) -> Tensor:
        ctx.save_for_backward(x, low)
        return functional.linear(x, low)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (x, low) = gradients, ctx.saved_tensors
        of_x = gradient @ low if ctx.needs_input_grad[0] else None
        of_weight = gradient.flatten(0, -2).t() @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
        return of_x, None if of_weight is None else of_weight.float(), None


class _Left(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, low: Tensor) -> Tensor:
        ctx.save_for_backward(x, low)
        return low @ x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (x, low) = gradients, ctx.saved_tensors
        of_x = low.t() @ gradient if ctx.needs_input_grad[0] else None
        of_weight = gradient @ x.t() if ctx.needs_input_grad[1] else None
        return of_x, None if of_weight is None else of_weight.float(), None


def set_precision(model: nn.Module, precision: str) -> None:
    """Compute in ``float32`` or ``bf16`` from now on: every module of a model that can is told.

    A plugin's module that has a method ``set_precision(dtype)`` is told, too; `torch.autocast`, under which
    models run, takes care of the others.
    """
    for module in model.modules():
        if callable(tell := getattr(module, "set_precision", None)):
            tell(DTYPES[precision])


@torch.no_grad()
def refresh(model: nn.Module) -> None:
    """Write the present weights into their copies."""
    layers = [module for module in model.modules() if isinstance(module, Linear)]
    pairs = [(layer.low, layer.weight) for layer in layers if layer.low is not None]
    if pairs:
        copies, weights = zip(*pairs, strict=True)
        torch._foreach_copy_(copies, weights)


def require_shapes(model: nn.Module) -> None:
    """Refuse a model whose parameters get their shapes with the first batch.

    Raises:
        PluginError: names the first of them.
    """
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise PluginError(
                f"parameter {name} has no shape yet: give every module its sizes in build, or initialise "
                "lazy modules there by calling them once"
            )


def require_float32(model: nn.Module) -> None:
    """Refuse parameters that the optimisers and the average would move wrongly, or not at all.

    An update is much smaller than a weight: in 8 bits of mantissa most of them would be lost.

    Raises:
        PluginError: names the first of them.
    """
    for name, parameter in model.named_parameters():
        if parameter.is_complex():
            raise PluginError(
                f"parameter {name} is {_named(parameter)}, and the optimisers take real numbers: keep a "
                "float32 parameter (..., 2), and take torch.view_as_complex of it in forward"
            )
        if parameter.dtype.itemsize < torch.float32.itemsize:
            raise PluginError(
                f"parameter {name} is {_named(parameter)}; keep parameters in float32, the harness computes "
                "in bf16 itself (what is frozen may be a buffer)"
            )


def _named(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")

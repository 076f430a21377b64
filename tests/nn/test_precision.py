"""Layers that multiply in bf16: what goes in, what is kept, and where gradients go."""

from __future__ import annotations

import pytest
import torch
from trm_bench.harness.nn.precision import refresh, set_precision

from trm_bench.nn import SwiGLU, linear


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_of_a_plugin_may_give_it_float32(dtype: torch.dtype) -> None:
    """As after a layer norm, which autocast leaves in float32."""
    layer = SwiGLU(8, 2.0, 8)
    set_precision(layer, "bf16")
    x = torch.randn(4, 8, dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    y.float().square().sum().backward()
    assert y.dtype is torch.bfloat16
    assert x.grad is not None
    assert x.grad.dtype is dtype
    assert all(
        weight.grad is not None and weight.grad.dtype is torch.float32 for weight in layer.parameters()
    )


def test_a_copy_is_that_of_the_weight_from_the_start_and_after_every_refresh() -> None:
    layer = linear(4, 3)
    set_precision(layer, "bf16")
    assert torch.equal(layer.low, layer.weight.to(torch.bfloat16))
    with torch.no_grad():
        layer.weight += 1
    refresh(layer)
    assert torch.equal(layer.low, layer.weight.to(torch.bfloat16))
    set_precision(layer, "float32")
    assert layer.low is None
    assert list(layer.state_dict()) == ["weight"]


def test_gradients_of_both_sides_are_those_of_float32_within_rounding() -> None:
    torch.manual_seed(0)
    layer, x = linear(16, 8), torch.randn(5, 16)
    wide = torch.autograd.grad(layer(x).square().sum(), layer.weight)[0]
    left = torch.autograd.grad(layer.left(x.t()).square().sum(), layer.weight)[0]
    assert torch.allclose(wide, left, atol=1e-4)
    set_precision(layer, "bf16")
    for product in (layer(x), layer.left(x.t()).t()):
        narrow = torch.autograd.grad(product.float().square().sum(), layer.weight)[0]
        assert (narrow - wide).norm() < 0.02 * wide.norm()

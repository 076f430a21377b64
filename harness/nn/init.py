"""Initialisation of weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .precision import Linear

_CUT = 2.0
# Standard deviation of a standard normal that is cut off at ±2.
_CUT_STD = math.sqrt(
    1 - _CUT * math.sqrt(2 / math.pi) * math.exp(-(_CUT**2) / 2) / math.erf(_CUT / math.sqrt(2))
)


@torch.no_grad()
def truncated_normal_(tensor: Tensor, std: float) -> Tensor:
    """Fill with a normal cut off at ±2σ whose standard deviation, after the cut, is ``std``.

    `torch.nn.init.trunc_normal_` takes σ before the cut, which makes the values 12 % too small.
    """
    sigma = std / _CUT_STD
    return nn.init.trunc_normal_(tensor, std=sigma, a=-_CUT * sigma, b=_CUT * sigma)


def truncated(normal: Tensor, std: float = 1.0) -> Tensor:
    """Standard normal numbers as numbers of `truncated_normal_`: each goes to its own quantile.

    For a model that may not draw such numbers itself, see `Reasoner.draw`.
    """
    share = torch.special.ndtr(normal)
    below = 0.5 * math.erfc(_CUT / math.sqrt(2))
    cut = torch.special.ndtri(below + share * (1 - 2 * below)).clamp(-_CUT, _CUT)
    scaled: Tensor = cut * (std / _CUT_STD)
    return scaled


def linear(inputs: int, outputs: int) -> Linear:
    """A linear layer without bias, truncated normal with standard deviation 1/√inputs."""
    layer = Linear(inputs, outputs)
    truncated_normal_(layer.weight, inputs**-0.5)
    return layer

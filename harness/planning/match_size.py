"""Making a model as large, or as costly, as another: the option ``match=`` of a variant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import BaseModel

from ..api.errors import UsageError
from ..api.puzzles import TaskInfo
from ..api.specs import ModelSpec

LARGEST = 4096
"""Sizes that are tried."""


class Quantity(StrEnum):
    """The quantity that a chosen width makes equal."""

    PARAMETERS = "parameters"
    """Core parameters."""
    FLOPS = "flops"
    """Of one puzzle's supervision step in training, so that equal steps at equal batch cost the same."""


def parse_match(text: str) -> tuple[Quantity, str]:
    """The quantity and the model of ``match=``: ``trm`` or ``parameters:trm`` or ``flops:trm``."""
    what, _, model = text.partition(":")
    if what in tuple(Quantity):
        return Quantity(what), model
    return Quantity.PARAMETERS, text  # a colon may also be that of distribution:name


def measure(spec: ModelSpec, config: BaseModel, task: TaskInfo, quantity: Quantity) -> float:
    """The core parameters, or the FLOPs of one puzzle's supervision step in training."""
    from ..training.costs import build_shapes, count_flops, count_parameters

    build = spec.build
    assert build is not None  # `resolve_model` has made sure
    # The puzzle embedding counts for neither.
    shapes = build_shapes(lambda info: build(config, info), replace(task, identifiers=1))
    if quantity is Quantity.PARAMETERS:
        return float(count_parameters(shapes)[0])
    return count_flops(shapes, task.cells).training_step


def matched(
    spec: ModelSpec, config: Any, task: TaskInfo, target: float, quantity: Quantity
) -> tuple[Any, float]:
    """The configuration whose width comes nearest to a target in ratio, and what it measures.

    Raises:
        UsageError: the model has no `ModelSpec.resize`, or no width comes within a factor of two.
    """
    if spec.resize is None:
        raise UsageError(
            f"model {spec.name!r} cannot be matched to another: it does not say how to resize it"
        )
    resize: Callable[[Any, int], Any] = spec.resize

    def resized(size: int) -> Any:
        return type(config).model_validate(resize(config, size).model_dump())  # `model_copy` checks nothing

    @cache
    def at(size: int) -> float:
        try:
            return measure(spec, resized(size), task, quantity)
        except ValueError:  # too narrow to hold something else
            return 0.0

    low, high = 0, 1
    while at(high) < target and high < LARGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle) < target else (low, middle)
    best = min((size for size in (low, high) if size), key=lambda size: _ratio(at(size), target))
    if _ratio(at(best), target) > 2:
        raise UsageError(f"model {spec.name!r}: no width comes near {target:,.0f} {quantity.value}")
    return resized(best), at(best)


def _ratio(a: float, b: float) -> float:
    return max(a / b, b / a) if a and b else float("inf")

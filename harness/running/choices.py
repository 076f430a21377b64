"""How a run is carried out where nothing was requested: chosen once, on the machine that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..api.reasoner import Reasoner
from ..training.compiling import PAYS_AFTER, obstacle
from ..training.config import ExecutionConfig, TrainingConfig
from .machine import product_rate

REACHED = 0.6
"""Share of the peak that a step without compiling reaches at best, see docs/performance.md."""
KEPT = ("compile", "graph", "microbatch", "recompute")
"""What a run keeps to its end: another choice would change the rounding of its sums in the middle."""


def choose_compile(flops: float, precision: str, device: torch.device) -> tuple[bool, str]:
    """Whether ``compile=auto`` compiles, and why: in bf16, if the run is forecast to take long enough.

    Float32 stays eager, because its numbers are then those of the reference code, bit for bit, whatever
    compiler a machine has.

    Args:
        flops: of the whole run, training and evaluation.
        precision: ``float32`` or ``bf16``.
        device: where it runs.
    """
    if precision == "float32":
        return False, "float32 runs are compiled only with compile=true"
    if flops / (REACHED * product_rate(device, precision)) < PAYS_AFTER:
        return False, f"forecast to take less than {PAYS_AFTER / 60:.0f} minutes, too short to pay for it"
    if problem := obstacle(device):
        return False, problem
    return True, f"forecast to take more than {PAYS_AFTER / 60:.0f} minutes without"


def chosen(
    requested: ExecutionConfig, model: Reasoner, training: TrainingConfig, flops: float, device: torch.device
) -> tuple[ExecutionConfig, str]:
    """The settings without ``auto``, and why they are compiled or not; ``flops`` are of the whole run."""
    settled, why = requested.compile, "as requested"
    if settled == "auto":
        settled, why = choose_compile(flops, training.precision, device)
        if settled and type(model).compiled_parts is Reasoner.compiled_parts:
            settled, why = False, "the model names no compiled_parts()"  # its author may not have tried it
    return requested.model_copy(update={"compile": settled}), why


def kept(
    requested: ExecutionConfig, begun: Mapping[str, Any], batch: int, tell: Callable[[str], None]
) -> ExecutionConfig:
    """The settings of a run that is resumed: those with which it was begun, where they change its rounding.

    ``tell`` is called with a line for each that was requested otherwise; a portion above the ``batch`` is
    the whole batch.
    """
    for key in KEPT:
        wanted = getattr(requested, key)
        whole = key == "microbatch" and wanted != "auto" and wanted > begun[key] == batch
        if key in requested.model_fields_set and wanted not in ("auto", begun[key]) and not whole:
            value = str(begun[key]).lower()
            tell(f"continues with {key}={value}, as it was begun; --force starts from scratch")
    before, now = begun["processes"], requested.processes
    if before != now:  # their number may follow the machine, see docs/clusters.md
        tell(f"begun with processes={before}, continues with {now}: sums are rounded otherwise")
    return requested.model_copy(update={key: begun[key] for key in KEPT})

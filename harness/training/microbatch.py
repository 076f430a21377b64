"""How many puzzles of a batch are in memory at a time, chosen by the forecast and what is free."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..api.errors import UnavailableError
from ..api.reasoner import Reasoner
from ..api.text import plural, size
from .config import ExecutionConfig, TrainingConfig
from .free_memory import free_memory
from .memory import FEW, ByPortion, Memory, NotForecast, Training


@dataclass(frozen=True)
class Microbatch:
    """The choice for one run.

    Attributes:
        puzzles: in memory at a time.
        reason: why, to tell the user: the forecast and what is free, or why there is no forecast.
        memory: the forecast; None where there is none.
    """

    puzzles: int
    reason: str
    memory: Memory | None = None


def choose_microbatch(
    model: Reasoner,
    cells: int,
    batch: int,
    training: TrainingConfig,
    execution: ExecutionConfig,
    device: torch.device,
    free: int | None = None,
) -> Microbatch:
    """The requested micro-batch, or the largest divisor of the batch whose forecast fits into what is free.

    The whole batch where the free memory is not known, or the model cannot be forecast.

    Args:
        model: built, on the device or not.
        cells: L.
        batch: supervision slots.
        training: with the precision decided.
        execution: what was requested.
        device: where the run is carried out.
        free: bytes that the run may use, its weights included; by default what is free on the device now.

    Raises:
        UnavailableError: not even the smallest portions fit; says what is needed, what is free, what to try.
    """
    if execution.microbatch != "auto":
        puzzles = min(execution.microbatch, batch)
        return Microbatch(puzzles, f"portions of {puzzles} as requested")
    if free is None and (free := free_memory(device)) is not None:
        free += _resident(model, device)
    if free is None:
        return Microbatch(batch, f"not forecast: what is free on {device.type} is not known")
    recompute, compiled = execution.recompute, execution.compile is True
    portions = ByPortion(Training(model, cells, batch, training, device.type, recompute, compiled))
    try:
        most = portions.most(free)
        if most is None:
            raise UnavailableError(_refusal(portions, free))
        whole, memory = portions.at(batch), portions.at(most)
    except NotForecast as error:
        return Microbatch(batch, f"not forecast: {error}")
    reason = f"{size(whole.total)} for the batch of {batch}"
    if most < batch:
        reason += f", {size(free)} free: in portions of {most} ({size(memory.total)})"
    return Microbatch(most, reason, memory)


def _resident(model: Reasoner, device: torch.device) -> int:
    """Bytes of the model that the forecast counts and that are no longer free, because they are there."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.nbytes for tensor in tensors if tensor.device.type == device.type)


def _refusal(portions: ByPortion, free: int) -> str:
    """Why a training does not fit in the smallest portions that are counted, and what to try."""
    wanted, least = portions.training, portions.at(FEW)
    few = plural(min(FEW, wanted.batch), "puzzle")
    parts = {
        "weights": least.weights,
        "their optimiser": least.optimiser,
        "the puzzle embedding": least.puzzle_embedding,
        f"{wanted.batch} slots": least.slots,
        f"the activations of {few}": least.activations,
        "reserve": least.reserve,
    }
    listed = ", ".join(f"{name} {size(part)}" for name, part in parts.items())
    name = type(wanted.model).__name__
    return (
        f"training {name} needs {size(least.total)} even with {few} in memory at a time, and "
        f"{size(free)} are free on {wanted.device} ({listed}); {_advice(wanted, least, free)}"
    )


def _advice(wanted: Training, least: Memory, free: int) -> str:
    if not wanted.recompute:
        again = ByPortion(replace(wanted, recompute=True))
        if (most := again.most(free)) is not None:
            return f"--set recompute=true needs {size(again.at(most).total)} in portions of {most}"
    if replace(least, slots=0).reserved_for(wanted.device).total < free:
        return "a smaller --set batch_size (which is another budget) or another device"
    return "a smaller batch_size does not help; use another device"

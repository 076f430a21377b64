"""The memory of a planned training on GPUs of usual sizes, for a dry run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..api.reasoner import Reasoner
from ..api.text import size
from ..training.config import ExecutionConfig, TrainingConfig
from ..training.device import usual_precision
from ..training.memory import ByPortion, NotForecast, Training

CARDS = (80, 24)
"""GB of usual GPUs."""
DEVICE = "cuda"


def memory_plan(
    model: Reasoner, cells: int, batch: int, training: TrainingConfig, execution: ExecutionConfig
) -> dict[str, Any]:
    """The forecast memory of a training on a GPU, and how it fits `CARDS`.

    The keys: ``device``, ``precision``, ``batch``, ``microbatch``, ``recompute``; in bytes the fields of
    `training.memory.Memory` and ``total``; ``cards``, each with ``gigabytes``, the largest
    ``microbatch`` that fits (None where none does) and whether it takes ``recompute``. For a model that
    cannot be forecast: ``not_forecast`` alone, which is the reason.

    Args:
        model: built, or without its numbers.
        cells: L.
        batch: supervision slots of the whole run; the plan is that of one of its processes.
        training: of the recipe; ``precision=auto`` is that of a GPU.
        execution: what was requested.
    """
    batch //= execution.processes
    if training.precision == "auto":
        training = training.model_copy(update={"precision": usual_precision(DEVICE)})
    compiled, recompute = execution.compile is True, execution.recompute
    wanted = Training(model, cells, batch, training, DEVICE, recompute, compiled)
    ways = [ByPortion(replace(wanted, recompute=again)) for again in sorted({recompute, True})]
    fixed = None if execution.microbatch == "auto" else min(execution.microbatch, batch)
    try:
        memory = ways[0].at(fixed or batch)
        cards = [_card(ways, gigabytes, fixed) for gigabytes in CARDS]
    except NotForecast as error:
        return {"not_forecast": str(error)}
    return {
        "device": DEVICE,
        "precision": training.precision,
        "batch": batch,
        "microbatch": fixed or batch,
        "recompute": recompute,
        **asdict(memory),
        "total": memory.total,
        "cards": cards,
    }


def _card(ways: Sequence[ByPortion], gigabytes: int, fixed: int | None) -> dict[str, Any]:
    """How a training fits a GPU: without computing again where that can be."""
    free = gigabytes * 10**9
    for way in ways:
        most = way.most(free) if fixed is None else fixed if way.at(fixed).total <= free else None
        if most is not None:
            return {"gigabytes": gigabytes, "microbatch": most, "recompute": way.training.recompute}
    return {"gigabytes": gigabytes, "microbatch": None, "recompute": ways[-1].training.recompute}


def memory_line(name: str, plan: Mapping[str, Any]) -> str:
    """A `memory_plan` in one line; of a training that fits the smallest card as it is, its memory alone."""
    if "not_forecast" in plan:
        return f"memory of {name}: not forecast ({plan['not_forecast']})"
    whole, cards = plan["microbatch"], plan["cards"]
    portions = "" if whole == plan["batch"] else f" in portions of {whole}"
    again = " with recompute=true" if plan["recompute"] else ""
    line = (
        f"memory of {name} on a GPU, {plan['precision']}: {size(plan['total'])} for the batch of "
        f"{plan['batch']}{portions}{again}"
    )
    fits = [_fit(card, plan) for card in cards if card["microbatch"] is not None]
    over = [f"does not fit {card['gigabytes']} GB" for card in cards if card["microbatch"] is None]
    if fits == [f"{gigabytes} GB" for gigabytes in CARDS]:
        return line
    return "; ".join([line, *([f"fits {' and '.join(fits)}"] if fits else []), *over])


def _fit(card: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """A card, and how a training fits it otherwise than as it is planned."""
    portions = f" in portions of {card['microbatch']}" if card["microbatch"] != plan["microbatch"] else ""
    again = " with recompute=true" if card["recompute"] and not plan["recompute"] else ""
    return f"{card['gigabytes']} GB{portions}{again}"

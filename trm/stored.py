"""What stored weights of TRM tell of its options, and the reference repository's words for them.

Source: the configuration files of the TinyRecursiveModels repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..harness.api.puzzles import TaskInfo
from ..harness.api.specs import ReferenceNames
from ..harness.weights.reference_names import (
    COMMON_OPTIONS,
    Shapes,
    arch_by,
    blocks_of,
    options_by,
    registers_of,
    sizes_of,
    some_blocks,
)
from .config import TRMConfig


def infer(shapes: Shapes, task: TaskInfo) -> Mapping[str, Any]:
    """Everything but the cycles; of attention neither the heads nor the prefix positions."""
    found = sizes_of(shapes, "net")
    mixes = found["mixer"] == "mlp"
    pads = shapes.get("z_init", (0,))
    return {
        **found,
        "blocks": some_blocks(shapes, "net"),
        "networks": 2 if blocks_of(shapes, "answer_net") else 1,
        "latents": 1 + (1 if len(pads) == 1 else pads[0]),
        **({} if "heads.q.weight" in shapes else {"halting": "none"}),
        "registers": registers_of(shapes, "net", task.cells) if mixes else None,
        "cycles": None,
        "updates": None,
        "supervision": None,
    }


def _options(arch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Our options for a section ``arch``; what it does not say is left out."""
    found = options_by(_SAME)(arch)
    if arch.get("puzzle_emb_len") == 0:  # there: as many as the puzzle embedding needs
        found["registers"] = -(-int(arch["puzzle_emb_ndim"]) // int(arch["hidden_size"]))
    if "mlp_t" in arch:
        found["mixer"] = "mlp" if arch["mlp_t"] else "attention"
    if "no_ACT_continue" in arch:
        found["halting"] = "sigmoid" if arch["no_ACT_continue"] else "two-pass"
    return found


def _arch(config: TRMConfig) -> Mapping[str, Any]:
    return {
        **arch_by(_SAME)(config),
        "H_layers": 0,
        "mlp_t": config.mixer == "mlp",
        "pos_encodings": "none" if config.mixer == "mlp" else "rope",
        "no_ACT_continue": config.halting != "two-pass",
    }


_SAME = {
    **COMMON_OPTIONS,
    "H_cycles": "cycles",
    "L_cycles": "updates",
    "L_layers": "blocks",
    "puzzle_emb_len": "registers",
}
REFERENCE = ReferenceNames(
    name="recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
    parts={"H_init": "y_init", "L_init": "z_init", "L_level": "net", "H_level": "answer_net"},
    options=_options,
    arch=_arch,
)

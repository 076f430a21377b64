"""The reference repository's words for TRM's options and parts.

Source: the configuration files of the TinyRecursiveModels repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..harness.api.specs import ReferenceNames
from ..harness.weights.reference_names import COMMON_OPTIONS, arch_by, options_by
from .config import TRMConfig


def _options(arch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Our options for a section ``arch``; what it does not say is left out."""
    options = options_by(_SAME)(arch)
    if arch.get("puzzle_emb_len") == 0:  # there: as many as the puzzle embedding needs
        options["puzzle_emb_len"] = -(-int(arch["puzzle_emb_ndim"]) // int(arch["hidden_size"]))
    if "mlp_t" in arch:
        options["mixer"] = "mlp" if arch["mlp_t"] else "attention"
    if "no_ACT_continue" in arch:
        options["halting"] = "sigmoid" if arch["no_ACT_continue"] else "two-pass"
    return options


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
    "puzzle_emb_len": "puzzle_emb_len",
}
REFERENCE = ReferenceNames(
    name="recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
    parts={"H_init": "y_init", "L_init": "z_init", "L_level": "net", "H_level": "answer_net"},
    options=_options,
    arch=_arch,
)

"""The reference's words for the looped transformer's options and parts.

Source: the transformer baseline of the TinyRecursiveModels repository, which is our looped one. Its files
have ``H_cycles``, which its code does not use: the blocks are applied once a supervision step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...harness.api.errors import UsageError
from ...harness.api.specs import ReferenceNames
from ...harness.weights.reference_names import COMMON_OPTIONS, arch_by, options_by
from .config import LoopedConfig

_SAME = {**COMMON_OPTIONS, "H_layers": "blocks"}


def _arch(config: LoopedConfig) -> Mapping[str, Any]:
    if config.repeats != 1:  # no shape would show it
        raise UsageError(f"the reference applies its blocks once a step, not repeats={config.repeats}")
    return {**arch_by(_SAME)(config), "H_cycles": 1}


REFERENCE = ReferenceNames(
    name="recursive_reasoning.transformers_baseline@Model_ACTV2",
    parts={"H_init": "y_init", "H_level": "net"},
    options=options_by(_SAME),
    arch=_arch,
)

"""The reference's words for the looped transformer's options and parts.

Source: the transformer baseline of the TinyRecursiveModels repository, which is our looped one.
"""

from __future__ import annotations

from ...harness.api.specs import ReferenceNames
from ...harness.weights.reference_names import COMMON_OPTIONS, arch_by, options_by

_SAME = {**COMMON_OPTIONS, "H_cycles": "repeats", "H_layers": "blocks"}
REFERENCE = ReferenceNames(
    name="recursive_reasoning.transformers_baseline@Model_ACTV2",
    parts={"H_init": "y_init", "H_level": "net"},
    options=options_by(_SAME),
    arch=arch_by(_SAME),
)

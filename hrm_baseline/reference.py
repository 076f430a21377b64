"""The reference repository's words for HRM's options and parts.

Source: the configuration files of the HRM repository.
"""

from __future__ import annotations

from ..harness.api.specs import ReferenceNames
from ..harness.weights.reference_names import COMMON_OPTIONS, arch_by, options_by

_SAME = {
    **COMMON_OPTIONS,
    "H_cycles": "cycles",
    "L_cycles": "timesteps",
    "H_layers": "high_blocks",
    "L_layers": "low_blocks",
}
REFERENCE = ReferenceNames(
    name="hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    parts={"H_init": "z_H_init", "L_init": "z_L_init", "H_level": "f_H", "L_level": "f_L"},
    options=options_by(_SAME),
    arch=arch_by(_SAME),
)

"""What stored weights of HRM tell of its options, and the reference repository's words for them.

Source: the configuration files of the HRM repository.
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
    options_by,
    registers_of,
    sizes_of,
    some_blocks,
)


def infer(shapes: Shapes, task: TaskInfo) -> Mapping[str, Any]:
    """Everything but the cycles and the heads."""
    found = sizes_of(shapes, "f_H")
    if found["mixer"] == "mlp":
        found["registers"] = registers_of(shapes, "f_H", task.cells)
    return {
        **found,
        "h_blocks": some_blocks(shapes, "f_H"),
        "l_blocks": some_blocks(shapes, "f_L"),
        **({} if "heads.q.weight" in shapes else {"halting": "none"}),
        "h_cycles": None,
        "l_cycles": None,
        "supervision": None,
    }


_SAME = {
    **COMMON_OPTIONS,
    "H_cycles": "h_cycles",
    "L_cycles": "l_cycles",
    "H_layers": "h_blocks",
    "L_layers": "l_blocks",
}
REFERENCE = ReferenceNames(
    name="hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    parts={"H_init": "z_H_init", "L_init": "z_L_init", "H_level": "f_H", "L_level": "f_L"},
    options=options_by(_SAME),
    arch=arch_by(_SAME),
)

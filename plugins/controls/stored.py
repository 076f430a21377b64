"""What stored weights of the transformers tell of their options, and the reference's words for them.

Source: the transformer baseline of the TinyRecursiveModels repository, which is our looped one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...harness.api.puzzles import TaskInfo
from ...harness.api.specs import ReferenceNames
from ...harness.weights.reference_names import (
    COMMON_OPTIONS,
    Shapes,
    arch_by,
    options_by,
    registers_of,
    sizes_of,
    some_blocks,
)


def infer(shapes: Shapes, task: TaskInfo) -> Mapping[str, Any]:
    """The sizes; of attention not the heads, and not how often the blocks are applied."""
    found = {**sizes_of(shapes, "net"), "blocks": some_blocks(shapes, "net"), "repeats": None}
    if found["mixer"] == "mlp":
        found["registers"] = registers_of(shapes, "net", task.cells)
    return found


def infer_looped(shapes: Shapes, task: TaskInfo) -> Mapping[str, Any]:
    """As `infer`, and the supervision steps must be asked for."""
    halting = {} if "heads.q.weight" in shapes else {"halting": "none"}
    return {**infer(shapes, task), **halting, "supervision": None}


_SAME = {
    **COMMON_OPTIONS,
    "H_cycles": "repeats",
    "H_layers": "blocks",
}
REFERENCE = ReferenceNames(
    name="recursive_reasoning.transformers_baseline@Model_ACTV2",
    parts={"H_init": "y_init", "H_level": "net"},
    options=options_by(_SAME),
    arch=arch_by(_SAME),
)

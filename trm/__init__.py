"""TRM, the Tiny Recursive Model (arXiv 2510.04871), as a plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..harness.api.hookspecs import hookimpl
from ..harness.api.puzzles import TaskInfo
from ..harness.api.specs import ModelSpec
from .config import ALIASES, TRMConfig, TRMMLPConfig
from .reference import REFERENCE

if TYPE_CHECKING:
    from ..harness.api.reasoner import Reasoner

HERE = Path(__file__).parent
SMALL_CONTEXT = 100
"""Cells up to which `trm` resolves to the MLP mixer.

The paper (section 4.5) advises the mixer for small fixed contexts and finds it at 87.4 % on 81
cells and at 0 % on 900; nothing was published in between.
"""
CITATION = """\
@misc{jolicoeur2025less,
  title         = {Less is More: Recursive Reasoning with Tiny Networks},
  author        = {Jolicoeur-Martineau, Alexia},
  year          = {2025},
  eprint        = {2510.04871},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG}
}"""


def _build(config: Any, task: TaskInfo) -> Reasoner:
    from .ablations import build

    return build(config, task)


def _resize(config: TRMConfig, size: int) -> TRMConfig:
    return config.model_copy(update={"hidden": 2 * config.heads * size})


def resolve(task: TaskInfo, options: Mapping[str, str]) -> str:
    """Choose the mixer for a task: MLP for one kind of puzzle of up to `SMALL_CONTEXT` cells, else attention.

    On ARC-AGI-1 the paper has attention at 44.6 % and the MLP at 29.6 %. ``mixer=`` decides.
    """
    if "mixer" in options:
        return "trm-mlp" if options["mixer"] == "mlp" else "trm-att"
    fixed = task.cells <= SMALL_CONTEXT and task.identifiers == 1
    return "trm-mlp" if fixed else "trm-att"


@hookimpl
def trm_bench_register_models() -> Iterable[ModelSpec]:
    """TRM with each mixer, and the alias `trm`, which resolves to the one that the paper advises."""
    return [
        ModelSpec(
            name="trm",
            summary="alias: trm-mlp on small grids, trm-att on large ones and on ARC",
            resolve=resolve,
            citation=CITATION,
        ),
        ModelSpec(
            name="trm-att",
            display_name="TRM-Att",
            summary="TRM with attention over positions",
            config=TRMConfig,
            build=_build,
            recipes=HERE / "trm-att.yaml",
            aliases=ALIASES,
            resize=_resize,
            reference=REFERENCE,
            citation=CITATION,
        ),
        ModelSpec(
            name="trm-mlp",
            display_name="TRM-MLP",
            summary="TRM with an MLP over positions",
            config=TRMMLPConfig,
            build=_build,
            recipes=HERE / "trm-mlp.yaml",
            aliases=ALIASES,
            resize=_resize,
            reference=REFERENCE,
            citation=CITATION,
        ),
    ]

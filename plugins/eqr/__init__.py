"""EqR, the equilibrium reasoner (arXiv 2605.21488), as a plugin of public names alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trm_bench import ModelSpec, TaskInfo, hookimpl

from .config import EqRConfig, EqRMLPConfig

if TYPE_CHECKING:
    from trm_bench import Reasoner

RECIPES = Path(__file__).parent / "eqr.yaml"
SMALL_CONTEXT = 100
"""Cells up to which `eqr` resolves to the MLP mixer, as `trm` does; the paper has it on Sudoku alone."""
CITATION = """\
@misc{huang2026equilibrium,
  title         = {Equilibrium Reasoners: Learning Attractors Enables Scalable Reasoning},
  author        = {Huang, Benhao and Geng, Zhengyang and Kolter, Zico},
  year          = {2026},
  eprint        = {2605.21488},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG}
}"""


def _build(config: EqRConfig, task: TaskInfo) -> Reasoner:
    from .model import EqR

    return EqR(config, task)


def resolve(task: TaskInfo, options: Mapping[str, str]) -> str:
    """Choose the mixer for a task; ``mixer=`` decides."""
    fixed = task.cells <= SMALL_CONTEXT and task.identifiers == 1
    mixer = options.get("mixer", "mlp" if fixed else "attention")
    return "eqr-mlp" if mixer == "mlp" else "eqr-att"


@hookimpl
def trm_bench_register_models() -> Iterable[ModelSpec]:
    """EqR with each mixer, and the alias `eqr`; sizes and training settings are TRM's."""
    return [
        ModelSpec(
            name="eqr",
            summary="alias: eqr-mlp on small grids, eqr-att on large ones and on ARC",
            resolve=resolve,
            citation=CITATION,
        ),
        ModelSpec(
            name="eqr-att",
            display_name="EqR-Att",
            summary="EqR: TRM with attention, a random start, and damped noisy updates",
            config=EqRConfig,
            build=_build,
            recipes=RECIPES,
            based_on="trm-att",
            citation=CITATION,
        ),
        ModelSpec(
            name="eqr-mlp",
            display_name="EqR-MLP",
            summary="EqR: TRM with an MLP over positions, a random start, and damped noisy updates",
            config=EqRMLPConfig,
            build=_build,
            recipes=RECIPES,
            based_on="trm-mlp",
            citation=CITATION,
        ),
    ]

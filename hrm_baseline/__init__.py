"""HRM, the Hierarchical Reasoning Model (arXiv 2506.21734), as a plugin."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..harness.api.hookspecs import hookimpl
from ..harness.api.puzzles import TaskInfo
from ..harness.api.specs import ModelSpec
from .config import ALIASES, HRMConfig
from .reference import REFERENCE

if TYPE_CHECKING:
    from ..harness.api.reasoner import Reasoner

CITATION = """\
@misc{wang2025hierarchical,
  title         = {Hierarchical Reasoning Model},
  author        = {Wang, Guan and Li, Jin and Sun, Yuhao and Chen, Xing and Liu, Changling and
                   Wu, Yue and Lu, Meng and Song, Sen and Abbasi Yadkori, Yasin},
  year          = {2025},
  eprint        = {2506.21734},
  archivePrefix = {arXiv},
  primaryClass  = {cs.AI}
}"""


def _build(config: Any, task: TaskInfo) -> Reasoner:
    from .model import HRM

    return HRM(config, task)


def _resize(config: HRMConfig, size: int) -> HRMConfig:
    return config.model_copy(update={"hidden": 2 * config.heads * size})


@hookimpl
def trm_bench_register_models() -> Iterable[ModelSpec]:
    """HRM."""
    return [
        ModelSpec(
            name="hrm",
            display_name="HRM",
            summary="HRM: a high-level and a low-level network, one-step gradient, Q-learned halting",
            config=HRMConfig,
            build=_build,
            recipes=Path(__file__).parent / "hrm.yaml",
            aliases=ALIASES,
            resize=_resize,
            reference=REFERENCE,
            citation=CITATION,
        )
    ]

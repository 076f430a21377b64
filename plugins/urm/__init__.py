"""URM, the Universal Reasoning Model (arXiv 2512.14693), as a plugin of public names alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from trm_bench import ModelSpec, TaskInfo, hookimpl

from .config import ALIASES, URMConfig

if TYPE_CHECKING:
    from trm_bench import Reasoner

CITATION = """\
@misc{gao2025universal,
  title         = {Universal Reasoning Model},
  author        = {Gao, Zitian and Chen, Lynx and Xiao, Yihao and Xing, He and Tao, Ran and
                   Luo, Haoming and Zhou, Joey and Dai, Bryan},
  year          = {2025},
  eprint        = {2512.14693},
  archivePrefix = {arXiv},
  primaryClass  = {cs.AI}
}"""


def _build(config: URMConfig, task: TaskInfo) -> Reasoner:
    from .model import URM

    return URM(config, task)


def _resize(config: URMConfig, size: int) -> URMConfig:
    return config.model_copy(update={"hidden": 2 * config.heads * size})


@hookimpl
def trm_bench_register_models() -> Iterable[ModelSpec]:
    """URM."""
    return [
        ModelSpec(
            name="urm",
            display_name="URM",
            summary="URM: one latent, a short convolution in each block, truncated back-propagation",
            config=URMConfig,
            build=_build,
            recipes=Path(__file__).parent / "urm.yaml",
            aliases=ALIASES,
            resize=_resize,
            citation=CITATION,
        )
    ]

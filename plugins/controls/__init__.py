"""The controls: a transformer without recursion, one with the outer loop, and a copy of the input."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...harness.api.hookspecs import hookimpl
from ...harness.api.puzzles import TaskInfo
from ...harness.api.specs import ModelSpec
from .config import ALIASES, CopyConfig, LoopedConfig, TransformerConfig
from .reference import REFERENCE

if TYPE_CHECKING:
    from ...harness.api.reasoner import Reasoner

HERE = Path(__file__).parent


def _transformer(config: Any, task: TaskInfo) -> Reasoner:
    from .transformers import Transformer

    return Transformer(config, task)


def _looped(config: Any, task: TaskInfo) -> Reasoner:
    from .transformers import LoopedTransformer

    return LoopedTransformer(config, task)


def _copy(config: Any, task: TaskInfo) -> Reasoner:
    from .copying import Copy

    return Copy(task)


def _resize(config: TransformerConfig, size: int) -> TransformerConfig:
    return config.model_copy(update={"hidden": 2 * config.heads * size})


@hookimpl
def trm_bench_register_models() -> Iterable[ModelSpec]:
    """The three controls."""
    return [
        ModelSpec(
            name="transformer",
            display_name="Transformer",
            summary="one pass, no carried state: the non-recursive control",
            config=TransformerConfig,
            build=_transformer,
            recipes=HERE / "transformer.yaml",
            aliases=ALIASES,
            resize=_resize,
        ),
        ModelSpec(
            name="transformer-looped",
            display_name="Looped transformer",
            summary="a transformer that carries its state over supervision steps",
            config=LoopedConfig,
            build=_looped,
            recipes=HERE / "transformer-looped.yaml",
            aliases=ALIASES,
            resize=_resize,
            reference=REFERENCE,
        ),
        ModelSpec(
            name="copy",
            display_name="Copy",
            summary="copies the input unchanged: the floor any model must beat",
            config=CopyConfig,
            build=_copy,
            trained=False,
        ),
    ]

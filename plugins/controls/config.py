"""Options of the controls."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...harness.nn.config import BlockConfig

ALIASES = {"prefix": "puzzle_emb_len", "width": "hidden"}


class TransformerConfig(BlockConfig):
    """Sizes of the one-pass transformer; the defaults are those of HRM's "direct prediction"."""

    heads: int = Field(12, gt=0, description="attention heads; the published 27.13M need 12 of size 42")
    blocks: int = Field(8, gt=0, le=1000, description="blocks")
    repeats: int = Field(
        1, gt=0, le=10_000, description="times that the blocks are applied, with the same weights"
    )


class LoopedConfig(TransformerConfig):
    """The same, applied at every supervision step to a carried state."""

    supervision: int = Field(16, gt=0, le=100_000, description="N_sup, supervision steps per puzzle")
    halting: Literal["compare", "sigmoid", "two-pass", "none"] = Field(
        "compare",
        description="an untrained continue logit as in the TRM repository; TRM's; HRM's; all steps always",
    )


class CopyConfig(BaseModel):
    """The copy baseline has no options."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

"""Options of the controls."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TransformerConfig(BaseModel):
    """Sizes of the one-pass transformer; the defaults are those of HRM's "direct prediction"."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden: int = Field(512, gt=0, description="D, hidden size")
    heads: int = Field(12, gt=0, description="attention heads; the published 27.13M need 12 of size 42")
    blocks: int = Field(8, gt=0, description="blocks")
    expansion: float = Field(4.0, gt=0, description="SwiGLU expansion")
    multiple: int = Field(256, gt=0, description="SwiGLU inner sizes are rounded up to a multiple of this")


class LoopedConfig(TransformerConfig):
    """The same, applied once per supervision step to a carried state."""

    supervision: int = Field(16, gt=0, description="N_sup, supervision steps per puzzle")


class CopyConfig(BaseModel):
    """The copy baseline has no options."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

"""Options of TRM, in the paper's names."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TRMConfig(BaseModel):
    """Sizes and cycles of TRM; the defaults are the published ones (arXiv 2510.04871, section 5)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mixer: Literal["attention", "mlp"] = "attention"
    hidden: int = Field(512, gt=0, description="D, hidden size")
    heads: int = Field(8, gt=0, description="attention heads; unused by the MLP mixer")
    blocks: int = Field(2, gt=0, description="blocks of the one network")
    cycles: int = Field(3, gt=0, description="T, of which the last is back-propagated")
    updates: int = Field(6, gt=0, description="n, updates of z in a cycle")
    supervision: int = Field(16, gt=0, description="N_sup, supervision steps per puzzle")
    prefix: int = Field(16, ge=1, description="P, positions that hold the puzzle embedding")
    expansion: float = Field(4.0, gt=0, description="SwiGLU expansion")
    multiple: int = Field(256, gt=0, description="SwiGLU inner sizes are rounded up to a multiple of this")


class TRMMLPConfig(TRMConfig):
    """TRM with the MLP mixer."""

    mixer: Literal["attention", "mlp"] = "mlp"

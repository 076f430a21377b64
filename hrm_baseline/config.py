"""Options of HRM, in the paper's names."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class HRMConfig(BaseModel):
    """Sizes and cycles of HRM; the defaults are the published ones (arXiv 2506.21734)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden: int = Field(512, gt=0, description="D, hidden size")
    heads: int = Field(8, gt=0, description="attention heads")
    h_blocks: int = Field(4, gt=0, description="blocks of the slow network f_H")
    l_blocks: int = Field(4, gt=0, description="blocks of the fast network f_L")
    h_cycles: int = Field(2, gt=0, description="H, updates of the slow state per supervision step")
    l_cycles: int = Field(2, gt=0, description="L, updates of the fast state per slow update")
    supervision: int = Field(16, gt=0, description="N_sup, supervision steps per puzzle")
    expansion: float = Field(4.0, gt=0, description="SwiGLU expansion")
    multiple: int = Field(256, gt=0, description="SwiGLU inner sizes are rounded up to a multiple of this")

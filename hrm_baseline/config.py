"""Options of HRM, in the paper's names."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ALIASES = {"H": "h_cycles", "L": "l_cycles", "prefix": "registers", "width": "hidden"}


class HRMConfig(BaseModel):
    """Sizes, cycles and variants of HRM; the defaults are the published ones (arXiv 2506.21734)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mixer: Literal["attention", "mlp"] = "attention"
    hidden: int = Field(512, gt=0, description="D, hidden size")
    heads: int = Field(8, gt=0, description="attention heads; unused by the MLP mixer")
    h_blocks: int = Field(4, gt=0, description="blocks of the slow network f_H")
    l_blocks: int = Field(4, gt=0, description="blocks of the fast network f_L")
    h_cycles: int = Field(2, gt=0, description="H, updates of the slow state per supervision step")
    l_cycles: int = Field(2, gt=0, description="L, updates of the fast state per slow update")
    supervision: int = Field(16, gt=0, description="N_sup, supervision steps per puzzle")
    gradient: Literal["one-step", "full"] = Field(
        "one-step", description="only through the last update of each state, or through the whole last cycle"
    )
    halting: Literal["two-pass", "sigmoid", "none"] = Field(
        "two-pass", description="Q-learning with a second pass; TRM's halt logit; all steps always"
    )
    networks: int = Field(2, ge=1, le=2, description="f_H and f_L, or one network in both places")
    registers: int = Field(1, ge=1, description="P, prefix positions; more where E needs them")
    puzzle_size: int | None = Field(None, gt=0, description="E, size of a puzzle embedding; by default D")
    expansion: float = Field(4.0, gt=0, description="SwiGLU expansion")
    multiple: int = Field(256, gt=0, description="SwiGLU inner sizes are rounded up to a multiple of this")

    @property
    def prefix(self) -> int:
        """P: the registers, or as many positions as the puzzle embedding needs."""
        return max(self.registers, -(-(self.puzzle_size or self.hidden) // self.hidden))

    @model_validator(mode="after")
    def _one_network_has_one_size(self) -> Self:
        if self.networks == 1 and self.h_blocks != self.l_blocks:
            raise ValueError(
                f"networks=1 has one stack of blocks: h_blocks={self.h_blocks} and l_blocks={self.l_blocks} "
                "must be the same"
            )
        return self

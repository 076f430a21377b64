"""Options of the controls."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ALIASES = {"prefix": "registers", "width": "hidden"}


class TransformerConfig(BaseModel):
    """Sizes of the one-pass transformer; the defaults are those of HRM's "direct prediction"."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mixer: Literal["attention", "mlp"] = "attention"
    hidden: int = Field(512, gt=0, description="D, hidden size")
    heads: int = Field(12, gt=0, description="attention heads; the published 27.13M need 12 of size 42")
    blocks: int = Field(8, gt=0, description="blocks")
    repeats: int = Field(1, gt=0, description="times that the blocks are applied, with the same weights")
    registers: int = Field(1, ge=1, description="P, prefix positions; more where E needs them")
    puzzle_size: int | None = Field(None, gt=0, description="E, size of a puzzle embedding; by default D")
    expansion: float = Field(4.0, gt=0, description="SwiGLU expansion")
    multiple: int = Field(256, gt=0, description="SwiGLU inner sizes are rounded up to a multiple of this")

    @property
    def prefix(self) -> int:
        """P: the registers, or as many positions as the puzzle embedding needs."""
        return max(self.registers, -(-(self.puzzle_size or self.hidden) // self.hidden))


class LoopedConfig(TransformerConfig):
    """The same, applied at every supervision step to a carried state."""

    supervision: int = Field(16, gt=0, description="N_sup, supervision steps per puzzle")
    halting: Literal["compare", "sigmoid", "two-pass", "none"] = Field(
        "compare",
        description="an untrained continue logit as in the TRM repository; TRM's; HRM's; all steps always",
    )


class CopyConfig(BaseModel):
    """The copy baseline has no options."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

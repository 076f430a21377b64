"""Options that every model built of our blocks shares. Imports no torch: `trm-bench list` reads it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class BlockConfig(BaseModel):
    """Sizes of a block and of the puzzle embedding before the cells; defaults of the HRM and TRM papers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mixer: Literal["attention", "mlp"] = "attention"
    hidden: int = Field(512, gt=0, description="D, hidden size")
    heads: int = Field(8, gt=0, description="attention heads; unused by the MLP mixer")
    expansion: float = Field(4.0, gt=0, description="SwiGLU expansion")
    multiple: int = Field(256, gt=0, description="SwiGLU inner sizes are rounded up to a multiple of this")
    puzzle_emb_len: int = Field(
        1,
        ge=0,
        description="P, positions before the cells that hold the puzzle embedding; more where E needs them; "
        "0: no puzzle embedding",
    )
    puzzle_emb_ndim: int | None = Field(None, gt=0, description="E, size of a puzzle embedding; by default D")

    @property
    def puzzle_size(self) -> int:
        """E; 0 without a puzzle embedding."""
        return (self.puzzle_emb_ndim or self.hidden) if self.puzzle_emb_len else 0

    @property
    def prefix(self) -> int:
        """P: `puzzle_emb_len`, or as many positions as the puzzle embedding needs; 0 without one."""
        if not self.puzzle_emb_len:
            return 0
        return max(self.puzzle_emb_len, -(-self.puzzle_size // self.hidden))

    @model_validator(mode="after")
    def _no_size_of_nothing(self) -> Self:
        if self.puzzle_emb_ndim and not self.puzzle_emb_len:
            raise ValueError(
                f"puzzle_emb_len=0 has no puzzle embedding; leave puzzle_emb_ndim={self.puzzle_emb_ndim} out"
            )
        return self

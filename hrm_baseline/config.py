"""Options of HRM, in the paper's names."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ..harness.nn.config import BlockConfig

ALIASES = {"N": "cycles", "T": "timesteps", "prefix": "puzzle_emb_len", "width": "hidden"}


class HRMConfig(BlockConfig):
    """Sizes, cycles and ablations of HRM; the defaults are the published ones (arXiv 2506.21734)."""

    high_blocks: int = Field(4, gt=0, le=1000, description="blocks of the high-level network f_H")
    low_blocks: int = Field(4, gt=0, le=1000, description="blocks of the low-level network f_L")
    cycles: int = Field(2, gt=0, le=10_000, description="N, high-level cycles per supervision step")
    timesteps: int = Field(2, gt=0, le=10_000, description="T, low-level timesteps per cycle")
    supervision: int = Field(16, gt=0, le=100_000, description="N_sup, supervision steps per puzzle")
    gradient: Literal["one-step", "full"] = Field(
        "one-step", description="only through the last update of each state, or through the whole last cycle"
    )
    halting: Literal["two-pass", "sigmoid", "none"] = Field(
        "two-pass", description="Q-learning with a second pass; TRM's halt logit; all steps always"
    )
    networks: int = Field(2, ge=1, le=2, description="f_H and f_L, or one network in both places")

    @model_validator(mode="after")
    def _one_network_has_one_size(self) -> Self:
        if self.networks == 1 and self.high_blocks != self.low_blocks:
            raise ValueError(
                f"networks=1 has one stack of blocks: high_blocks={self.high_blocks} and "
                f"low_blocks={self.low_blocks} must be equal"
            )
        return self

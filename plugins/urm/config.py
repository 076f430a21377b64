"""Options of URM, in the paper's terms."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from trm_bench import BlockConfig

ALIASES = {"M": "loops", "N": "untracked", "prefix": "puzzle_emb_len", "width": "hidden"}


class URMConfig(BlockConfig):
    """Sizes and loops of URM; the defaults are those of its code (M = 12, N = 6; the paper: 8 and 2)."""

    mixer: Literal["attention"] = "attention"
    blocks: int = Field(4, gt=0, le=1000, description="blocks of the one network")
    conv: bool = Field(True, description="the short convolution in each block; without it a plain SwiGLU")
    loops: int = Field(12, gt=0, le=10_000, description="M, times that the network is applied in a step")
    untracked: int = Field(6, ge=0, description="N, the first loops of a step, which have no gradient")
    supervision: int = Field(16, gt=0, le=100_000, description="N_sup, supervision steps per puzzle")
    halting: Literal["sigmoid", "two-pass", "none"] = Field(
        "sigmoid", description="a trained halt logit; HRM's Q-learning with a second pass; all steps always"
    )

    @model_validator(mode="after")
    def _something_is_tracked(self) -> Self:
        if self.untracked >= self.loops:
            raise ValueError(
                f"untracked={self.untracked} of loops={self.loops} leaves no loop with a gradient; "
                f"use at most untracked={self.loops - 1}"
            )
        return self

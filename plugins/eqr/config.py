"""Options of EqR; the defaults are those of its code."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trm_bench import RecursionConfig


class EqRConfig(RecursionConfig):
    """TRM's sizes and cycles, no puzzle embedding as in the released code, and the paper's two changes."""

    puzzle_emb_len: int = Field(
        0, ge=0, description="P, positions that hold the puzzle embedding; 0: no puzzle embedding"
    )
    start: Literal["random", "fixed"] = Field(
        "random", description="y and z of a new puzzle: every number drawn, or TRM's fixed vectors"
    )
    damping: float = Field(0.05, ge=0, lt=1, description="share of a latent that an update keeps")
    noise: float = Field(0.01, ge=0, description="standard deviation of the noise that an update adds")


class EqRMLPConfig(EqRConfig):
    """EqR with the MLP mixer."""

    mixer: Literal["attention", "mlp"] = "mlp"

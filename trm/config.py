"""Options of TRM, in the paper's names."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..harness.nn.config import BlockConfig

ALIASES = {"T": "cycles", "n": "updates", "prefix": "puzzle_emb_len", "width": "hidden"}


class RecursionConfig(BlockConfig):
    """Sizes and cycles of `TRM`; the defaults are the published ones (arXiv 2510.04871).

    A model that subclasses `TRM` adds its own options to these.
    """

    blocks: int = Field(2, gt=0, le=1000, description="blocks of the one network")
    cycles: int = Field(
        3, gt=0, le=10_000, description="T, latent recursions per supervision step; the last has a gradient"
    )
    updates: int = Field(6, gt=0, le=10_000, description="n, updates of z in a latent recursion")
    supervision: int = Field(16, gt=0, le=100_000, description="N_sup, supervision steps per puzzle")
    halting: Literal["sigmoid", "two-pass", "none"] = Field(
        "sigmoid", description="a trained halt logit; HRM's Q-learning with a second pass; all steps always"
    )
    puzzle_emb_len: int = Field(
        16, ge=0, description="P, positions that hold the puzzle embedding; 0: no puzzle embedding"
    )

    @model_validator(mode="after")
    def _embedding_fits(self) -> Self:
        if self.prefix != self.puzzle_emb_len:
            raise ValueError(
                f"a puzzle embedding of puzzle_emb_ndim={self.puzzle_emb_ndim} does not fit "
                f"puzzle_emb_len={self.puzzle_emb_len} positions of hidden={self.hidden}"
            )
        return self


class TRMConfig(RecursionConfig):
    """TRM with the paper's ablations of the recursion, see `ablations`."""

    gradient: Literal["full", "one-step"] = Field(
        "full", description="through the whole last cycle, or only through the last update of z and of y"
    )
    networks: int = Field(1, ge=1, le=2, description="one for z and y, or one for each")
    latents: Annotated[int, Field(gt=0)] | Literal["multi"] = Field(
        2, description="1: y alone; 2: y and z; k: y and k − 1 z's; multi: y and one z for each update"
    )

    @property
    def scratch_pads(self) -> int:
        """Number of z's."""
        return self.updates if self.latents == "multi" else self.latents - 1

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.latents == 1 and self.networks == 2:
            raise ValueError("networks=2 needs a z as well as y; latents=1 has none")
        if self.scratch_pads > self.updates:
            raise ValueError(
                f"latents={self.latents} has {self.scratch_pads} z's and updates={self.updates} would leave "
                f"some unchanged; use updates={self.scratch_pads}, or latents=multi for one z per update"
            )
        return self


class TRMMLPConfig(TRMConfig):
    """TRM with the MLP mixer."""

    mixer: Literal["attention", "mlp"] = "mlp"

"""Options of TRM, in the paper's names."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mixer = Literal["attention", "mlp"]
ALIASES = {"T": "cycles", "n": "updates", "prefix": "registers", "width": "hidden"}


class TRMConfig(BaseModel):
    """Sizes, cycles and variants of TRM; the defaults are the published ones (arXiv 2510.04871)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mixer: Mixer = "attention"
    hidden: int = Field(512, gt=0, description="D, hidden size")
    heads: int = Field(8, gt=0, description="attention heads; unused by the MLP mixer")
    blocks: int = Field(2, gt=0, description="blocks of the one network")
    cycles: int = Field(3, gt=0, description="T, of which the last is back-propagated")
    updates: int = Field(6, gt=0, description="n, updates of z in a cycle")
    supervision: int = Field(16, gt=0, description="N_sup, supervision steps per puzzle")
    gradient: Literal["full", "one-step"] = Field(
        "full", description="through the whole last cycle, or only through the last update of z and of y"
    )
    halting: Literal["sigmoid", "two-pass", "none"] = Field(
        "sigmoid", description="a trained halt logit; HRM's Q-learning with a second pass; all steps always"
    )
    networks: int = Field(1, ge=1, le=2, description="one for z and y, or one for each")
    latents: Annotated[int, Field(gt=0)] | Literal["multi"] = Field(
        2, description="1: y alone; 2: y and z; k: y and k − 1 z's; multi: y and one z for each update"
    )
    registers: int = Field(16, ge=1, description="P, prefix positions, which hold the puzzle embedding")
    puzzle_size: int | None = Field(None, gt=0, description="E, size of a puzzle embedding; by default D")
    expansion: float = Field(4.0, gt=0, description="SwiGLU expansion")
    multiple: int = Field(256, gt=0, description="SwiGLU inner sizes are rounded up to a multiple of this")

    @property
    def scratch_pads(self) -> int:
        """How many z's there are beside y."""
        return self.updates if self.latents == "multi" else self.latents - 1

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.latents == 1 and self.networks == 2:
            raise ValueError("networks=2 needs a z beside y; latents=1 has none")
        if (self.puzzle_size or self.hidden) > self.registers * self.hidden:
            raise ValueError(
                f"a puzzle embedding of puzzle_size={self.puzzle_size} does not fit "
                f"registers={self.registers} positions of hidden={self.hidden}"
            )
        if self.scratch_pads > self.updates:
            raise ValueError(
                f"latents={self.latents} has {self.scratch_pads} z's and updates={self.updates} would leave "
                f"some as they are; take updates={self.scratch_pads}, or latents=multi for one z per update"
            )
        return self


class TRMMLPConfig(TRMConfig):
    """TRM with the MLP mixer."""

    mixer: Mixer = "mlp"

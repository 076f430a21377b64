"""How a model is trained (part of its recipe), and how that is carried out (no part of it)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _off(value: object) -> object:
    return 0.0 if value is None or value == "none" else value


class TrainingConfig(BaseModel):
    """Training settings; the defaults are those of TRM (arXiv 2510.04871, appendix on hyper-parameters)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    optimizer: Literal["adam-atan2", "muon"] = Field(
        "adam-atan2", description="muon: torch.optim.Muon for matrices, AdamATan2 for the rest"
    )
    lr: float = Field(1e-4, gt=0, description="learning rate of all weights but puzzle embeddings")
    weight_decay: float = Field(1.0, ge=0, description="decoupled weight decay")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    clip: Annotated[float, BeforeValidator(_off)] = Field(
        0.0, ge=0, description="largest norm of the gradient over all weights; 0 or none is off"
    )
    embedding_lr: float = Field(1e-4, ge=0, description="learning rate of sign-SGD on puzzle embeddings")
    embedding_weight_decay: float = Field(1.0, ge=0)
    warmup: int = Field(2000, ge=0, description="optimiser steps of linear warm-up")
    min_lr_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="cosine decay to this share over the whole budget, warm-up included; 1 is constant",
    )
    ema: float = Field(
        0.999, ge=0, lt=1, description="decay of the weight average; 0 evaluates the raw weights"
    )
    exploration: float = Field(0.1, ge=0, le=1, description="chance that a puzzle may not halt early")
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device multiplies in it"
    )


AT_EVALUATION = ("precision",)
"""Training settings that weights can be evaluated with, too."""


def _never(value: object) -> object:
    return None if value == "none" else value


class ExecutionConfig(BaseModel):
    """How a run is carried out: recorded in its manifest, no part of its identity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    compile: Literal["auto"] | bool = Field(
        "auto", description="torch.compile the parts that a model names; auto: in bf16, where it pays"
    )
    processes: int = Field(
        1, gt=0, le=1024, description="processes that train a run together, a GPU each on CUDA"
    )
    graph: bool = Field(False, description="CUDA: launch a whole training step as one captured graph")
    microbatch: Literal["auto"] | Annotated[int, Field(gt=0)] = Field(
        "auto", description="puzzles of a batch in memory at a time, in training; auto: as many as fit"
    )
    recompute: bool = Field(
        False, description="compute blocks again in the backward pass: less memory, up to a third more work"
    )
    evaluation_batch: int = Field(256, gt=0, description="puzzles per batch at evaluation")
    validations: int = Field(8, ge=0, description="points of the validation curve")
    checkpoint_seconds: Annotated[float | None, BeforeValidator(_never)] = Field(
        300.0, gt=0, description="seconds between checkpoints; none for never"
    )
    checkpoint_steps: Annotated[int | None, BeforeValidator(_never)] = Field(
        None, gt=0, description="optimiser steps between checkpoints"
    )

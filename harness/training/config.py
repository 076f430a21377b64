"""How a model is trained: the part of a recipe that is not the model's own configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingConfig(BaseModel):
    """Training settings; the defaults are the published ones (TRM, arXiv 2510.04871, section 5)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lr: float = Field(1e-4, gt=0, description="learning rate of AdamATan2")
    weight_decay: float = Field(1.0, ge=0, description="decoupled weight decay")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    embedding_lr: float = Field(1e-4, ge=0, description="learning rate of sign-SGD on puzzle embeddings")
    embedding_weight_decay: float = Field(1.0, ge=0)
    warmup: int = Field(2000, ge=0, description="optimiser steps of linear warm-up")
    min_lr_ratio: float = Field(1.0, ge=0, le=1, description="cosine decay to this share; 1 is constant")
    ema: float = Field(
        0.999, ge=0, lt=1, description="decay of the weight average; 0 evaluates the raw weights"
    )
    exploration: float = Field(0.1, ge=0, le=1, description="chance that a puzzle may not halt early")
    precision: Literal["auto", "float32", "bf16"] = Field("auto", description="auto: bf16 on CUDA")
    compile: bool = Field(False, description="torch.compile the parts that a model names, in training")
    graph: bool = Field(False, description="CUDA: launch a whole training step as one captured graph")
    evaluation_batch: int = Field(256, gt=0, description="puzzles answered at a time")
    validations: int = Field(8, ge=0, description="points of the validation curve")

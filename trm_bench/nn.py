"""Parts of models for plugins: blocks, embeddings, heads, initialisation, loss. Imports torch."""

from __future__ import annotations

from .harness.api.reasoner import HALTING_OPTIONS
from .harness.nn.blocks import Attention, AttentionBlock, MixerBlock, Rotary, Stack, SwiGLU, rms_norm
from .harness.nn.config import BlockConfig
from .harness.nn.embedding import InputEmbedding, OutputHeads, PuzzleEmbedding
from .harness.nn.init import linear, truncated, truncated_normal_
from .harness.nn.loss import StepLoss, stablemax_cross_entropy, step_loss
from .harness.nn.precision import Linear

__all__ = [
    "HALTING_OPTIONS",
    "Attention",
    "AttentionBlock",
    "BlockConfig",
    "InputEmbedding",
    "Linear",
    "MixerBlock",
    "OutputHeads",
    "PuzzleEmbedding",
    "Rotary",
    "Stack",
    "StepLoss",
    "SwiGLU",
    "linear",
    "rms_norm",
    "stablemax_cross_entropy",
    "step_loss",
    "truncated",
    "truncated_normal_",
]

"""Parts of models for plugins: blocks, embeddings, heads, initialisation. Importing it imports torch."""

from __future__ import annotations

from .harness.nn.blocks import Attention, AttentionBlock, MixerBlock, Rotary, Stack, SwiGLU, rms_norm
from .harness.nn.config import BlockConfig
from .harness.nn.embedding import InputEmbedding, OutputHeads, PuzzleEmbedding
from .harness.nn.init import linear, truncated_normal_

__all__ = [
    "Attention",
    "AttentionBlock",
    "BlockConfig",
    "InputEmbedding",
    "MixerBlock",
    "OutputHeads",
    "PuzzleEmbedding",
    "Rotary",
    "Stack",
    "SwiGLU",
    "linear",
    "rms_norm",
    "truncated_normal_",
]

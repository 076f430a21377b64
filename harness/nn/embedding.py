"""From tokens and puzzle identifiers to x, and from the answer state y to logits.

Shapes: B batch, L cells, P prefix positions, S = P + L, D hidden size, V vocabulary,
E puzzle-embedding size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..api.puzzles import TaskInfo
from ..api.reasoner import Output
from .config import BlockConfig
from .init import linear, truncated_normal_

Q_BIAS = -5.0


class PuzzleEmbedding(nn.Module):
    """One trained vector per puzzle identifier, zero at the start.

    The table is a buffer, not a parameter: it may hold hundreds of millions of numbers, of which
    a step touches a batch. In training, a lookup keeps the rows as a leaf for `SignSGD`.
    """

    table: Tensor

    def __init__(self, identifiers: int, size: int):
        super().__init__()
        self.register_buffer("table", torch.zeros(identifiers, size))
        self.looked_up: tuple[tuple[Tensor, Tensor], ...] = ()

    def forward(self, puzzle_ids: Tensor) -> Tensor:
        """(B,) identifiers to (B, E) rows."""
        rows_BE = self.table[puzzle_ids]
        if self.training and torch.is_grad_enabled():
            rows_BE = rows_BE.detach().requires_grad_()
            # All of them: a model may look up twice, and once more where activations are recomputed.
            self.looked_up = (*self.looked_up, (puzzle_ids, rows_BE))
        return rows_BE


class InputEmbedding(nn.Module):
    """x: the puzzle embedding as P prefix positions, then the token embedding, both times √D.

    Attributes:
        puzzle: None where P is 0; a puzzle's identity then tells the model nothing.
    """

    puzzle: PuzzleEmbedding | None

    def __init__(self, config: BlockConfig, task: TaskInfo):
        super().__init__()
        self.prefix, self.hidden, self.dtype = config.prefix, config.hidden, torch.float32
        self.tokens = nn.Embedding(task.vocab_size, config.hidden)
        truncated_normal_(self.tokens.weight, config.hidden**-0.5)
        self.puzzle = PuzzleEmbedding(task.identifiers, config.puzzle_size) if self.prefix else None

    def set_precision(self, dtype: torch.dtype) -> None:
        """Give x in ``dtype`` from now on."""
        self.dtype = dtype

    def forward(self, inputs: Tensor, puzzle_ids: Tensor) -> Tensor:
        """(B, L) tokens and (B,) identifiers to (B, P + L, D)."""
        x_BSD: Tensor = self.tokens(inputs)
        if self.puzzle is not None:
            rows_BE = self.puzzle(puzzle_ids)
            padded = functional.pad(rows_BE, (0, self.prefix * self.hidden - rows_BE.shape[-1]))
            x_BSD = torch.cat((padded.view(-1, self.prefix, self.hidden), x_BSD), dim=1)
        return (math.sqrt(self.hidden) * x_BSD).to(self.dtype)


class OutputHeads(nn.Module):
    """Logits for every cell, and the two Q logits from the first position: without a prefix a cell."""

    def __init__(self, config: BlockConfig, task: TaskInfo, q: bool = True):
        super().__init__()
        self.prefix = config.prefix
        self.answer = linear(config.hidden, task.vocab_size)
        self.q = nn.Linear(config.hidden, 2) if q else None
        if self.q is None:
            return
        nn.init.zeros_(self.q.weight)
        nn.init.constant_(self.q.bias, Q_BIAS)

    def forward(self, y_BSD: Tensor) -> Output:
        """(B, P + L, D) to logits (B, L, V) and, where there is a Q head, Q logits (B,) in float32."""
        logits_BLV = self.answer(y_BSD[:, self.prefix :])
        if self.q is None:
            return Output(logits_BLV)
        q_B2 = self.q(y_BSD[:, 0].float()).float()  # autocast gives bf16
        return Output(logits_BLV, q_B2[:, 0], q_B2[:, 1])

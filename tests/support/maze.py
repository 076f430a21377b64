"""Mazes as they are drawn in tests."""

from __future__ import annotations

import numpy as np
from trm_bench.harness.api.puzzles import Tokens
from trm_bench.plugins.maze.scales import CHARSET


def to_tokens(text: str) -> Tokens:
    """The token codes of a maze's characters, row-major; 0, padding, for a character that no maze has."""
    return np.array([CHARSET.find(letter) + 1 for letter in text], np.uint8)

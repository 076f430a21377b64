"""When two ARC pairs are the same up to turns and colour names, and what is known of a test pair."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...harness.api.puzzles import PuzzleSet, TaskInfo, Tokens
from .grids import COLOURS, TURNS, Grid, cropped, turned


def canonical(info: TaskInfo, inputs: Tokens, targets: Tokens) -> list[bytes]:
    """(N,) keys of pairs: equal exactly if a turn and new names of colours 1 to 9 map one to the other."""
    questions, answers = cropped(inputs, info.height), cropped(targets, info.height)
    return [_key(question, answer) for question, answer in zip(questions, answers, strict=True)]


def _key(question: Grid, answer: Grid) -> bytes:
    """The smallest of the eight turned pairs, its colours named in the order in which they come."""
    images: list[bytes] = []
    for turn in range(TURNS):
        pair = (turned(question, turn), turned(answer, turn))
        cells = np.concatenate([grid.ravel() for grid in pair])
        holds = cells == np.arange(1, COLOURS)[:, None]
        first = np.where(holds.any(axis=1), holds.argmax(axis=1), len(cells))
        names = np.zeros(COLOURS, np.uint8)
        names[1 + np.argsort(first, kind="stable")] = np.arange(1, COLOURS)
        images.append(bytes((*pair[0].shape, *pair[1].shape)) + names[cells].tobytes())
    return min(images)


def features(info: TaskInfo, puzzles: PuzzleSet) -> Mapping[str, NDArray[np.int64]]:
    """Height, width, cells and colours of each test input."""
    grids = cropped(puzzles.inputs, info.height)
    sizes = np.array([grid.shape for grid in grids], np.int64).reshape(-1, 2)
    colours = np.array([len(np.unique(grid)) for grid in grids], np.int64)
    return {"height": sizes[:, 0], "width": sizes[:, 1], "cells": sizes.prod(axis=1), "colours": colours}

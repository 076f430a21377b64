"""Puzzle sets: shapes, names, fingerprints."""

from __future__ import annotations

import numpy as np
import pytest
from trm_bench.harness.api.puzzles import PuzzleSet, TaskInfo


def some(count: int = 3) -> PuzzleSet:
    tokens = np.arange(count * 4, dtype=np.uint8).reshape(count, 4)
    return PuzzleSet.single_identity(tokens, tokens + 1, [f"p{i}" for i in range(count)])


def test_shapes_must_agree() -> None:
    tokens = np.zeros((2, 4), np.uint8)
    with pytest.raises(ValueError, match=r"must be \(N, L\) alike"):
        PuzzleSet.single_identity(tokens, tokens[:, :3], ["a", "b"])
    with pytest.raises(ValueError, match=r"ids must have shape \(2,\)"):
        PuzzleSet.single_identity(tokens, tokens, ["a"])


def test_ids_must_be_unique() -> None:
    tokens = np.zeros((2, 4), np.uint8)
    with pytest.raises(ValueError, match="unique"):
        PuzzleSet.single_identity(tokens, tokens, ["a", "a"])


def test_take_keeps_everything_of_a_row() -> None:
    taken = some().take(np.array([2, 0]))
    assert taken.ids.tolist() == ["p2", "p0"]
    assert taken.inputs[0].tolist() == [8, 9, 10, 11]
    assert taken.targets[1].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("part", ["inputs", "targets", "ids", "clusters", "identifiers"])
def test_the_fingerprint_sees_every_part(part: str) -> None:
    from dataclasses import replace

    puzzles = some()
    changed = getattr(puzzles, part).copy()
    changed[-1] = changed[-1] + 1 if part not in ("ids", "clusters") else "other"
    assert replace(puzzles, **{part: changed}).fingerprint() != puzzles.fingerprint()
    assert some().fingerprint() == puzzles.fingerprint()


def test_the_fingerprint_sees_the_order() -> None:
    assert some().take(np.array([1, 0, 2])).fingerprint() != some().fingerprint()


@pytest.mark.parametrize("size", [0, 257])
def test_a_vocabulary_that_tokens_cannot_have_is_named(size: int) -> None:
    with pytest.raises(ValueError, match=f"vocab_size={size} must be from 1 to 256: tokens are uint8"):
        TaskInfo("t", "mini", 1, 3, size)
    assert TaskInfo("t", "mini", 1, 3, 256).cells == 3

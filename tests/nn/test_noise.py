"""Random numbers at evaluation are functions of their keys alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import kstest
from trm_bench.harness.api.randomness import mix
from trm_bench.harness.nn import noise
from trm_bench.harness.nn.noise import KeyedNormal, row_keys


def normal(items: object, seed: int = 0, step: int = 1, rollout: int = 0) -> KeyedNormal:
    numbers = np.asarray(items)
    keys = row_keys(seed, numbers, np.zeros_like(numbers), np.full_like(numbers, rollout))
    made = KeyedNormal(torch.from_numpy(keys))
    made.begin(step)
    return made


@given(some.lists(some.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_words_are_mixed_on_a_device_as_on_the_host(words: list[int]) -> None:
    host = np.array(words, np.uint64)
    with np.errstate(over="ignore"):
        expected = mix(host).view(np.int64)
    assert (noise._mix(torch.from_numpy(host.view(np.int64))).numpy() == expected).all()


def test_numbers_are_standard_normal_and_uncorrelated() -> None:
    x = normal(np.arange(200)).like(torch.empty(200, 31, 16)).reshape(200, -1).double()
    assert kstest(x.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(float(x.mean())) < 0.01
    assert abs(float(x.var()) - 1) < 0.02
    between = torch.corrcoef(x) - torch.eye(200)
    assert float(between.abs().max()) < 0.3  # 5 standard deviations and more of 496 numbers


@pytest.mark.parametrize("rows", [[3], [7, 3], list(range(10))])
def test_a_row_has_its_numbers_in_any_batch_at_any_place(rows: list[int]) -> None:
    alone = normal([3]).like(torch.empty(1, 5, 4))[0]
    assert torch.equal(normal(rows).like(torch.empty(len(rows), 5, 4))[rows.index(3)], alone)


def test_every_axis_of_a_key_gives_other_numbers() -> None:
    like = torch.empty(1, 9)
    ways = [normal([0]), normal([1]), normal([0], seed=1), normal([0], step=2), normal([0], rollout=1)]
    first = [way.like(like) for way in ways]
    second = [way.like(like) for way in ways]  # drawn later in the same step
    assert len({tuple(x.flatten().tolist()) for x in first + second}) == 10


def test_rows_that_leave_take_their_numbers_along() -> None:
    whole, parted = normal([0, 1, 2]), normal([0, 1, 2])
    parted.keep(torch.tensor([True, False, True]))
    expected = whole.like(torch.empty(3, 4))[[0, 2]]
    assert torch.equal(parted.like(torch.empty(2, 4)), expected)

"""The checksum that weights are identified by."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from trm_bench.harness.store.tensors import tensors_sha256

WEIGHTS = {
    "b": torch.arange(6, dtype=torch.float32).view(2, 3) / 7,
    "a": torch.tensor(1.5),
    "rows": torch.arange(4),
    "none": torch.zeros(0, 3),
}


def test_form_order_layout_and_wider_types_do_not_change_it(tmp_path: Path) -> None:
    known = tensors_sha256(WEIGHTS)
    torch.save(WEIGHTS, tmp_path / "w.pt")
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    assert tensors_sha256(torch.load(tmp_path / "w.pt", weights_only=True)) == known
    assert tensors_sha256(load_file(tmp_path / "w.safetensors")) == known
    assert tensors_sha256(dict(reversed(WEIGHTS.items()))) == known
    transposed = WEIGHTS["b"].T.contiguous().T
    assert not transposed.is_contiguous()
    assert tensors_sha256({**WEIGHTS, "b": transposed}) == known
    wide = {**WEIGHTS, "b": WEIGHTS["b"].double(), "rows": WEIGHTS["rows"].int()}
    assert tensors_sha256(wide) == known


def test_half_precision_is_identified_by_the_numbers_that_a_model_gets() -> None:
    half = {"b": WEIGHTS["b"].bfloat16()}
    assert tensors_sha256(half) == tensors_sha256({"b": half["b"].float()})
    assert tensors_sha256(half) != tensors_sha256({"b": WEIGHTS["b"]})


@pytest.mark.parametrize(
    "other",
    [
        {**WEIGHTS, "b": WEIGHTS["b"] + 2**-24},
        {**WEIGHTS, "b": WEIGHTS["b"].view(3, 2)},
        {**WEIGHTS, "c": WEIGHTS["b"]},
        {"c" if name == "b" else name: value for name, value in WEIGHTS.items()},
        {**WEIGHTS, "rows": WEIGHTS["rows"].float()},
        {name: value for name, value in WEIGHTS.items() if name != "none"},
    ],
    ids=["a number", "a shape", "one more", "a name", "a kind", "an empty one less"],
)
def test_anything_else_changes_it(other: dict[str, Tensor]) -> None:
    assert tensors_sha256(other) != tensors_sha256(WEIGHTS)

"""What weights are identified by: the checksum of their tensors, not of the file that holds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def tensors_sha256(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors by our names, in hexadecimal; file, format, order and prefixes do not change it.

    In the order of the names: name, kind and shape as a line of JSON, then the values row by row in
    little-endian bytes, floating-point ones as float32, which is what a model computes with, all others as
    int64.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu()
        floating = tensor.is_floating_point()
        values = (tensor.float() if floating else tensor.long()).contiguous().numpy()
        kind, order = ("float32", "<f4") if floating else ("int64", "<i8")
        digest.update(json.dumps([name, kind, list(tensor.shape)]).encode() + b"\n")
        digest.update(values.astype(order, copy=False).reshape(-1).data.cast("B"))
    return digest.hexdigest()


def weights_by_name(model: Module) -> dict[str, Tensor]:
    """Every tensor of the model, on the CPU; two names of one memory have a copy each, as a file needs."""
    weights: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        weights[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return weights

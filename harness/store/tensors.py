"""What weights are identified by: the checksum of their tensors, not of the file that holds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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

"""A machine with GPUs, as far as its command line can tell."""

from __future__ import annotations

import pytest
from trm_bench.harness.training.gpus import Gpu

FAKE = tuple(
    Gpu(index, name, f"GPU-{index:08}", f"GPU-{index:08}")
    for index, name in enumerate(("H100", "H100", "L4"))
)


def with_gpus(patch: pytest.MonkeyPatch, *gpus: Gpu) -> None:
    """CUDA has these GPUs, and nothing can be computed on them."""
    patch.setattr("torch.cuda.is_available", lambda: bool(gpus))
    patch.setattr("trm_bench.harness.training.gpus.visible_gpus", lambda: gpus)

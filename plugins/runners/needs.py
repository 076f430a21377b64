"""What both runners need of submitit."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ...harness.api.errors import UnavailableError


def require_submitit() -> None:
    """Refuse to continue without the library.

    Raises:
        UnavailableError: it is not installed.
    """
    if importlib.util.find_spec("submitit") is None:
        raise UnavailableError("--on slurm and --on local need submitit: pip install 'trm-bench[cluster]'")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep submitit from printing how many jobs it submits: the harness does."""
    logger = logging.getLogger("submitit")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)

"""Work on chunks of rows in threads; the compiled kernels let go of the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from ...harness.api.specs import Progress


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def for_chunks(
    work: Callable[[slice], None], rows: int, chunk: int, progress: Progress, what: str, workers: int = 0
) -> None:
    """Call ``work`` once for each chunk of ``range(rows)``, in any order; 0 workers for all cores."""
    chunks = [slice(at, min(at + chunk, rows)) for at in range(0, rows, chunk)]
    pool = ThreadPoolExecutor(workers or available_cores())
    try:
        results: Iterator[None] = pool.map(work, chunks)
        for part, _ in zip(chunks, results, strict=True):
            progress(part.stop, rows, what)
    finally:
        # Without this an interrupt would wait for every chunk that is still queued.
        pool.shutdown(cancel_futures=True)

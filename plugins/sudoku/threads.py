"""Work on chunks of rows in threads; the compiled kernels let go of the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from ...harness.api.cores import available_cores
from ...harness.api.specs import Progress


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

"""What 1000 augmentations of every ARC task cost: time and memory until the first training examples.

    python benchmarks/arc_augmentation.py [DIR]

With DIR, a folder as `--data` takes it (the published run's 960 tasks with ConceptARC), else the packaged
sets of ARC-AGI-1. Nothing is cached: tasks are read, their symmetries found and the first batch of the paper
scale drawn. The embedding table itself, 1.8 GB at width 512, is the model's and not counted.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
from trm_bench.harness.api.embedding_rows import EmbeddingRows
from trm_bench.harness.api.specs import AugmentationRequest, BuildRequest
from trm_bench.harness.data.draws import DrawStream
from trm_bench.harness.data.examples import ExampleStream, Exploration
from trm_bench.harness.host.host import host

A, BATCH, BLOCKS = 1000, 768, 20


def peak_mib() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print one line for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    spec = host().tasks.get("arc-agi-1").spec
    print(f"imports: peak {peak_mib():.0f} MiB")
    started = time.perf_counter()
    data = spec.build(BuildRequest("paper", 0, "official" if folder else "packaged", folder))
    assert data.identities is not None
    trained = np.unique(data.train.identifiers)
    rows = EmbeddingRows.lay_out(data.identities, trained, A)
    short = int((data.identities.augmentations < A).sum())
    print(
        f"{len(data.identities)} tasks, {short} with fewer than {A} augmentations, {rows.total:,} rows: "
        f"read and analysed in {time.perf_counter() - started:.1f} s"
    )
    request = AugmentationRequest(data.info, data.train, data.identities, training=True)
    examples = ExampleStream(
        data.train,
        spec.augmentation(request),
        A,
        task_seed=0,
        seed=0,
        exploration=Exploration(0.1, 16),
        identities=data.identities,
        rows=rows,
    )
    examples.draws(0, BATCH)
    print(f"first batch of {BATCH} after {time.perf_counter() - started:.1f} s, peak {peak_mib():.0f} MiB")
    started = time.perf_counter()
    for block in range(BLOCKS):
        examples.draws(BATCH + 1024 * block, 1024)
    seconds = time.perf_counter() - started
    print(
        f"{BLOCKS * 1024 / seconds:,.0f} further examples per second on one core, peak {peak_mib():.0f} MiB"
    )
    stream = DrawStream(0, len(data.train), A, (data.train.identifiers, data.identities.augmentations))
    print(f"distinct augmentations in the first million draws: {stream.distinct(1_000_000):,}")


if __name__ == "__main__":
    main()

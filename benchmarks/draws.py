"""How many draws a second the host makes: numbered, augmented and ready to be sent to a device.

    python benchmarks/draws.py [--scale paper]

One thread, blocks of 1024, as training asks for them. A step needs as many draws as puzzles halt in it:
a whole batch of a one-pass model, a sixteenth of it or more of one with sixteen supervision steps.
"""

from __future__ import annotations

import argparse
import time

from trm_bench.harness.api.specs import AugmentationRequest
from trm_bench.harness.data.examples import ExampleStream, Exploration
from trm_bench.harness.host.host import host
from trm_bench.harness.planning.request import Request
from trm_bench.harness.planning.training_grid import plan_training
from trm_bench.harness.running.speed import AT_MOST

BLOCK, BLOCKS = 1024, 20


def main() -> None:
    """Print a line for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", default="paper")
    scale = parser.parse_args().scale
    for task in ("sudoku-extreme", "maze-hard", "arc-agi-1"):
        grid = plan_training(host(), Request(("copy",), task, scale, (0,)), at_most=AT_MOST)
        assert grid.budget is not None
        prepared = grid.jobs[0].prepared
        train = prepared.read("train")
        request = AugmentationRequest(prepared.info, train, prepared.identities, training=True)
        stream = ExampleStream(
            train,
            grid.task.augmentation(request),
            grid.budget.augmentations,
            task_seed=0,
            seed=0,
            exploration=Exploration(0.1, 16),
            identities=prepared.identities,
            rows=prepared.rows,
        )
        stream.draws(0, BLOCK)
        started = time.perf_counter()
        for number in range(1, BLOCKS + 1):
            stream.draws(number * BLOCK, BLOCK)
        rate = BLOCK * BLOCKS / (time.perf_counter() - started)
        print(f"{task} at {scale}: {rate:,.0f} draws a second, {prepared.info.cells} cells each")


if __name__ == "__main__":
    main()
